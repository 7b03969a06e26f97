"""The way down: everything is tried, in order, and whoever hangs is named."""

from __future__ import annotations

import asyncio

from holdfast.shutdown import Report, Step, run_steps


def run(steps: list[Step], deadline_s: float) -> Report:
    return asyncio.run(run_steps(steps, deadline_s=deadline_s))


def test_steps_run_in_order_and_a_failure_does_not_stop_the_rest() -> None:
    done: list[str] = []

    async def good(name: str) -> None:
        done.append(name)

    async def bad() -> None:
        raise ValueError("no")

    late, took_ms = run([("a", lambda: good("a")), ("b", bad), ("c", lambda: good("c"))], 5.0)
    assert done == ["a", "c"]
    assert list(took_ms) == ["a", "b", "c"]
    assert late == ["b failed: ValueError('no')"]


def test_a_step_that_hangs_is_named_and_the_next_still_has_its_time() -> None:
    done: list[str] = []

    async def hang() -> None:
        await asyncio.Event().wait()

    async def good() -> None:
        await asyncio.sleep(0)
        done.append("good")

    late, took_ms = run([("hanging", hang), ("good", good)], 0.2)
    assert took_ms["hanging"] >= 100 > took_ms["good"]
    assert done == ["good"]
    assert len(late) == 1
    assert late[0].startswith("hanging did not stop within")
