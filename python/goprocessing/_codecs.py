"""What the items of a queue are, where they are not pickles: for programs in other languages."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any, Literal

    from _typeshed import ReadableBuffer

    CodecName = Literal["bytes", "json", "msgpack"]

__all__: tuple[str, ...] = ()


class Codec:
    """Makes bytes of objects, and objects of bytes; None: objects are bytes.

    A process that receives a queue has the codec by its name.
    """

    __slots__ = ("decode", "encode", "name")

    def __init__(
        self,
        name: CodecName,
        encode: Callable[[Any], ReadableBuffer] | None,
        decode: Callable[[bytes], Any] | None,
    ) -> None:
        self.name = name
        self.encode = encode
        self.decode = decode

    def __repr__(self) -> str:
        return f"<codec {self.name!r}>"

    def __reduce__(self) -> tuple[Any, ...]:
        return find, (self.name,)


def _bytes() -> Codec:
    return Codec("bytes", None, None)


def _json() -> Codec:
    import json

    # What JSON has no form for is an error, here and not at those who read it: NaN, and
    # halves of surrogate pairs.
    encoder = json.JSONEncoder(ensure_ascii=False, allow_nan=False, separators=(",", ":"))
    return Codec("json", lambda obj: encoder.encode(obj).encode(), json.loads)


def _msgpack() -> Codec:
    try:
        import msgpack
    except ModuleNotFoundError as error:
        raise ModuleNotFoundError(
            "codec 'msgpack' needs the package of that name: pip install 'goprocessing[msgpack]'",
            name=error.name,
        ) from error

    return Codec("msgpack", msgpack.packb, lambda data: msgpack.unpackb(data, strict_map_key=False))


_MAKERS: dict[str, Callable[[], Codec]] = {"bytes": _bytes, "json": _json, "msgpack": _msgpack}
_made: dict[str, Codec] = {}


def find(name: CodecName) -> Codec:
    """The codec of that name."""
    known = _made.get(name)
    if known is not None:
        return known
    make = _MAKERS.get(name)
    if make is None:
        raise ValueError(f"codec must be None, 'bytes', 'json' or 'msgpack', not {name!r}")
    return _made.setdefault(name, make())
