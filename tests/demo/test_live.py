"""A live session grows turn by turn and can be taken up again."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path

from holdfast.demo import LiveSession

SESSION = "11111111-0000-4000-a000-000000000001"


class Clock:
    def __init__(self) -> None:
        self.now = datetime(2026, 3, 1, tzinfo=UTC)

    def __call__(self) -> datetime:
        return self.now


def live(path: Path, clock: Clock) -> LiveSession:
    return LiveSession(path, SESSION, seed=1, clock=clock)


def test_a_turn_is_appended_as_the_lines_that_are_returned(tmp_path: Path) -> None:
    path = tmp_path / "project" / f"{SESSION}.jsonl"
    session = live(path, Clock())
    first = session.append()
    assert path.read_bytes() == b"".join(first)
    then = session.append(turns=2)
    assert path.read_bytes() == b"".join(first + then)
    kinds = {json.loads(line)["type"] for line in first}
    assert {"user", "assistant"} <= kinds


def test_the_time_is_the_clock_s_and_never_stands_still(tmp_path: Path) -> None:
    clock = Clock()
    session = live(tmp_path / "live.jsonl", clock)
    early = _stamps(session.append())
    clock.now += timedelta(hours=1)
    late = _stamps(session.append())
    assert early[0].startswith("2026-03-01T00:00:00")
    assert late[0] == "2026-03-01T01:00:00.000Z"
    assert early + late == sorted(early + late)


def test_a_session_taken_up_again_goes_on_where_its_file_ends(tmp_path: Path) -> None:
    path = tmp_path / "live.jsonl"
    before = [json.loads(line) for line in live(path, Clock()).append()]
    after = [json.loads(line) for line in live(path, Clock()).append()]
    chained = [record for record in before + after if "uuid" in record]
    uuids = [record["uuid"] for record in chained]
    assert len(set(uuids)) == len(uuids)
    assert [record["parentUuid"] for record in chained] == [None, *uuids[:-1]]


def test_the_same_seed_and_clock_give_the_same_lines(tmp_path: Path) -> None:
    one, other = (live(tmp_path / name, Clock()).append(turns=2) for name in ("one", "other"))
    assert one == other


def _stamps(lines: list[bytes]) -> list[str]:
    records = map(json.loads, lines)
    return [record["timestamp"] for record in records if "timestamp" in record]
