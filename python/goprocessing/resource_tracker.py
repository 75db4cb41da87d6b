"""The standard library's module itself: there is one tracker for a program."""

import sys
from multiprocessing import resource_tracker
from multiprocessing.resource_tracker import *  # noqa: F403

sys.modules[__name__] = resource_tracker
