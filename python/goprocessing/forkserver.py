"""The standard library's module itself: there is one fork server for a process."""

import sys
from multiprocessing import forkserver
from multiprocessing.forkserver import *  # noqa: F403

sys.modules[__name__] = forkserver
