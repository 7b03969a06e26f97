"""Fixtures that the journal's tests share."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import apsw
import pytest

from holdfast.journal.conformance import Trial
from tests.journal.subjects import SqliteSubject


@pytest.fixture
def path(tmp_path: Path) -> str:
    return str(tmp_path / "journal.db")


@pytest.fixture
def trial(tmp_path: Path) -> Iterator[Trial]:
    """A SQLite journal, with what it should hold."""
    trial = Trial(SqliteSubject(tmp_path))
    yield trial
    trial.close()


class Database:
    """The journal's file, opened by somebody who knows how to look and to do harm."""

    def __init__(self, path: str) -> None:
        self._connection = apsw.Connection(path)

    def __call__(self, statement: str, *values: Any) -> list[Any]:
        return self._connection.execute(statement, values).fetchall()

    def close(self) -> None:
        self._connection.close()


@pytest.fixture
def database(trial: Trial, path: str) -> Iterator[Database]:
    database = Database(path)
    yield database
    database.close()
