"""An orderly way down: steps in order, each with a deadline, none able to stop the rest."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence

Step = tuple[str, Callable[[], Awaitable[object]]]


async def run_steps(steps: Sequence[Step], *, deadline_s: float) -> list[str]:
    """Run them all; what hung or failed, one sentence each.

    Each step may take an equal share of the deadline, and what the ones before it left over.
    """
    late = []
    loop = asyncio.get_running_loop()
    begun_s = loop.time()
    for number, (name, step) in enumerate(steps, start=1):
        allowed_s = begun_s + deadline_s * number / len(steps) - loop.time()
        try:
            await asyncio.wait_for(step(), max(allowed_s, 0.0))
        except TimeoutError:
            late.append(f"{name} did not stop within {max(allowed_s, 0.0):.1f} s")
        except Exception as error:  # noqa: BLE001  # the rest must still stop
            late.append(f"{name} failed: {error!r}")
    return late
