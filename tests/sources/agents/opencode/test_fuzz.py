"""Whatever stands in a row, it costs that row only, and its event is not much larger than it."""

from __future__ import annotations

from typing import Any, Final

import msgspec
from hypothesis import given, settings
from hypothesis import strategies as st

from holdfast.events import decode, encode
from holdfast.journal.model import Verdict
from holdfast.sources.agents.opencode.records import without_ids
from holdfast.sources.agents.opencode.second import SecondSession
from holdfast.sources.agents.opencode.tables import log_of
from holdfast.sources.agents.opencode.telling import Item, Session, SessionAbout
from tests.support.claude import Blobs

VERDICTS: Final[set[Verdict]] = {"parsed", "skipped", "unknown", "bad"}
OVERHEAD_BYTES: Final = 6_000  # of the events of one row: names, places, times
_NAMES: Final = st.sampled_from(
    [
        "type",
        "text",
        "time",
        "state",
        "status",
        "input",
        "output",
        "tokens",
        "cache",
        "url",
        "id",
        "role",
        "error",
        "data",
        "message",
        "content",
        "start",
        "end",
        "tool",
        "files",
        "summary",
    ]
)
_KINDS: Final = [
    "text",
    "tool",
    "reasoning",
    "file",
    "step-finish",
    "patch",
    "completed",
    "running",
    "user",
    "assistant",
]
_WORDS: Final = st.sampled_from([*_KINDS, "data:image/png;base64,AAAA", "\ud83d", "x" * 300])
_SCALARS: Final = st.none() | st.booleans() | st.integers() | st.floats() | _WORDS | st.text()
_VALUES: Final = st.recursive(
    _SCALARS,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(_NAMES, inner, max_size=6),
    max_leaves=20,
)


def told(kind: type[Session], content: bytes) -> None:
    log = log_of("/opencode.db", "/", "ses_a")
    session = kind(log, SessionAbout("ses_a"), Blobs(), lambda: 1e12)
    item = Item("prt_1", content, len(content), kind="assistant")
    whose = session.whose(item, has_steps=False)
    reads = [session.message(item, whose)]
    if kind is Session:
        reads.append(session.part(item, whose))
    for read in reads:
        assert read.verdict in VERDICTS
        assert read.size == len(content)
        assert (read.verdict in ("bad", "skipped")) <= (not read.events)
        lines = [encode(event) for event in read.events]
        assert sum(map(len, lines)) <= 8 * len(content) + OVERHEAD_BYTES
        for event, line in zip(read.events, lines, strict=True):
            assert decode(line).text == event.text
        names = [event.source.uuid for event in read.events if event.source]
        assert len(set(names)) == len(names)


@settings(max_examples=300, deadline=None)
@given(st.dictionaries(_NAMES, _VALUES, max_size=8))
def test_any_object_is_told(content: dict[str, Any]) -> None:
    line = msgspec.json.encode(_plain(content))
    told(Session, line)
    told(SecondSession, line)


@settings(max_examples=200, deadline=None)
@given(
    st.binary(max_size=300) | st.dictionaries(_NAMES, _VALUES).map(lambda each: repr(each).encode())
)
def test_any_bytes_are_told(content: bytes) -> None:
    told(Session, content)
    told(SecondSession, content)
    without_ids(content)


def _plain(value: Any) -> Any:
    """JSON has no numbers without a value, and msgspec writes no half of a surrogate pair."""
    if isinstance(value, dict):
        return {name: _plain(each) for name, each in value.items()}
    if isinstance(value, list):
        return [_plain(each) for each in value]
    if isinstance(value, float) and value != value:  # noqa: PLR0124  # not a number
        return None
    return value.encode("utf-8", "replace").decode() if isinstance(value, str) else value
