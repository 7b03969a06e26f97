"""Places in a record, and other values put there."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from typing import Any

Place = tuple[Any, ...]


def text_places(value: Any, above: Place = ()) -> list[Place]:
    """Where texts stand in a record."""
    if isinstance(value, str):
        return [above]
    return [place for at, inner in members_of(value) for place in text_places(inner, (*above, at))]


def places(value: Any, above: Place = ()) -> list[Place]:
    """Where anything stands in a record, but for the record itself."""
    return [
        place
        for at, inner in members_of(value)
        for place in [(*above, at), *places(inner, (*above, at))]
    ]


def replaced(value: Any, place: Place, other: Any) -> Any:
    """A copy of a record with something else at a place."""
    if not place:
        return other
    changed = copy.deepcopy(value)
    inner_of(changed, place[:-1])[place[-1]] = other
    return changed


def inner_of(value: Any, place: Place) -> Any:
    for at in place:
        value = value[at]
    return value


def members_of(value: Any) -> Sequence[tuple[Any, Any]]:
    if isinstance(value, dict):
        return list(value.items())
    return list(enumerate(value)) if isinstance(value, list) else []
