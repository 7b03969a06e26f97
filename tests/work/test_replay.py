"""A projection is made of what the journal has, whatever of it is damaged."""

from __future__ import annotations

from pathlib import Path

from holdfast.events import Event
from holdfast.journal.reader import SqliteReader
from holdfast.journal.streams import Append, NewEvent
from holdfast.journal.writer import SqliteWriter
from holdfast.work.replay import bring_up_to_date
from tests.support.damage import turn_a_bit


class Words:
    def __init__(self) -> None:
        self.seen: list[str] = []

    def apply(self, event: Event) -> None:
        self.seen.append(event.text)


def test_a_damaged_block_costs_only_itself(tmp_path: Path) -> None:
    path = str(tmp_path / "journal.db")
    writer = SqliteWriter(path, block_bytes=4_096)
    for number in range(60):
        event = NewEvent(kind="said", text=f"{number} {'.' * 200}")
        writer.transact([lambda w, event=event: w.append([Append("a", [event])], 1.0)])  # type: ignore[misc]  # bound now
    writer.close()
    turn_a_bit(path)
    reader, words = SqliteReader(path), Words()
    assert bring_up_to_date(reader, words) == 61
    reader.close()
    numbers = [int(word.split()[0]) for word in words.seen]
    assert 0 < len(numbers) < 60
    assert numbers == list(range(numbers[0], 60))
