"""The last hour in a line: highest values, honest gaps, the range in words."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any, cast

import pytest

from holdfast.cli.context import Context
from holdfast.cli.trends import BARS, COLUMNS, TRENDS, spark, trend, trends
from holdfast.client import NotRunning, Refused
from holdfast.metrics.history import KEPT
from tests.support.home import Home, talk
from tests.support.waiting import until


@pytest.mark.parametrize(
    ("values", "shown"),
    [
        ([0, 1, 2, 3, 4, 5, 6, 7], "▁▂▃▄▅▆▇█"),
        ([5] * 8, "▁" * 8),
        ([None, 1, None, 2, None, None, None, None], " ▁ █    "),
        ([None] * 8, " " * 8),
        ([], " " * 8),
        ([1, 9, 1, 1] + [1] * 12, "█▁▁▁▁▁▁▁"),  # the highest of each part
        ([1, 2], "   ▁   █"),  # fewer values than columns
    ],
)
def test_a_line_is_drawn_from_the_lowest_to_the_highest(
    values: list[float | None], shown: str
) -> None:
    assert spark(values, 8) == shown


@pytest.mark.parametrize("count", [1, 59, 60, 61, 359, 360])
def test_a_line_is_as_wide_as_it_should_be_and_shows_the_end(count: int) -> None:
    drawn = spark([0.0] * (count - 1) + [1.0] if count > 1 else [1.0])
    assert len(drawn) == COLUMNS
    assert drawn[-1] in (BARS[-1], BARS[0] if count == 1 else BARS[-1])


def test_the_range_is_told() -> None:
    _label, written = TRENDS["holdfast_memory_tree_bytes"]
    assert trend("memory", written, [1 << 20, None, 3 << 20]).endswith(" 1.0 MiB to 3.0 MiB")
    assert trend("memory", written, [1 << 20]).endswith("▁ 1.0 MiB")


def test_every_trend_has_a_history() -> None:
    assert set(TRENDS) <= set(KEPT)


def a_context(answer: Any) -> Context:
    def get(_path: str, **_query: object) -> Any:
        if isinstance(answer, Exception):
            raise answer
        return answer

    return cast("Context", SimpleNamespace(client=SimpleNamespace(get=get)))


@pytest.mark.parametrize("answer", [NotRunning("no"), Refused("an older daemon", 4)])
def test_who_has_no_history_is_told_nothing(answer: Exception) -> None:
    assert trends(a_context(answer)) == ""


def test_what_was_never_there_has_no_line() -> None:
    lines = [{"name": name, "values": [None, 0.0]} for name in TRENDS]
    assert trends(a_context({"lines": lines})) == ""
    lines[0]["values"] = [None, 5.0]
    assert len(trends(a_context({"lines": lines})).splitlines()) == 2


def test_status_watch_shows_the_last_hour(home: Home) -> None:
    home.write_log("one", *talk(3))
    with home.daemon({"HOLDFAST_DAEMON__HEARTBEAT_MS": "200"}) as daemon:
        daemon.wait_for("one", 3)
        until(lambda: home.client.get("/v1/history")["lines"][0]["values"], "a point")
        watching = home.spawn("status", "--watch")
        try:
            said = b""
            assert watching.stdout is not None
            while b"Last hour\n  memory" not in said:
                line = watching.stdout.readline()
                assert line, said
                said += line
        finally:
            watching.kill()
            watching.communicate()
