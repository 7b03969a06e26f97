"""Reading one session of Gemini CLI: a document, or lines that change what others said.

Lines repeat a message with all that it is whenever something is added to it. Only the last line of
each is told, so that what is read does not depend on when it was looked at; that takes a pass over
the lines before. A context that was shortened (`$set` with messages) is not what was said: of it
only messages are told that have no line of their own, such as a summary.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from contextlib import suppress
from typing import Final

from msgspec import Raw

from holdfast.events import Event, session_id
from holdfast.journal.model import Verdict
from holdfast.sources.agents.gemini.parser import AGENT, GeminiParser
from holdfast.sources.agents.gemini.projects import project_path
from holdfast.sources.agents.gemini.records import (
    Change,
    Message,
    read_change,
    read_message,
)
from holdfast.sources.base import Log, Means, Read
from holdfast.sources.documents import Piece, cut_lines
from holdfast.sources.loose import NOTHING, fields_of, items_of, tolerant
from holdfast.sources.mending import SPACE
from holdfast.sources.wholefiles import DocumentReader, FileReader

REMEMBERED_NAMES: Final = 262_144  # of one session; of more, each line is told
_SHORT_ID: Final = 8  # how much of a session's id its file's name has


def _parser(log: Log, means: Means) -> GeminiParser:
    names = log.relative.split("/")
    parser = GeminiParser(log, means.blobs, project_path(os.path.dirname(log.root), names[0]))
    if len(names) > 3:
        parser.facts.parent = session_id(AGENT, _parent(os.path.dirname(log.path)))
    return parser


def _parent(folder: str) -> str:
    """The name of the session that a folder of subagents belongs to."""
    chats, identity = os.path.split(folder)
    with suppress(OSError):
        for name in sorted(os.listdir(chats)):
            stem = os.path.splitext(name)[0]
            if stem.startswith("session-") and stem.endswith(f"-{identity[:_SHORT_ID]}"):
                return stem
    return identity


class SessionDocument(DocumentReader):
    """`session-*.json`: written anew as a whole."""

    arrays = frozenset({"messages"})

    def __init__(self, log: Log, means: Means) -> None:
        super().__init__(log, means, _parser(log, means))


class SessionLines(FileReader):
    """`session-*.jsonl`: lines that add, change and rewind."""

    def __init__(self, log: Log, means: Means) -> None:
        self._gemini = _parser(log, means)
        super().__init__(log, means, self._gemini)
        # Where the last line stands that says all of a message, of one in `$set`, of a member.
        self._messages: dict[str, int] = {}
        self._in_sets: dict[str, int] = {}
        self._members: dict[str, int] = {}

    def read(self) -> Iterator[Read]:
        for piece in cut_lines(self.fd, self.size, self.means.max_item_bytes):
            if piece.content is not None:
                self._look_at(piece.offset, piece.content)
        for piece in cut_lines(self.fd, self.size, self.means.max_item_bytes):
            yield self._line(piece)

    def _look_at(self, offset: int, line: bytes) -> None:
        change = _change(line)
        if change.id is not None:
            _remember(self._messages, change.id, offset)
            return
        fields = _fields(change, line)
        for key in fields:
            _remember(self._members, key, offset)
        for identity, _message in _messages_in(fields):
            _remember(self._in_sets, identity, offset)

    def _line(self, piece: Piece) -> Read:
        content = piece.content
        if content is None:
            return self.told(piece)
        if not content.strip(SPACE):
            return Read(piece.size, "skipped")
        change = _change(content)
        if change.rewind_to is not None:
            event = self._gemini.rewound(piece.offset, self.cleaned(content), change.rewind_to)
            return Read(piece.size, "parsed", [event])
        if change.id is not None:
            if self._messages.get(change.id, piece.offset) != piece.offset:
                return Read(piece.size, "skipped")  # a later line says it all
            return self.told(piece)
        if change.set is not None or change.session_id is not None:
            return self._header(piece, self.cleaned(content))
        return self.told(piece)

    def _header(self, piece: Piece, content: bytes) -> Read:
        """What a line says of the session, and messages that stand in it."""
        offset = piece.offset
        fields = _fields(_change(content), content)
        verdict: Verdict = "parsed"
        events: list[Event] = []
        told = [
            self._gemini.member(key, offset, bytes(raw))
            for key, raw in fields.items()
            if self._members.get(key, offset) == offset
        ] + [
            self._gemini.parse(offset, bytes(raw))
            for identity, raw in _messages_in(fields)
            if identity not in self._messages and self._in_sets.get(identity, offset) == offset
        ]
        for each, new in told:
            verdict = "unknown" if each == "unknown" else verdict
            events += new
        return Read(piece.size, verdict, events)


def _change(line: bytes) -> Change:
    return tolerant(read_change, Raw(line), Change())


def _fields(change: Change, line: bytes) -> Mapping[str, Raw]:
    """What a line says of the session."""
    if change.set is not None:
        return change.set
    return fields_of(Raw(line)) if change.session_id is not None else {}


def _messages_in(fields: Mapping[str, Raw]) -> Iterator[tuple[str, Raw]]:
    for raw in items_of(fields.get("messages", NOTHING)):
        identity = tolerant(read_message, raw, Message()).id
        if identity is not None:
            yield identity, raw


def _remember(places: dict[str, int], name: str, offset: int) -> None:
    if name in places or len(places) < REMEMBERED_NAMES:
        places[name] = offset
