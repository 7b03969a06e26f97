"""The SQL beside the code: all of it compiles, all of it is used, and what is hot uses an index."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import apsw
import pytest

import holdfast
from holdfast.journal import sqlite
from holdfast.journal.sql import migrations, queries
from holdfast.journal.writer import SqliteWriter

NAMES = sorted(vars(queries()))


@pytest.fixture
def connection(path: str) -> Iterator[apsw.Connection]:
    SqliteWriter(path).close()
    connection = sqlite.open_writer(path)
    yield connection
    connection.close()


@pytest.mark.parametrize("name", NAMES)
def test_each_statement_compiles(name: str, connection: apsw.Connection) -> None:
    statement = getattr(queries(), name)
    plan = connection.execute(f"EXPLAIN {statement}", [None] * places(statement)).fetchall()
    assert plan


def places(statement: str) -> int:
    """How many values a statement wants."""
    numbered = [int(part[0]) for part in statement.split("?")[1:] if part[:1].isdigit()]
    return max(numbered) if numbered else statement.count("?")


@pytest.mark.parametrize("name", NAMES)
def test_each_statement_says_what_it_is_for_and_is_used(name: str) -> None:
    assert getattr(queries(), name).startswith("-- ")
    folder = Path(next(iter(holdfast.__path__))) / "journal"
    used = [source for source in folder.glob("*.py") if f"q.{name}" in source.read_text("utf-8")]
    used += [source for source in folder.glob("*.py") if f"queries().{name}" in source.read_text()]
    assert used, "nobody uses it"


@pytest.mark.parametrize(
    "name",
    [
        "extend_run",
        "select_tail",
        "delete_tail",
        "read_block",
        "read_tail",
        "read_runs",
        "session_length",
        "session_span",
        "newest_update",
        "get_session",
        "list_sessions",
        "get_file",
        "list_marks",
        "list_paths_in_folder",
        "next_origin",
        "list_audit",
        "trim_audit",
        "list_recordings_of_session",
        "list_live_recordings",
        "list_pending_commands",
        "command_keys",
        "claim_work",
        "confirm_work",
        "extend_work",
        "work_of_claim",
        "work_that_is_due",
        "work_that_expired",
        "has_work",
        "get_work_key",
        "work_waiters",
        "delete_waits_of_work",
        "dead_dependency",
        "dead_work_of_queue",
        "list_dead_work",
    ],
)
def test_what_runs_often_looks_at_no_whole_table(name: str, connection: apsw.Connection) -> None:
    statement = getattr(queries(), name)
    rows = sqlite.select(connection, f"EXPLAIN QUERY PLAN {statement}", [None] * places(statement))
    scans = [row[3] for row in rows if row[3].startswith("SCAN") and "VIRTUAL" not in row[3]]
    bounded = {
        "list_audit": ["SCAN audit"],  # newest first, up to its limit
        "session_span": ["SCAN CONSTANT ROW"],
        # The newest first, past the streams that are newer.
        "newest_update": ["SCAN CONSTANT ROW", "SCAN sessions USING INDEX sessions_by_update"],
    }
    assert scans == bounded.get(name, [])


def test_a_block_is_found_by_its_first_event(connection: apsw.Connection) -> None:
    """Not by looking at all blocks of its session."""
    statement = f"EXPLAIN QUERY PLAN {queries().read_block}"
    rows = sqlite.select(connection, statement, [None, None])
    assert any("(session_no=? AND first_seq>?)" in row[3] for row in rows), rows


def test_places_are_found_by_the_key_of_the_order(connection: apsw.Connection) -> None:
    rows = sqlite.select(connection, f"EXPLAIN QUERY PLAN {queries().places}", ["[1]"])
    details = [row[3] for row in rows]
    assert any("SEARCH r USING INTEGER PRIMARY KEY" in detail for detail in details)
    assert not any("SCAN r" in detail for detail in details)


def test_migrations_are_in_order_and_make_the_schema() -> None:
    connection = apsw.Connection(":memory:")
    assert migrations()
    for script in migrations():
        connection.execute(script)
    tables = {row[0] for row in sqlite.select(connection, "SELECT name FROM sqlite_schema")}
    assert {"sessions", "blocks", "tail", "runs", "files", "words", "state"} <= tables
    connection.close()
