"""The standard library's module itself: it knows which process this is, and its children."""

import sys
from multiprocessing import process
from multiprocessing.process import *  # noqa: F403

sys.modules[__name__] = process
