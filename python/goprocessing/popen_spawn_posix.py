"""The standard library's module itself: nothing in it is different here."""

import sys
from multiprocessing import popen_spawn_posix
from multiprocessing.popen_spawn_posix import *  # noqa: F403

sys.modules[__name__] = popen_spawn_posix
