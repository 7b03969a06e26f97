"""Whatever stands in a log: no exception, one of four verdicts, events that can be read again."""

from __future__ import annotations

import base64
import json
from typing import Any, Final, get_args

from hypothesis import given, settings
from hypothesis import strategies as st

from holdfast.events import Event, decode, encode
from holdfast.journal.index import text_of
from holdfast.journal.model import Verdict
from tests.support.codex import (
    PARENT,
    Session,
    assistant,
    call,
    completed,
    event,
    item,
    line,
    meta,
    output,
    tokens,
    user,
)

PICTURE: Final = "data:image/png;base64," + base64.b64encode(b"picture" * 800).decode()
RECORDS: Final = [
    meta(forked_from_id=PARENT, git={"branch": "main"}),
    meta(PARENT, source={"subagent": {"thread_spawn": {"parent_thread_id": PARENT}}}),
    line("turn_context", {"cwd": "/a", "model": "gpt-5", "approval_policy": "never"}),
    line("world_state", {"full": True, "state": {"a": 1}}),
    user("<environment_context>x</environment_context>", "why?"),
    user("# Context from my IDE setup:\n## My request for Codex:\nwhy?"),
    event("user_message", message="why?", images=[PICTURE], local_images=["/a.png"]),
    item("message", role="user", content=[{"type": "input_image", "image_url": PICTURE}]),
    event("agent_reasoning", text="hm"),
    item("reasoning", summary=[{"type": "summary_text", "text": "hm"}], encrypted_content="x"),
    assistant("so"),
    event("agent_message", message="so"),
    completed("AgentMessage", id="a", content=[{"type": "Text", "text": "so"}]),
    call("shell", '{"command":["bash","-lc","ls"]}', "c1"),
    output("c1", "Exit code: 1\nOutput:\na.py"),
    event("exec_command_end", call_id="c1", aggregated_output="a.py", exit_code=1),
    item("custom_tool_call", name="apply_patch", input="*** Update File: a", call_id="c2"),
    event("patch_apply_end", call_id="c2", success=True, changes={"a": {"type": "add"}}),
    event("mcp_tool_call_end", call_id="c3", invocation={"tool": "x"}, result={"Err": "no"}),
    call("request_user_input", '{"questions":[{"question":"Which?"}]}', "c4"),
    output("c4", '{"answers":{"q":{"answers":["A"]}}}'),
    call("update_plan", '{"plan":[{"step":"look"}]}', "c5"),
    tokens(100, 60, 7),
    tokens(50, 20, 3),
    line("compacted", {"message": "what was", "replacement_history": [{"type": "message"}]}),
    event("context_compacted"),
    event("task_complete", last_agent_message="so"),
    event("novelty", text="?"),
    {"type": "message", "role": "user", "content": [{"type": "input_text", "text": "old"}]},
]
LINES: Final = [*(json.dumps(record).encode() for record in RECORDS), b"", b"not json"]
odd_texts = st.text(max_size=8) | st.sampled_from(["<image>", "\ud83d", "2026-01-05", "\0", "{"])
json_values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.just(10**40)
    | odd_texts
    | st.sampled_from(["event_msg", "response_item", "message", "user", "input_text", "Ok"]),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(["type", "payload", "content", "text", "item", "output", "call_id"]),
            inner,
            max_size=3,
        )
    ),
    max_leaves=6,
)


def check(*given_: bytes) -> None:
    session = Session()
    for one in given_:
        session.parser.oversized(0, one, len(one))
        for told in session.read(one):
            assert decode(encode(told)).text == told.text
            json.loads(encode(told).decode())
            text_of(told)
    assert set(session.verdicts) <= set(get_args(Verdict))
    Session(state=session.parser.state())


@settings(deadline=None, max_examples=200)
@given(st.lists(st.binary(max_size=80).map(lambda one: one.replace(b"\n", b"")), max_size=4))
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
def test_records_with_bytes_changed(one: bytes, changes: list[tuple[int, int, bytes]]) -> None:
    changed = one
    for at, length, instead in changes:
        start = at % (len(changed) + 1)
        changed = changed[:start] + instead + changed[start + length :]
    check(changed.replace(b"\n", b""))


@settings(deadline=None, max_examples=400)
@given(st.data())
def test_records_with_values_changed(given_: st.DataObject) -> None:
    record = json.loads(given_.draw(st.sampled_from(LINES[:-2])))
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
    for number, one in enumerate(written):
        if number in stops:
            resumed = Session(state=parts.parser.state())
            resumed.events, resumed._offset = parts.events, parts._offset
            parts = resumed
        parts.read(one)
    assert plain(parts.events) == plain(whole.events)
    assert parts.parser.state() == whole.parser.state()


@settings(deadline=None, max_examples=300)
@given(st.lists(st.sampled_from(LINES[:-2]), max_size=6), st.sampled_from(LINES[:-2]))
def test_events_are_not_much_larger_than_their_record(before: list[bytes], last: bytes) -> None:
    session = Session()
    session.read(*before)
    events = session.read(last)
    assert sum(len(encode(told)) for told in events) < 4 * len(last) + 2_000
