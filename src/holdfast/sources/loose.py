"""Decoding what other programs write, whose formats drift.

Only named fields are decoded; msgspec passes over the rest, which is what makes reading fast. A
record that does not fit its shape is taken apart field by field (`take_apart`), so that one odd
field costs itself and not the conversation around it.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import Annotated, Any, Final, TypeVar

import msgspec
from msgspec import Meta, Raw, Struct

NOTHING: Final = Raw(b"")  # the field was not there
UNREADABLE: Final = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)

T = TypeVar("T")
S = TypeVar("S", bound=Struct)

# Of one request. More is a mistake, and sums of it must fit a journal's integers.
Tokens = Annotated[int, Meta(ge=0, le=10**12)] | None

_read_fields: Final = msgspec.json.Decoder(dict[str, Raw]).decode
_read_list: Final = msgspec.json.Decoder(list[Raw]).decode
read_text: Final = msgspec.json.Decoder(str).decode


def is_there(raw: Raw) -> bool:
    return len(memoryview(raw)) > 0


def tolerant(read: Callable[[Raw], T], raw: Raw, fallback: T) -> T:
    """What a field says, or the fallback when it is absent or has another shape."""
    if not is_there(raw):
        return fallback
    try:
        return read(raw)
    except UNREADABLE:
        return fallback


def fields_of(raw: Raw) -> dict[str, Raw]:
    return tolerant(_read_fields, raw, {})


def items_of(raw: Raw) -> list[Raw]:
    return tolerant(_read_list, raw, [])


def record_fields(line: bytes) -> dict[str, Raw] | None:
    """The fields of a record as they stand; None when it is no object at all."""
    try:
        return _read_fields(line)
    except msgspec.ValidationError:
        return None


def take_apart(fields: dict[str, Raw], shape: type[S]) -> S:
    """The fields that fit, one by one."""
    made = shape()
    for name, key, read, default in _parts(shape):
        if key in fields:
            setattr(made, name, tolerant(read, fields[key], default))
    return made


@cache
def _parts(shape: type[Struct]) -> list[tuple[str, str, Callable[[Raw], Any], Any]]:
    """Of each field its name, its key, its reader and its default.

    An agent that changes its format does so in each of its records, and a reader takes longer to
    make than to use.
    """
    return [
        (each.name, each.encode_name, msgspec.json.Decoder(each.type).decode, each.default)
        for each in msgspec.structs.fields(shape)
    ]
