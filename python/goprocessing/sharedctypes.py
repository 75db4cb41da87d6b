"""Values and arrays in shared memory: the standard library's, with this package's locks."""

from __future__ import annotations

from multiprocessing import sharedctypes
from multiprocessing.sharedctypes import RawArray as RawArray
from multiprocessing.sharedctypes import RawValue as RawValue
from multiprocessing.sharedctypes import Synchronized as Synchronized
from multiprocessing.sharedctypes import SynchronizedArray as SynchronizedArray
from multiprocessing.sharedctypes import SynchronizedBase as SynchronizedBase
from multiprocessing.sharedctypes import SynchronizedString as SynchronizedString
from multiprocessing.sharedctypes import copy as copy

from .context import _default_context

__all__ = ["Array", "RawArray", "RawValue", "Value", "copy", "synchronized"]

TYPE_CHECKING = False
if TYPE_CHECKING:
    # Their types depend on the arguments in many ways.
    from multiprocessing.sharedctypes import Array as Array
    from multiprocessing.sharedctypes import Value as Value
    from multiprocessing.sharedctypes import synchronized as synchronized
    from typing import Any

else:

    def __getattr__(name: str) -> Any:
        return getattr(sharedctypes, name)

    def Value(typecode_or_type, *args, lock=True, ctx=None):
        """Returns a synchronized wrapper of a shared ctypes object, or without lock the object"""
        ctx = ctx or _default_context.get_context()
        return sharedctypes.Value(typecode_or_type, *args, lock=lock, ctx=ctx)

    def Array(typecode_or_type, size_or_initializer, *, lock=True, ctx=None):
        """Returns a synchronized wrapper of a shared ctypes array, or without lock the array"""
        ctx = ctx or _default_context.get_context()
        return sharedctypes.Array(typecode_or_type, size_or_initializer, lock=lock, ctx=ctx)

    def synchronized(obj, lock=None, ctx=None):
        """Returns a synchronized wrapper of a shared ctypes object"""
        return sharedctypes.synchronized(obj, lock, ctx or _default_context.get_context())
