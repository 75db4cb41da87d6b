"""The standard library's module itself: it registers finalizers and after-fork hooks."""

import sys
from multiprocessing import util
from multiprocessing.util import *  # noqa: F403

sys.modules[__name__] = util
