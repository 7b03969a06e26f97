"""What happened: the one event type, its kinds, and where its identity comes from.

Everything holdfast keeps is an `Event`, written as one line of canonical JSON. That line is what
the journal stores, what stays in memory and what `export -f jsonl` prints; nothing else in the
program has a second shape for the same thing.

Identity comes from the source, not from us: `<session>.<origin>.<offset>.<part>` says which stream,
which incarnation of which log file, at which byte, which part of the record. Reading a log again
therefore gives the same ids, and a restart has nothing to guess. Random ids and content hashes were
rejected: the first repeat events after a crash, the second merge two equal lines into one.
"""

from __future__ import annotations

import hashlib
import re
from functools import lru_cache
from typing import Final, Literal

import msgspec

EMPTY: Final = msgspec.Raw(b"null")


class Kind:
    """The kinds of events. Plain strings: they are data, and older readers meet newer ones."""

    USER: Final = "message.user"
    ASSISTANT: Final = "message.assistant"
    SYSTEM: Final = "message.system"
    THINKING: Final = "thinking"
    TOOL_CALL: Final = "tool.call"
    TOOL_RESULT: Final = "tool.result"
    DECISION_PROPOSED: Final = "decision.proposed"
    DECISION_ACCEPTED: Final = "decision.accepted"
    SESSION_STARTED: Final = "session.started"
    SESSION_TITLED: Final = "session.titled"
    SESSION_COMPACTED: Final = "session.compacted"
    SESSION_SUMMARIZED: Final = "session.summarized"
    PROVIDER_INFO: Final = "provider.info"
    PROVIDER_RAW: Final = "provider.raw"


KINDS: Final = frozenset(
    value for name, value in vars(Kind).items() if name.isupper() and isinstance(value, str)
)

Actor = Literal["user", "assistant", "tool", "system"]  # of a conversation; streams name anybody

STREAM_AGENT: Final = "stream"  # in place of an agent's name: what programs append, not a log


class Usage(msgspec.Struct, omit_defaults=True, frozen=True, gc=False):
    """Tokens, as increments: adding up every event of a session gives what was spent.

    Agents write one model reply as several lines that repeat the same running figures, so an event
    carries only what its line adds to what was already counted for that request.
    """

    input: int = 0
    output: int = 0
    cache_read: int = 0
    cache_write: int = 0

    def plus(self, other: Usage) -> Usage:
        return Usage(
            self.input + other.input,
            self.output + other.output,
            self.cache_read + other.cache_read,
            self.cache_write + other.cache_write,
        )


class Origin(msgspec.Struct, omit_defaults=True, frozen=True, gc=False):
    """Where an event stands in the log that it came from."""

    agent: str
    file: str  # relative to the agent's root
    offset: int  # first byte of the record
    uuid: str = ""  # the agent's own id of the record, where it has one
    parent: str = ""  # the agent's own id of the record before it


class Event(msgspec.Struct, kw_only=True, omit_defaults=True, gc=False):
    """One thing that happened in one session. Field order is the order on disk."""

    id: str
    session: str
    seq: int  # from 0, without gaps, in the order of the log
    kind: str
    at: str  # UTC, ISO 8601 with milliseconds; "" when the log gave no time and none came before
    text: str
    data: msgspec.Raw
    source: Origin | None
    actor: str | None = None
    turn: int = 0  # counts what people asked; 0 before the first
    model: str = ""
    cwd: str = ""
    branch: str = ""
    sidechain: bool = False
    usage: Usage | None = None
    supersedes: int | None = None  # the seq of the event that this one is a later version of
    key: str = ""  # who appended it named it so: the same again is not stored twice
    causation: str = ""  # id of the event that brought this one about
    correlation: str = ""  # what belongs together: the id of a task, of a checkpoint, of a request


@lru_cache(maxsize=256)  # each log that is read is asked for it several times in a row
def session_id(agent: str, agent_session_id: str) -> str:
    """The id of a session: 13 letters and digits, the same on every machine that sees the log."""
    digest = hashlib.blake2b(f"{agent}\0{agent_session_id}".encode(), digest_size=8).digest()
    return _base32(int.from_bytes(digest, "big"), 13)


def stream_id(name: str) -> str:
    """The id of the session that keeps a stream."""
    return session_id(STREAM_AGENT, name)


def event_id(session: str, origin: int, offset: int, part: int) -> str:
    return f"{session}.{origin}.{offset:x}.{part}"


def origin_of(event: str) -> int:
    """Which incarnation of which log an event's id names."""
    return int(event.split(".", 2)[1])


_ALPHABET: Final = "0123456789abcdefghjkmnpqrstvwxyz"  # no i, l, o, u: read aloud without doubt


def _base32(number: int, width: int) -> str:
    letters = []
    for _ in range(width):
        number, index = divmod(number, 32)
        letters.append(_ALPHABET[index])
    return "".join(reversed(letters))


_encoder: Final = msgspec.json.Encoder()
_decoder: Final = msgspec.json.Decoder(Event)


def encode(event: Event) -> bytes:
    """One canonical line, without its newline."""
    return _encoder.encode(event)


def encode_onto(event: Event, buffer: bytearray) -> None:
    """Append one canonical line and its newline; no bytes object in between."""
    _encoder.encode_into(event, buffer, -1)
    buffer += b"\n"


def decode(line: bytes | bytearray | memoryview) -> Event:
    try:
        return _decoder.decode(line)
    except RecursionError:
        return _decode_flat(bytes(line))


def decode_lines(lines: bytes | bytearray | memoryview) -> list[Event]:
    try:
        return _decoder.decode_lines(lines)
    except RecursionError:
        return [decode(line) for line in bytes(lines).split(b"\n") if line]


# How deep `data` may nest depends on how much stack there is, and who wrote an event had another
# one. So what is too deep for this reader becomes text, and the events around it stay readable.
_TOKENS: Final = re.compile(rb'"[^"\\]*+(?:\\.[^"\\]*+)*+"|[{}\[\]]', re.DOTALL)
_DATA: Final = b'"data"'


def _decode_flat(line: bytes) -> Event:
    start = end = depth = 0
    for token in _TOKENS.finditer(line):
        if token[0] in (b"{", b"["):
            depth += 1
        elif token[0] in (b"}", b"]"):
            depth -= 1
            if start and depth == 1:
                end = token.end()
                break
        elif depth == 1 and token[0] == _DATA and line[token.end() : token.end() + 1] == b":":
            start = token.end() + 1
    nested = _encoder.encode({"nested": line[start:end].decode("utf-8", "replace")})
    return _decoder.decode(line[:start] + nested + line[end:])
