"""Statuses for tests: made from the types, so that a field that is added is there by itself."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import count
from typing import Any, Final

import msgspec
from msgspec import inspect as mi

from holdfast.status.model import Status

_FIXED: Final[dict[str, Any]] = {
    ".schema_version": 1,
    ".daemon.state": "running",
    ".daemon.version": "0.1.0",
    ".daemon.started_at": "2026-01-01T00:00:00.000Z",
    ".daemon.heartbeat_at": "2026-01-01T01:02:03.000Z",
    ".daemon.last_run.ending": "stopped",
    ".memory.level": "high",
    ".memory.pressure.level": "high",
    ".memory.pressure.own_level": "moderate",
    ".memory.pressure.readings[].level": "critical",
}


def full_status(**parts: Any) -> Status:
    """Every field is filled, and no two numbers are the same."""
    made = _Maker().make(mi.type_info(Status), "")
    return msgspec.structs.replace(msgspec.convert(made, Status), **parts)


def numbers(value: Any, path: str = "") -> Iterator[tuple[str, float]]:
    """Every number in it by its path, as docs/operations.md writes paths; truth values left out."""
    if isinstance(value, dict):
        for key, below in value.items():
            yield from numbers(below, f"{path}.{key}".lstrip("."))
    elif isinstance(value, list | tuple):
        for below in value:
            yield from numbers(below, f"{path}[]")
    elif isinstance(value, int | float) and not isinstance(value, bool):
        yield path, value


class _Maker:
    def __init__(self) -> None:
        self._numbers = count(1_001)

    def make(self, kind: mi.Type, path: str) -> Any:
        if path in _FIXED:
            return _FIXED[path]
        match kind:
            case mi.StructType():
                return {
                    field.encode_name: self.make(field.type, f"{path}.{field.encode_name}")
                    for field in kind.fields
                }
            case mi.UnionType():
                return self.make(next(t for t in kind.types if t != mi.NoneType()), path)
            case mi.IntType():
                return next(self._numbers)
            case mi.FloatType():
                return next(self._numbers) + 0.5
            case mi.BoolType():
                return True
            case mi.DictType():
                return {"some": self.make(kind.value_type, f"{path}.some")}
            case mi.ListType() | mi.VarTupleType():
                return [self.make(kind.item_type, f"{path}[]") for _ in range(2)]
            case mi.LiteralType():
                return kind.values[0]
            case mi.StrType():
                return f"{path.rpartition('.')[2]} {next(self._numbers)}"
            case _:
                raise AssertionError(f"{path} is of a kind that no test makes: {kind}")
