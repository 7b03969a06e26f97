"""What comes into a queue goes through the door; usually all of it passes as it is."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple, Protocol

import msgspec

from holdfast.journal.work import NewItem
from holdfast.work.queue.checking import BadItem


class Cleaner(Protocol):
    """Takes out what must not be kept."""

    def suspects(self, chunk: bytes) -> bool: ...
    def clean(self, line: bytes) -> bytes: ...
    def clean_text(self, text: str) -> str: ...
    def take_found(self) -> dict[str, int]: ...


Door = Callable[[], Cleaner] | None  # it is not made before somebody needs it


class Clean(NamedTuple):
    items: Sequence[NewItem]
    bytes: int  # of all payloads
    found: dict[str, int]  # what was taken out, by kind


def cleaned(items: Sequence[NewItem], door: Door) -> Clean:
    """All items are looked at together, because each look costs as much as many bytes."""
    payloads = [bytes(item.payload) for item in items]
    said = b"\x00".join(payloads)
    if b"\n" in said:  # a payload is one line
        payloads = [msgspec.json.format(payload, indent=-1) for payload in payloads]
        items = [
            msgspec.structs.replace(item, payload=msgspec.Raw(payload))
            for item, payload in zip(items, payloads, strict=True)
        ]
    size = len(said) - len(items) + 1
    if door is None:
        return Clean(items, size, {})
    names = {item.subject for item in items} | {item.key for item in items}
    cleaner = door()
    if not cleaner.suspects(said) and not cleaner.suspects("\n".join(names).encode()):
        return Clean(items, size, {})
    named = [item.key for item in items] + [each for item in items for each in item.after]
    if any(isinstance(each, str) and cleaner.clean_text(each) != each for each in named):
        # Cleaned, two keys would be one, and the second item a repeat of the first.
        raise BadItem(
            "the key of an item, or one that it waits for, holds a secret or something private, "
            "which is not stored: take a key that says nothing, such as a number"
        )
    clean = [
        msgspec.structs.replace(
            item,
            payload=msgspec.Raw(cleaner.clean(payload)),
            subject=cleaner.clean_text(item.subject),
        )
        for item, payload in zip(items, payloads, strict=True)
    ]
    return Clean(clean, size, cleaner.take_found())


def cleaned_text(text: str, door: Door) -> tuple[str, dict[str, int]]:
    if door is None or not text:
        return text, {}
    cleaner = door()
    return cleaner.clean_text(text), cleaner.take_found()
