"""What programs append: streams of events beside the conversations, in the same journal.

A stream is a session whose agent is `stream`: its events have ids, numbers and positions like all
others, are sealed into the same blocks and found by the same search. What differs is who numbers
them. A log numbers its own events, because reading it again must give the same; an appended event
gets its number where it is stored, inside the transaction, so that any number of writers append to
one stream without asking each other. Locks and a retry on conflict were rejected: both make the
writers wait for each other's commits, where one commit can serve all of them.

What makes an append safe to repeat is the `key` that its writer gave it: a key that a stream knows
is not stored again, and the answer is the same as the first time.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import ClassVar, Final, NamedTuple, Self

import msgspec

from holdfast.errors import Exit, HoldfastError
from holdfast.events import EMPTY, STREAM_AGENT, Event, encode_onto, event_id, stream_id
from holdfast.journal.index import text_of
from holdfast.journal.model import Facts, Text, TitleRank

OWN: Final = "holdfast/"  # how the names of holdfast's own streams begin


def is_own(agent: str, name: str) -> bool:
    """What holdfast notes of itself and of its work: no search for conversations finds it."""
    return agent == STREAM_AGENT and name.startswith(OWN)


class NewEvent(msgspec.Struct, kw_only=True, omit_defaults=True, gc=False):
    """An event as whoever appends it gives it."""

    kind: str
    text: str = ""
    data: msgspec.Raw = EMPTY
    actor: str = ""
    key: str = ""
    causation: str = ""
    correlation: str = ""


class GivenEvent(NewEvent, forbid_unknown_fields=True):
    """The same as a person or a program writes it: what is spelt wrong must not vanish."""


class Append(msgspec.Struct, gc=False):
    """Events for one stream: all of them or none."""

    stream: str  # its name
    events: Sequence[NewEvent]
    expected_seq: int | None = None  # the number that the first is to get


class Appended(msgspec.Struct, frozen=True):
    """Where events stand, those of a known key where they stood before."""

    stream: str
    session: str
    seqs: Sequence[int]
    positions: Sequence[int]
    repeated: int = 0  # how many were stored before


class WrongSequence(HoldfastError):
    """Somebody else appended first."""

    exit: ClassVar[Exit] = Exit.CONFLICT

    @classmethod
    def of(cls, stream: str, expected: int, found: int) -> Self:
        return cls(
            f"stream {stream!r} has {found} events, not {expected}: read what came, then append "
            f"with expected_seq {found}"
        )


class Committed(msgspec.Struct, frozen=True, gc=False):
    """A run of events that is in the journal now. `lines` is empty where they came sealed."""

    position: int
    session: str
    agent: str
    name: str  # the agent's own id of the session; of a stream, its name
    first_seq: int
    count: int
    lines: bytes

    def behind(self, position: int) -> Committed:
        """What of it stands at or behind a position."""
        passed = position - self.position
        if passed <= 0:
            return self
        lines = self.lines.split(b"\n", passed)[-1]
        return msgspec.structs.replace(
            self,
            position=position,
            first_seq=self.first_seq + passed,
            count=self.count - passed,
            lines=lines,
        )

    def upto(self, bytes_max: int) -> Committed:
        """Its beginning: whole lines, up to the end of the one that is over so many bytes."""
        if len(self.lines) <= bytes_max:
            return self
        end = self.lines.find(b"\n", bytes_max - 1) + 1
        lines = self.lines[:end]
        return msgspec.structs.replace(self, count=lines.count(b"\n"), lines=lines)


class Projection(NamedTuple):
    """What was made of events, and which the first is that it does not know yet."""

    position: int
    state: bytes


def stream_facts(name: str, at: str) -> Facts:
    return Facts(
        id=stream_id(name),
        agent=STREAM_AGENT,
        agent_session_id=name,
        title=name,
        title_rank=TitleRank.AGENT,
        started_at=at,
        updated_at=at,
    )


class Numbered(NamedTuple):
    """New events as they are stored."""

    lines: bytes
    texts: list[Text]


def numbered(events: Iterable[NewEvent], name: str, first_seq: int, at: str) -> Numbered:
    lines, texts = bytearray(), []
    session, is_found = stream_id(name), not is_own(STREAM_AGENT, name)
    for seq, new in enumerate(events, first_seq):
        event = Event(
            id=event_id(session, 0, seq, 0),
            session=session,
            seq=seq,
            kind=new.kind,
            at=at,
            text=new.text,
            data=new.data,
            source=None,
            actor=new.actor or None,
            key=new.key,
            causation=new.causation,
            correlation=new.correlation,
        )
        encode_onto(event, lines)
        if new.text and is_found:
            text = text_of(event)
            if text is not None:
                texts.append(text)
    return Numbered(bytes(lines), texts)
