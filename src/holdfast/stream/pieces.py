"""Reading the journal in the order of positions, a bounded piece at a time."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Final

from holdfast.blocks import DamagedBlock
from holdfast.journal.protocol import JournalReader
from holdfast.journal.streams import Committed

RUNS_PAGE: Final = 256

OnDamage = Callable[[str, DamagedBlock], None]


def pieces(
    reader: JournalReader,
    position: int,
    *,
    session: str = "",
    wanted: Callable[[str, str], bool] = lambda _agent, _name: True,
    on_damage: OnDamage = lambda _session, _error: None,
) -> Iterator[Committed]:
    """Runs of lines from a position to the end, each at most a block; those not wanted empty.

    A damaged block costs itself: its place is there, without lines.
    """
    while runs := reader.runs(position, limit=RUNS_PAGE, session=session):
        for run in runs:
            first, end = max(position, run.position), run.position + run.count
            whose = (run.session, run.agent, run.name)
            shift = run.position - run.first_seq
            damaged: list[int] = []

            def told(_first: int, count: int, error: DamagedBlock) -> bytes:
                damaged.append(count)  # noqa: B023  # called within this turn
                on_damage(run.session, error)  # noqa: B023  # as above
                return b""

            if wanted(run.agent, run.name):
                for lines in reader.read(run.session, first - shift, end - shift, on_damage=told):
                    count = lines.count(b"\n") if lines else min(damaged.pop(), end - first)
                    yield Committed(first, *whose, first - shift, count, lines)
                    first += count
            if first < end:
                yield Committed(first, *whose, first - shift, end - first, b"")
            position = end
