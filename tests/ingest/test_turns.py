"""Logs that need a child: each waits for its turn, and holds nothing meanwhile."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from holdfast.governor.gate import BackgroundGate
from holdfast.ingest.turns import Turns

WAIT_MAX_S = 300.0


class Bench:
    def __init__(self, count: int) -> None:
        self.now_s = 0.0
        self.came: list[str] = []
        self.gate = BackgroundGate()
        self.turns = Turns(
            count,
            self.gate,
            self.came.append,
            clock_s=lambda: self.now_s,
            wait_max_s=WAIT_MAX_S,
        )
        self.gate.join("imports", resume=self.turns.look)


def on_a_loop(count: int, scene: Callable[[Bench], None]) -> None:
    async def main() -> None:
        bench = Bench(count)
        scene(bench)
        bench.turns.close()

    asyncio.run(main())


def test_there_are_no_more_turns_than_were_said_and_who_came_first_is_next() -> None:
    def scene(bench: Bench) -> None:
        assert bench.turns.take("a")
        assert not bench.turns.take("b")
        assert not bench.turns.take("c")
        assert len(bench.turns) == 2
        bench.turns.over("a")
        assert bench.came == ["b"]
        assert bench.turns.take("b")
        assert bench.turns.waits("c")
        bench.turns.over("b")
        assert bench.came == ["b", "c"]

    on_a_loop(1, scene)


def test_before_a_closed_gate_all_wait_until_it_opens() -> None:
    def scene(bench: Bench) -> None:
        bench.gate.close()
        assert not bench.turns.take("a")
        assert not bench.turns.take("a")
        assert not bench.turns.take("b")
        bench.turns.look()
        assert bench.came == []
        bench.gate.open()
        assert bench.came == ["a", "b"]

    on_a_loop(2, scene)


def test_nobody_waits_longer_than_the_gate_makes_jobs_wait() -> None:
    def scene(bench: Bench) -> None:
        bench.gate.close()
        bench.turns.take("a")
        bench.now_s = 1
        bench.turns.take("b")
        bench.now_s = WAIT_MAX_S
        bench.turns.look()
        assert bench.came == ["a"]
        assert bench.turns.take("a"), "the gate is closed, and its turn has come all the same"

    on_a_loop(2, scene)


def test_a_wait_that_is_over_ends_by_itself() -> None:
    async def main() -> None:
        gate, came = BackgroundGate(), asyncio.Event()
        turns = Turns(1, gate, lambda _key: came.set(), wait_max_s=0.01)
        gate.close()
        assert not turns.take("a")
        await asyncio.wait_for(came.wait(), 60)

    asyncio.run(main())


def test_who_has_no_turn_gives_none_back() -> None:
    def scene(bench: Bench) -> None:
        bench.turns.take("a")
        bench.turns.take("b")
        bench.turns.over("c")
        assert bench.came == []

    on_a_loop(1, scene)
