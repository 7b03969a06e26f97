"""Programs on asyncio under a drawn order, a virtual clock and faults, the same run for a seed.

For tests of holdfast, and of programs that use it:

    async def scenario(world: Simulation) -> None:
        ...  # start programs, ask them things, raise when something is wrong

    check(scenario, range(1_000))
"""

from __future__ import annotations

from holdfast.simulation.faults import Faults, drawn_delay
from holdfast.simulation.host import ConnectionLost, Host
from holdfast.simulation.hunt import Hunt, SeedFailed, check, hunt
from holdfast.simulation.loop import (
    CallbackFailed,
    Deadlock,
    NeverEnds,
    NotSimulated,
    Process,
    SimulatedLoop,
    SimulationError,
    TaskFailed,
    current_process,
)
from holdfast.simulation.world import Outcome, Scenario, Simulation, simulate

__all__ = [
    "CallbackFailed",
    "ConnectionLost",
    "Deadlock",
    "Faults",
    "Host",
    "Hunt",
    "NeverEnds",
    "NotSimulated",
    "Outcome",
    "Process",
    "Scenario",
    "SeedFailed",
    "SimulatedLoop",
    "Simulation",
    "SimulationError",
    "TaskFailed",
    "check",
    "current_process",
    "drawn_delay",
    "hunt",
    "simulate",
]
