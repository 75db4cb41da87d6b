"""The standard library's module itself: it allocates the memory of `Value` and `Array`."""

import sys
from multiprocessing import heap
from multiprocessing.heap import *  # noqa: F403

sys.modules[__name__] = heap
