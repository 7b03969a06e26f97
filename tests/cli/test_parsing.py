"""What people write for times and numbers."""

from __future__ import annotations

import argparse
import os
import pwd
from datetime import UTC, datetime, timedelta

import pytest

from holdfast.cli.context import Context
from holdfast.cli.parsing import by, count, moment


@pytest.mark.parametrize(
    ("text", "back"),
    [
        ("30m", timedelta(minutes=30)),
        ("12h", timedelta(hours=12)),
        ("7d", timedelta(days=7)),
        ("2w", timedelta(weeks=2)),
        ("0m", timedelta(0)),
    ],
)
def test_a_span_is_that_long_ago(text: str, back: timedelta) -> None:
    before = datetime.now(UTC)
    at = datetime.fromisoformat(moment(text))
    after = datetime.now(UTC)
    assert before - back - timedelta(milliseconds=1) <= at <= after - back


@pytest.mark.parametrize(
    ("text", "at"),
    [
        ("2026-11-20T14:00:00Z", "2026-11-20T14:00:00.000Z"),
        ("2026-11-20T14:00+02:00", "2026-11-20T12:00:00.000Z"),
        ("2026-11-20T14:00:00.123456Z", "2026-11-20T14:00:00.123Z"),
    ],
)
def test_a_time_with_a_zone_is_written_as_events_write_it(text: str, at: str) -> None:
    assert moment(text) == at


def test_a_day_begins_at_midnight_here() -> None:
    midnight = datetime(2026, 11, 20).astimezone(UTC)  # the local zone is meant
    assert datetime.fromisoformat(moment("2026-11-20")) == midnight


@pytest.mark.parametrize("text", ["", "yesterday", "7", "7y", "-3d", "2026-13-01", "1.5h"])
def test_what_is_no_time_is_refused_with_examples(text: str) -> None:
    with pytest.raises(argparse.ArgumentTypeError, match="write 2026-11-20"):
        moment(text)


@pytest.mark.parametrize("text", ["1", "20", "1000000"])
def test_a_count_is_a_whole_number(text: str) -> None:
    assert count(text) == int(text)


@pytest.mark.parametrize("text", ["", "0", "-1", "1.5", "many", "²", "1_000"])
def test_what_counts_nothing_is_refused(text: str) -> None:
    with pytest.raises(argparse.ArgumentTypeError, match="at least 1"):
        count(text)


@pytest.mark.parametrize("environ", [{}, {"USER": ""}])
def test_who_acts_is_known_without_a_variable_that_says_so(environ: dict[str, str]) -> None:
    me = pwd.getpwuid(os.getuid()).pw_name
    assert by(Context(environ), argparse.Namespace(by=None)) == me
    assert by(Context({"USER": "hana"}), argparse.Namespace(by=None)) == "hana"
    assert by(Context(environ), argparse.Namespace(by="")) == ""
