"""A session in a journal in memory, and what a recording of it should look like."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

import msgspec

from holdfast.events import EMPTY, Event, Kind, Origin, encode, event_id, session_id
from holdfast.journal.memory import MemoryJournal
from holdfast.journal.model import Batch, Facts, SessionRow
from holdfast.journal.protocol import JournalReader
from holdfast.recording.markdown import MarkdownWriter
from holdfast.recording.view import View

SESSION: Final = session_id("claude", "s")
_FRONT_MATTER: Final = re.compile(r"\A---\n.*?\n---\n", re.DOTALL)
_NOTICE: Final = re.compile(r"\n\*holdfast: [^\n]*\*\n")


def event(seq: int, text: str, kind: str = Kind.USER, at: str = "") -> Event:
    return Event(
        id=event_id(SESSION, 0, seq * 100, 0),
        session=SESSION,
        seq=seq,
        kind=kind,
        at=at or f"2026-11-20T10:{seq // 60 % 60:02}:{seq % 60:02}.000Z",
        text=text,
        data=EMPTY,
        source=Origin("claude", "p/s.jsonl", seq * 100, f"uuid-{seq}"),
        actor="user" if kind == Kind.USER else "assistant",
        cwd="/nowhere",
    )


class Talk:
    """One session that grows."""

    def __init__(self) -> None:
        self.journal = MemoryJournal()
        self.events: list[Event] = []
        self._facts = Facts(
            id=SESSION,
            agent="claude",
            agent_session_id="s",
            title="A talk",
            project="/home/hana/src/tidepool",
            started_at="2026-11-20T10:00:00.000Z",
        )

    def say(self, *texts: str, kind: str = Kind.USER) -> None:
        first = len(self.events)
        self._add([event(first + number, text, kind) for number, text in enumerate(texts)])

    def say_in_parts(self, *texts: str) -> None:
        """One message of several texts."""
        whole = event(len(self.events), "")
        record = whole.id.rpartition(".")[0]
        self._add(
            [
                msgspec.structs.replace(
                    whole, id=f"{record}.{number}", seq=whole.seq + number, text=text
                )
                for number, text in enumerate(texts)
            ]
        )

    def _add(self, new: list[Event]) -> None:
        first = len(self.events)
        self.events += new
        self._facts.updated_at = new[-1].at
        lines = b"".join(encode(each) + b"\n" for each in new)
        batch = Batch(facts=self._facts, first_seq=first, lines=lines, line_count=len(new))
        self.journal.writer().write([batch])

    def title(self, title: str) -> None:
        self._facts.title = title
        self.journal.writer().write([Batch(facts=self._facts, first_seq=len(self.events))])

    @property
    def row(self) -> SessionRow:
        row = self.journal.reader().session(SESSION)
        assert row is not None
        return row

    @contextmanager
    def readers(self) -> Iterator[JournalReader]:
        yield self.journal.reader()

    def body(self, first: int = 0, stop: int | None = None) -> str:
        """What a recording of these events holds, written at once."""
        writer = MarkdownWriter("claude", View())
        return "".join(map(writer.piece, self.events[first:stop]))


def body_of(content: bytes | str) -> str:
    """A Markdown recording without its front matter and without holdfast's own lines."""
    text = content if isinstance(content, str) else content.decode()
    return without_notices(_FRONT_MATTER.sub("", text))


def without_notices(text: str) -> str:
    return _NOTICE.sub("", text)
