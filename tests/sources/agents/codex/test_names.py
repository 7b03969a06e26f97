"""Names that people gave to sessions are taken from the file that has them."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from holdfast.journal.model import TitleRank
from holdfast.sources.agents.codex import Agent
from holdfast.sources.agents.codex.names import INDEX, INDEX_BYTES_MAX, name_of
from holdfast.sources.agents.codex.parser import CodexParser
from tests.support.claude import Blobs
from tests.support.codex import NAME, THREAD, user


def write(home: Path, *names: tuple[str, str]) -> None:
    with (home / INDEX).open("ab") as file:
        for thread, name in names:
            record = {"id": thread, "thread_name": name, "updated_at": ""}
            file.write(json.dumps(record).encode() + b"\n")


def parser_of(home: Path, state: bytes = b"") -> CodexParser:
    agent = Agent([str(home)])
    log = agent.identify(f"{os.path.realpath(home)}/sessions/2026/01/05/{NAME}")
    assert log is not None
    return agent.parser(log, state, Blobs())


def test_a_name_wins_over_the_first_prompt(tmp_path: Path) -> None:
    write(tmp_path, (THREAD, "first"), ("other", "x"), (THREAD, " Tides "), (THREAD, " "))
    parser = parser_of(tmp_path)
    parser.parse(0, json.dumps(user("why?")).encode())
    assert (parser.facts.title, parser.facts.title_rank) == ("Tides", TitleRank.PERSON)


def test_a_name_that_is_given_later_is_seen_at_the_next_reading(tmp_path: Path) -> None:
    parser = parser_of(tmp_path)
    parser.parse(0, json.dumps(user("why?")).encode())
    assert parser.facts.title == "why?"
    write(tmp_path, (THREAD, "Tides"))
    assert parser_of(tmp_path, parser.state()).facts.title == "Tides"


@pytest.mark.parametrize("content", [b"", b"not json\n", b'{"id":7}\n', b"\xff\n", b"[]\n"])
def test_what_is_no_name_is_passed_over(tmp_path: Path, content: bytes) -> None:
    (tmp_path / INDEX).write_bytes(content)
    assert name_of(THREAD, str(tmp_path)) == ""
    write(tmp_path, (THREAD, "Tides"))
    assert name_of(THREAD, str(tmp_path)) == "Tides"


def test_only_the_end_of_a_long_file_is_looked_at(tmp_path: Path) -> None:
    write(tmp_path, ("old", "gone"))
    write(tmp_path, *((f"{number}", "x" * 100) for number in range(INDEX_BYTES_MAX // 100)))
    assert name_of("old", str(tmp_path)) == ""
    assert name_of("2000", str(tmp_path)) == "x" * 100
