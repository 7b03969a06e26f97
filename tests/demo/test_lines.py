"""The line builders that other tests lean on."""

from __future__ import annotations

import json
from collections.abc import Callable

import pytest

from holdfast.demo import lines

AWKWARD = 'quotes " and \\ and\nnewlines, 100 % of {them}, 日本語 🙏'

BUILDERS: dict[str, Callable[[], bytes]] = {
    "user": lambda: lines.user_line(AWKWARD),
    "image": lambda: lines.image_line(AWKWARD, "iVBORw0KGgo="),
    "assistant": lambda: lines.assistant_line(AWKWARD),
    "thinking": lambda: lines.thinking_line(AWKWARD),
    "tool_use": lambda: lines.tool_use_line("Bash", {"command": AWKWARD}),
    "tool_result": lambda: lines.tool_result_line(AWKWARD),
    "progress": lambda: lines.progress_line(AWKWARD),
    "system": lambda: lines.system_line("local_command", {"content": AWKWARD}),
    "compaction": lambda: lines.compaction_lines(AWKWARD)[1],
    "summary": lambda: lines.summary_line(AWKWARD),
    "ai title": lambda: lines.title_line(AWKWARD),
    "custom title": lambda: lines.title_line(AWKWARD, custom=True),
    "queue": lambda: lines.queue_line(AWKWARD),
}


@pytest.mark.parametrize("name", BUILDERS)
def test_a_line_is_one_json_object_that_holds_the_text(name: str) -> None:
    line = BUILDERS[name]()
    assert line.endswith(b"\n")
    assert line.count(b"\n") == 1
    assert json.dumps(AWKWARD, ensure_ascii=False)[1:-1].encode() in line
    assert json.loads(line)["type"]


@pytest.mark.parametrize("name", BUILDERS)
def test_the_same_arguments_give_the_same_line(name: str) -> None:
    assert BUILDERS[name]() == BUILDERS[name]()


def test_different_texts_have_different_uuids() -> None:
    one, other = (json.loads(lines.user_line(text)) for text in ("one", "other"))
    assert one["uuid"] != other["uuid"]


def test_a_place_is_where_the_record_says_it_stands() -> None:
    record = json.loads(
        lines.user_line("hi", session="s", cwd="/a b", branch="x", uuid="u", parent="p", at="t")
    )
    assert record["sessionId"] == "s"
    assert (record["cwd"], record["gitBranch"]) == ("/a b", "x")
    assert (record["uuid"], record["parentUuid"], record["timestamp"]) == ("u", "p", "t")
    assert not record["isSidechain"]


def test_an_agent_s_line_is_a_side_chain() -> None:
    record = json.loads(lines.assistant_line("hi", agent="a1b2c3d"))
    assert record["isSidechain"]
    assert record["agentId"] == "a1b2c3d"


def test_a_reply_tells_its_tokens() -> None:
    record = json.loads(
        lines.assistant_line("hi", message="m", request="r", input=1, output=2, cache_read=3)
    )
    assert (record["message"]["id"], record["requestId"]) == ("m", "r")
    used = record["message"]["usage"]
    assert (used["input_tokens"], used["output_tokens"]) == (1, 2)
    assert used["cache_read_input_tokens"] == 3


def test_a_result_answers_the_call_with_the_same_use() -> None:
    call = json.loads(lines.tool_use_line(use="toolu_x"))
    answer = json.loads(lines.tool_result_line("done", use="toolu_x", error=True))
    (block,) = answer["message"]["content"]
    assert block["tool_use_id"] == call["message"]["content"][0]["id"]
    assert block["is_error"]
    assert answer["sourceToolAssistantUUID"] == call["uuid"]
    assert answer["toolUseResult"]["stdout"] == "done"


def test_a_result_can_be_given_whole() -> None:
    given = {"questions": [], "answers": {"Why?": "So."}}
    assert json.loads(lines.tool_result_line("x", result=given))["toolUseResult"] == given


def test_a_compaction_starts_a_new_chain() -> None:
    boundary, summary = map(json.loads, lines.compaction_lines("so far", parent="last"))
    assert boundary["parentUuid"] is None
    assert boundary["logicalParentUuid"] == "last"
    assert summary["parentUuid"] == boundary["uuid"]
    assert summary["isCompactSummary"]


def test_more_fields_can_be_given_to_a_prompt() -> None:
    assert json.loads(lines.user_line("x", extra={"isMeta": True}))["isMeta"] is True


def test_hooks_and_snapshots_need_no_text() -> None:
    assert json.loads(lines.hook_line("Stop", tool=""))["data"]["hookName"] == "Stop"
    assert json.loads(lines.snapshot_line("m", update=True))["isSnapshotUpdate"]
