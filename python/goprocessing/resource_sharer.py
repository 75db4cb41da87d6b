"""The standard library's module itself: there is one server of descriptors in a process."""

import sys
from multiprocessing import resource_sharer
from multiprocessing.resource_sharer import *  # noqa: F403

sys.modules[__name__] = resource_sharer
