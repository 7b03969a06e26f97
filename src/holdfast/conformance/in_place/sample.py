"""What a source of items is tried with: a store that its agent changes, and what must come of it.

A store is a file, a folder of files or a database in which an agent changes what stands there. A
sample has items of each sort, and a `Keeper`, which is the agent as far as the store sees it: told
which items there are, it brings the store there the way the agent would. So a requirement can add,
change, take away and put back items without knowing what a store is made of.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, Protocol

import msgspec

from holdfast.conformance.sample import NOTHING_KNOWN, Facets
from holdfast.events import Usage
from holdfast.journal.model import NO_USAGE
from holdfast.sources.base import ItemSource


class Entry(msgspec.Struct, frozen=True):
    """One item as its agent writes it, and the kinds of the events that it must become."""

    name: str  # what the store knows it by, also when it has changed
    content: Any  # a JSON value, `Raw`, or bytes where the store holds such
    kinds: tuple[str, ...] = ()
    place: str = ""  # which sort of item it is, where a store has several
    later: Any = None  # what it may be changed to; None where the agent never changes it


Entries = Sequence[Entry]


class Keeper(Protocol):
    """The agent, as far as its store sees it. It has the store open until it is closed."""

    def write(self, entries: Entries) -> None:
        """These are the items now: what is the same is not touched, where the agent can help it."""
        ...

    def rewrite(self) -> None:
        """The same items once more, laid out otherwise."""
        ...

    def delete(self) -> None:
        """The session goes, with all that belongs to it."""
        ...

    def weight(self) -> int:
        """The bytes that reading all of it must account for."""
        ...

    def paths(self) -> list[str]:
        """The files that hold it, each of which may be found torn or damaged."""
        ...

    def replace(self, path: str, content: bytes) -> None:
        """Another content of a file, as of now."""
        ...

    def close(self) -> None: ...


@dataclass(frozen=True)
class StoreSample:
    """How the sessions of one agent look that are changed where they stand."""

    name: str  # of this way to keep them
    source: Callable[[Sequence[str]], ItemSource]
    keeper: Callable[[Path], Keeper]  # of the store below a root
    entries: Entries
    keys: Sequence[str]  # of the logs of the session, below the root
    session: str
    anchors: Entries  # more items, which must be told whatever stands before them
    begins: Sequence[str] = ()  # kinds of the events of a session without items
    facets: Facets = NOTHING_KNOWN
    usage: Usage = NO_USAGE  # of all entries together
    unknown: Entries = ()  # items that no rule knows
    large: Callable[[int], Entry] | None = None  # an item with so many characters of text
    many_parts: Callable[[int], Entry] | None = None  # an item of so many parts
    keeps_names: bool = True  # an item that changed is the same one; else it is another
    # Keys of more logs below the root: session, and the session that started it.
    logs: Mapping[str, tuple[str, str]] = field(default_factory=dict)
    others: Sequence[str] = ()  # files below the root that hold no logs
    silent: str = ""  # a folder whose files the agent writes only together with others


StoreRequirement = Callable[[StoreSample, Path], None]
STORE_REQUIREMENTS: Final[list[StoreRequirement]] = []


def store_requirement(check: StoreRequirement) -> StoreRequirement:
    STORE_REQUIREMENTS.append(check)
    return check
