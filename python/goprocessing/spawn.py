"""The standard library's module itself: it is told which executable to start."""

import sys
from multiprocessing import spawn
from multiprocessing.spawn import *  # noqa: F403

sys.modules[__name__] = spawn
