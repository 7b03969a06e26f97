"""What a learning is, and what makes two of them the same."""

from __future__ import annotations

import hashlib
import re
from typing import Final, Literal

import msgspec

from holdfast.events import Event

LearningType = Literal["decision", "preference", "correction", "pattern"]
TYPES: Final[tuple[LearningType, ...]] = ("decision", "preference", "correction", "pattern")


class Place(msgspec.Struct, frozen=True, omit_defaults=True):
    """Where something was said."""

    session: str
    seq: int
    event: str
    quote: str  # the words themselves; the learning's text is these, tidied
    said_by: str = ""
    at: str = ""


class Learning(msgspec.Struct, frozen=True):
    type: LearningType
    text: str  # one sentence
    rule: str  # which rule found it: what its confidence rests on
    confidence: float  # of the rule, to order by
    place: Place

    @property
    def id(self) -> str:
        """The same for the same thing said again, wherever."""
        return learning_id(self.type, self.text)

    @property
    def key(self) -> str:
        """The same for the same thing found again in the same place."""
        return _digest(self.type, normalised(self.text), self.place.session, _record(self.place))


_NO_WORD: Final = re.compile(r"[^\w']+")


def normalised(text: str) -> str:
    """Capitals, punctuation and markup make no difference."""
    return _NO_WORD.sub(" ", text.casefold()).strip()


def learning_id(kind: str, text: str) -> str:
    return _digest(kind, normalised(text))


def place_of(event: Event, quote: str) -> Place:
    said_by = event.actor or ""
    return Place(event.session, event.seq, event.id, quote, said_by, event.at)


def _record(place: Place) -> str:
    """Versions of a message that is changed in place, and the parts of one record, are one."""
    return place.event.rpartition(".")[0] or place.event


def _digest(*pieces: str) -> str:
    hasher = hashlib.blake2b(digest_size=10)
    for piece in pieces:
        hasher.update(piece.encode("utf-8", "surrogatepass"))
        hasher.update(b"\0")
    return hasher.hexdigest()
