"""An orderly way down: steps in order, each with a deadline, none able to stop the rest."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import NamedTuple

Step = tuple[str, Callable[[], Awaitable[object]]]


class Report(NamedTuple):
    """How a way down went."""

    late: list[str]  # what hung or failed, one sentence each
    took_ms: dict[str, int]  # each step, in their order


async def run_steps(steps: Sequence[Step], *, deadline_s: float) -> Report:
    """Run them all.

    Each step may take an equal share of the deadline, and what the ones before it left over.
    """
    report = Report([], {})
    loop = asyncio.get_running_loop()
    begun_s = loop.time()
    for number, (name, step) in enumerate(steps, start=1):
        step_s = loop.time()
        allowed_s = max(begun_s + deadline_s * number / len(steps) - step_s, 0.0)
        try:
            await asyncio.wait_for(step(), allowed_s)
        except TimeoutError:
            report.late.append(f"{name} did not stop within {allowed_s:.1f} s")
        except Exception as error:  # noqa: BLE001  # the rest must still stop
            report.late.append(f"{name} failed: {error!r}")
        report.took_ms[name] = round((loop.time() - step_s) * 1_000)
    return report
