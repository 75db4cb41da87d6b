"""The standard library's module itself, and its submodule: they are about threads."""

import sys
from multiprocessing import dummy
from multiprocessing.dummy import *  # noqa: F403

from . import connection as connection

sys.modules[__name__] = dummy
