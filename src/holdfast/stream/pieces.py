"""Reading the journal in the order of positions, a bounded piece at a time."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Final

from holdfast.blocks import DamagedBlock
from holdfast.journal.model import Run
from holdfast.journal.protocol import JournalReader
from holdfast.journal.streams import Committed
from holdfast.stream.cache import Block, BlockCache

RUNS_PAGE: Final = 256
BLOCKS_AT_HAND: Final = 32

OnDamage = Callable[[str, DamagedBlock], None]


class Pieces:
    """Runs of lines out of a journal; blocks that were unpacked for one are there for the next."""

    def __init__(self, cache: BlockCache, on_damage: OnDamage) -> None:
        self._cache, self._on_damage = cache, on_damage

    def read(
        self,
        reader: JournalReader,
        position: int,
        *,
        session: str = "",
        wanted: Callable[[str, str], bool] = lambda _agent, _name: True,
    ) -> Iterator[Committed]:
        """From a position to the end, each at most a block; those not wanted are empty.

        A damaged block costs itself: its place is there, without lines.
        """
        blocks: dict[str, Block] = {}  # of this reading: what is at hand is not looked up
        while runs := reader.runs(position, limit=RUNS_PAGE, session=session):
            for run in runs:
                shift = run.position - run.first_seq
                seq, end = max(position - shift, run.first_seq), run.first_seq + run.count
                if wanted(run.agent, run.name):
                    while seq < end:
                        block = blocks.get(run.session)
                        if block is not None and block.first_seq <= seq < block.end_seq:
                            stop = min(end, block.end_seq)
                            lines = block.cut(seq, stop)
                        else:
                            stop, lines = self._lines(reader, run, seq, end, blocks)
                        yield _committed(run, seq, stop, lines)
                        seq = stop
                elif seq < end:
                    yield _committed(run, seq, end, b"")
                position = end + shift

    def _lines(
        self, reader: JournalReader, run: Run, seq: int, end: int, blocks: dict[str, Block]
    ) -> tuple[int, bytes]:
        """Lines from a number on, and the number behind them."""
        block = self._cache.find(run.session, seq)
        if block is None:
            version = self._cache.version
            damaged: list[int] = []

            def told(first: int, count: int, error: DamagedBlock) -> bytes:
                damaged.append(first + count)
                self._on_damage(run.session, error)
                return b""

            lines = next(reader.read(run.session, seq, on_damage=told), b"")
            if not lines:
                return (min(damaged[0], end) if damaged else end), b""
            block = Block(seq, lines)
            self._cache.put(run.session, block, version)
        if len(blocks) == BLOCKS_AT_HAND:
            blocks.clear()
        blocks[run.session] = block
        stop = min(end, block.end_seq)
        return stop, block.cut(seq, stop)


def _committed(run: Run, seq: int, stop: int, lines: bytes) -> Committed:
    position = run.position + seq - run.first_seq
    return Committed(position, run.session, run.agent, run.name, seq, stop - seq, lines)
