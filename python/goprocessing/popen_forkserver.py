"""The standard library's module itself: nothing in it is different here."""

import sys
from multiprocessing import popen_forkserver
from multiprocessing.popen_forkserver import *  # noqa: F403

sys.modules[__name__] = popen_forkserver
