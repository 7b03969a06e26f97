"""kill -9 in the middle of a session that is written as a whole: nothing twice, nothing lost."""

from __future__ import annotations

import json
import os
import signal
import sys
from collections.abc import Iterator
from functools import partial
from typing import Any, Final

import pytest

from holdfast.events import session_id
from holdfast.journal.sqlite import JournalMissing
from tests.support import dying, processes
from tests.support.gemini import SESSION, document, gemini, tokens, tool, user
from tests.support.home import Home
from tests.support.pictures import differences, picture
from tests.support.waiting import until

# Small limits, so that a document is many batches and goes to a child.
SMALL: Final = {
    "HOLDFAST_SNAPSHOTS__BLOCK_BYTES": "16384",
    "HOLDFAST_INGEST__INLINE_BACKLOG_BYTES": "65536",
    "HOLDFAST_INGEST__MAX_LINE_BYTES": "65536",
    "HOLDFAST_INGEST__RECONCILE_SECS": "1",
}
NAME: Final = f"{SESSION}.json"
WORDS: Final = "kelp " * 200


@pytest.fixture
def small(home: Home) -> Home:
    home.env.update(SMALL)
    home.env["GEMINI_CLI_HOME"] = home.folder
    return home


@pytest.fixture
def undisturbed(small: Home) -> Iterator[Home]:
    other = Home(os.path.join(small.folder, "undisturbed"))
    other.env.update(SMALL)
    other.env["GEMINI_CLI_HOME"] = small.folder
    try:
        yield other
    finally:
        other.close()


def messages(count: int) -> list[dict[str, Any]]:
    """Two messages each, four events; one of fifty is over the cap."""
    said = []
    for number in range(count):
        words = WORDS * 100 if number % 50 == 25 else f"needle{number} {WORDS}"
        said.append(user(f"u{number}", words))
        said.append(
            gemini(f"g{number}", "", toolCalls=[tool(f"t{number}", WORDS)], tokens=tokens(10, 1))
        )
    return said


def stored_events(home: Home) -> int:
    try:
        with home.reader() as reader:
            return reader.totals().events
    except JournalMissing:
        return 0


def has_more(home: Home, before: int) -> bool:
    return stored_events(home) > before


def compare(home: Home, undisturbed: Home) -> None:
    undisturbed.ok("import", "--quiet")
    words = ("needle3", "needle77")
    wanted = picture(undisturbed, words)
    assert wanted["problems"] == []
    assert all(wanted["found"].values())
    differing = differences(picture(home, words), wanted)
    assert not differing, "\n".join(differing[:40])


@pytest.mark.slow
def test_an_import_that_dies_at_any_write_is_taken_up_again(small: Home, undisturbed: Home) -> None:
    small.write_session(NAME, document(*messages(120)))
    program = (sys.executable, "-I", str(dying.__file__))
    deaths = 0
    for last in range(3, 60, 4):
        importing = small.spawn("import", "--quiet", program=(*program, str(last)))
        importing.communicate(timeout=60)
        deaths += importing.returncode == -signal.SIGKILL
        assert importing.returncode in {0, -signal.SIGKILL}, f"write {last}"
    assert deaths > 3
    small.ok("import", "--quiet")
    compare(small, undisturbed)


def test_a_child_that_dies_in_the_middle_of_a_document_costs_a_reading(
    small: Home, undisturbed: Home
) -> None:
    path = small.write_session(NAME, document(*messages(3_000)))
    importing = small.spawn("import", "--json", "--quiet")
    try:
        until(lambda: stored_events(small) > 200, "the document is being read")
        (child,) = processes.children(importing.pid)
        processes.kill(child)
        out, _ = importing.communicate(timeout=60)
    finally:
        importing.kill()
        importing.communicate()
    (problem,) = json.loads(out)["problems"]
    assert path in problem
    before = stored_events(small)
    assert 200 < before < 12_000
    report = small.ok("import", "--json", "--quiet").json
    assert (report["problems"], report["bytes"]["seen"]) == ([], os.path.getsize(path))
    compare(small, undisturbed)


@pytest.mark.slow
def test_a_daemon_that_is_killed_again_and_again_reads_it_all_once(
    small: Home, undisturbed: Home
) -> None:
    said = messages(400)
    path = ""
    for end in range(100, 801, 100):
        path = small.write_session(NAME, document(*said[:end]))
        before = stored_events(small)
        daemon = small.start()
        try:
            until(partial(has_more, small, before), "some of it is stored")
        finally:
            daemon.kill()
    with small.daemon() as daemon:

        def is_read() -> bool:
            with small.reader() as reader:
                cursor = reader.cursor("gemini", path)
            return cursor is not None and cursor.size == os.path.getsize(path)

        until(is_read, "all is read", detail=lambda: daemon.status()["problems"])
        assert daemon.terminate() == 0
    with small.reader() as reader:
        session = session_id("gemini", SESSION)
        names = [event.source.uuid for event in reader.events(session) if event.source]
        row = reader.session(session)
    assert len(names) == len(set(names))
    assert row is not None
    assert row.usage.input == 10 * 400
    undisturbed.ok("import", "--quiet")
    with undisturbed.reader() as reader:
        wanted = {event.source.uuid for event in reader.events(session) if event.source}
    assert set(names) == wanted
