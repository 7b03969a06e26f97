"""Names of events from logs whose items are changed in place.

By its name ingest knows an event whenever its item is read again (see ingest/items.py). It is made
of the agent's own id and of which part of the item the event is; an item without an id is known by
its content, so that one that changed is another one.
"""

from __future__ import annotations

import hashlib
from typing import Any

from msgspec.structs import replace

from holdfast.events import Event
from holdfast.sources.telling import NAME_CHARS_MAX, Described, Teller, Telling


def item_name(identity: str | None, content: bytes) -> str:
    """An id as it is, when it is one that people would write down."""
    if not identity:
        return _hashed(content)
    if len(identity) > NAME_CHARS_MAX:
        return _hashed(identity.encode("utf-8", "surrogatepass"))
    return identity


def _hashed(content: bytes) -> str:
    return "~" + hashlib.blake2b(content, digest_size=12).hexdigest()


class NamedTelling(Telling):
    """Gives each event the name that is set before it is told; at first that of the item."""

    __slots__ = ("item", "name")

    def __init__(self, parser: Teller, about: Described, offset: int, line: bytes) -> None:
        super().__init__(parser, about, offset, line)
        self.item = self.name = item_name(about.uuid, line)

    def event(self, kind: str, text: str, **how: Any) -> Event:
        event = super().event(kind, text, **how)
        event.source = replace(self.origin, uuid=self.name)
        return event

    def part(self, name: str) -> None:
        """The events that follow are this part of the item."""
        self.name = f"{self.item}/{name}"
