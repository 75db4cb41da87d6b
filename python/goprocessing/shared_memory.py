"""The standard library's module itself: nothing in it is different here."""

import sys
from multiprocessing import shared_memory
from multiprocessing.shared_memory import *  # noqa: F403

sys.modules[__name__] = shared_memory
