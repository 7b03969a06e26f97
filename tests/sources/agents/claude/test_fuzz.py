"""Whatever stands in a log: no exception, one of four verdicts, events that can be read again."""

from __future__ import annotations

import base64
import json
from typing import Any, Final, get_args

from hypothesis import given, settings
from hypothesis import strategies as st

from holdfast.demo import lines
from holdfast.events import Event, decode, encode
from holdfast.journal.index import text_of
from holdfast.journal.model import Verdict
from holdfast.sources.mending import mended
from tests.support.claude import Session

PICTURE: Final = base64.b64encode(b"picture" * 800).decode()
ASKED: Final = {"questions": [{"question": "Which?", "options": [{"label": "A"}]}]}
LINES: Final = [
    lines.user_line("<system-reminder>x</system-reminder>why?"),
    lines.user_line("meta", extra={"isMeta": True, "isSidechain": True}),
    lines.image_line("look", PICTURE),
    lines.thinking_line("hm", output=3),
    lines.assistant_line("so", output=9),
    lines.tool_use_line("Bash", {"command": "ls"}, use="t1"),
    lines.tool_result_line("a.py", use="t1"),
    lines.tool_use_line("AskUserQuestion", ASKED, use="q1"),
    lines.tool_result_line("A", use="q1", result={**ASKED, "answers": {"Which?": "A"}}),
    lines.tool_use_line("Task", {"prompt": "look"}, use="t2"),
    lines.tool_result_line("found", use="t2", result={"agentId": "a7"}),
    lines.progress_line("working"),
    b'{"type":"progress","data":{"type":"agent_progress","message":{"content":"x"}}}\n',
    lines.system_line("api_error", {"content": "Overloaded"}),
    *lines.compaction_lines("what was"),
    lines.snapshot_line(),
    lines.summary_line("Tides"),
    lines.title_line("Mine", custom=True),
    lines.queue_line("later"),
    b'{"type":"attachment","attachment":{"type":"queued_command","prompt":"also"}}\n',
    b'{"type":"novelty","text":"?"}\n',
    b'{"type":"assistant","message":{"content":[{"type":"novelty"}],"usage":{"output_tokens":1}}}\n',
    b"\n",
    b"not json\n",
]
odd_texts = st.text(max_size=8) | st.sampled_from(["<command-name>", "\ud83d", "2026-01-05", "\0"])
json_values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.just(10**40)
    | odd_texts
    | st.sampled_from(["text", "tool_result", "image", "user", "assistant", "base64"]),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(["type", "content", "text", "source", "data", "usage", "answers"]),
            inner,
            max_size=3,
        )
    ),
    max_leaves=6,
)


def check(*given_: bytes) -> None:
    session = Session()
    for line in given_:
        for event in session.read(line):
            again = decode(encode(event))
            assert again.text == event.text
            json.loads(encode(event).decode())
            text_of(event)
    assert set(session.verdicts) <= set(get_args(Verdict))
    Session(state=session.parser.state())
    for line, verdict in zip(given_, session.verdicts, strict=True):
        assert verdict != "skipped" or mended(line).strip()[:1] in (b"", b"{")


@settings(deadline=None, max_examples=200)
@given(st.lists(st.binary(max_size=80).map(lambda line: line.replace(b"\n", b"")), max_size=4))
def test_any_bytes(given_: list[bytes]) -> None:
    check(*given_)


@settings(deadline=None, max_examples=400)
@given(
    st.sampled_from(LINES),
    st.lists(
        st.tuples(
            st.integers(0, 5_000), st.integers(0, 30), st.binary(max_size=6) | st.just(b"\\ud83d")
        ),
        min_size=1,
        max_size=4,
    ),
)
def test_records_with_bytes_changed(line: bytes, changes: list[tuple[int, int, bytes]]) -> None:
    changed = line.removesuffix(b"\n")
    for at, length, instead in changes:
        start = at % (len(changed) + 1)
        changed = changed[:start] + instead + changed[start + length :]
    check(changed.replace(b"\n", b""))


@settings(deadline=None, max_examples=400)
@given(st.data())
def test_records_with_values_changed(given_: st.DataObject) -> None:
    records = [line for line in LINES if line.startswith(b"{")]
    record = json.loads(given_.draw(st.sampled_from(records)))
    for _ in range(given_.draw(st.integers(1, 3))):
        change(record, given_)
    check(json.dumps(record).encode())


def change(value: Any, given_: st.DataObject) -> None:
    """Put something else at one place of a record."""
    places = list(value) if isinstance(value, dict) else list(range(len(value)))
    place = given_.draw(st.sampled_from(places))
    inner = value[place]
    if isinstance(inner, dict | list) and inner and given_.draw(st.booleans()):
        change(inner, given_)
    else:
        value[place] = given_.draw(json_values)


def plain(events: list[Event]) -> list[bytes]:
    return [encode(event) for event in events]


@settings(deadline=None, max_examples=150)
@given(st.lists(st.sampled_from(LINES), max_size=12), st.sets(st.integers(0, 12)))
def test_reading_can_stop_after_any_record_and_go_on_elsewhere(
    written: list[bytes], stops: set[int]
) -> None:
    whole = Session()
    whole.read(*written)
    parts = Session()
    for number, line in enumerate(written):
        if number in stops:
            resumed = Session(state=parts.parser.state())
            resumed.events, resumed._offset = parts.events, parts._offset
            parts = resumed
        parts.read(line)
    assert plain(parts.events) == plain(whole.events)
    assert parts.parser.state() == whole.parser.state()
