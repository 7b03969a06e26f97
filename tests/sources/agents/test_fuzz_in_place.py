"""Whatever stands in a file that is written anew: no exception, names that stay, nothing twice."""

from __future__ import annotations

import json
import os
import tempfile
from pathlib import Path
from typing import Any, Final

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from holdfast.events import decode, encode
from holdfast.ingest.gathering import ReadingLimits
from holdfast.journal.index import text_of
from holdfast.sources.agents.cline import Agent as Cline
from holdfast.sources.agents.gemini import Agent as Gemini
from tests.support import cline, gemini
from tests.support.items import ItemShelf

LIMITS: Final = ReadingLimits(block_bytes=16_384, max_line_bytes=4_096)
FILES: Final = {
    f"tmp/p/chats/{gemini.SESSION}.json": Gemini,
    f"tmp/p/chats/{gemini.SESSION}.jsonl": Gemini,
    f"tasks/{cline.TASK}/api_conversation_history.json": Cline,
    f"tasks/{cline.TASK}/ui_messages.json": Cline,
    f"sessions/{cline.SESSION}/{cline.SESSION}.messages.json": Cline,
    f"sessions/{cline.SESSION}/{cline.SESSION}.json": Cline,
}
RECORDS: Final[list[Any]] = [
    gemini.head(summary="T", novelty=[1]),
    gemini.user("m1", [{"text": "a"}, {"inlineData": {"mimeType": "x", "data": "eA=="}}]),
    gemini.gemini(
        "m2",
        "b",
        thoughts=[{"subject": "s"}],
        toolCalls=[gemini.tool("t1", "r"), gemini.tool("t2")],
        tokens=gemini.tokens(3, 2, cached=1),
        model="m",
    ),
    {"$set": {"summary": "U", "messages": [gemini.user("m9", "z")]}},
    {"$rewindTo": "m1"},
    cline.task("do"),
    cline.assistant("I look.\n<read_file>\n<path>a</path>\n</read_file>"),
    cline.assistant({"type": "thinking", "thinking": "hm"}, cline.use("t3", path="a"), id="c1"),
    cline.user(cline.result("t3", [{"type": "text", "text": "x"}]), "[read_file for 'a'] Result:"),
    cline.request(1767603602000, tokensIn=5, tokensOut=1),
    cline.shown(1767603603000, "reasoning", "hm"),
    {"session_id": "s", "cwd": "/x", "metadata": {"title": "t"}, "started_at": gemini.AT},
]
FIELDS: Final = (
    *("id", "type", "role", "content", "text", "parts"),
    *("thoughts", "toolCalls", "tokens", "result", "ts", "metrics"),
)
odd_texts = st.text(max_size=8) | st.sampled_from(["<task>", "</task>", "\ud83d", "m1", "user"])
json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.just(10**40) | odd_texts,
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(
                [
                    "id",
                    "type",
                    "role",
                    "content",
                    "text",
                    "parts",
                    "thoughts",
                    "toolCalls",
                    "tokens",
                    "result",
                    "ts",
                    "metrics",
                ]
            ),
            inner,
            max_size=3,
        )
    ),
    max_leaves=6,
)


@st.composite
def records(draw: st.DrawFn) -> list[Any]:
    """Records as they are, with a field that is another one, or none at all."""
    found: list[Any] = []
    for record in draw(st.lists(st.sampled_from(RECORDS) | json_values, max_size=6)):
        if isinstance(record, dict) and record and draw(st.booleans()):
            key = draw(st.sampled_from(sorted(record)))
            record = {**record, key: draw(json_values)}  # noqa: PLW2901
        found.append(record)
    return found


def written(path: str, found: list[Any], indent: int | None) -> bytes:
    if path.endswith(".jsonl"):
        text = "".join(json.dumps(each) + "\n" for each in found)
    elif path.endswith(("history.json", "ui_messages.json")):
        text = json.dumps(found, indent=indent)
    elif path.endswith(f"{cline.SESSION}.json"):
        text = json.dumps(
            {key: value for each in found if isinstance(each, dict) for key, value in each.items()},
            indent=indent,
        )
    else:
        text = json.dumps({"messages": found}, indent=indent)
    return text.encode("utf-8", "surrogatepass")


@pytest.mark.parametrize("path", FILES)
@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(found=records(), indent=st.sampled_from([None, 2]), data=st.data())
def test_whatever_a_file_holds_its_events_can_be_read_and_come_once(
    path: str, found: list[Any], indent: int | None, data: st.DataObject
) -> None:
    content = written(path, found, indent)
    torn = content[: data.draw(st.integers(0, len(content)), label="what is there at first")]
    with tempfile.TemporaryDirectory() as folder:
        shelf = ItemShelf(Path(folder), FILES[path], LIMITS)
        file = shelf.root / path
        file.parent.mkdir(parents=True)
        log = shelf.source.identify(str(file))
        assert log is not None
        for each in (torn, content):
            file.write_bytes(each)
            shelf.catch_up()
            assert shelf.cursor(file).ledger.consumed == len(each)
        events = shelf.events(log.agent_session_id)
        for event in events:
            assert event.source is not None
            assert event.source.uuid
            assert b"\n" not in encode(event)
            assert decode(encode(event)).text == event.text
            text_of(event)
        os.utime(file, (1, 1))
        shelf.catch_up()
        assert len(shelf.events(log.agent_session_id)) == len(events)
        shelf.close()
