"""The ceiling: what memory we use, how near the budget that is, and what is done about it.

Every room that keeps things in memory is a `Bounded`; the governor sees all of them through that
one protocol and owns none of them.
"""

from holdfast.governor.governor import (
    Action,
    Assessment,
    ComponentMemory,
    Governor,
    Relief,
    Snapshot,
    Thresholds,
    ThresholdsError,
    decide,
    next_delay_s,
)
from holdfast.governor.protocol import Bounded, Level, Usage
from holdfast.governor.readings import Allocations, ProcessMemory, Readings, TreeMemory

__all__ = [
    "Action",
    "Allocations",
    "Assessment",
    "Bounded",
    "ComponentMemory",
    "Governor",
    "Level",
    "ProcessMemory",
    "Readings",
    "Relief",
    "Snapshot",
    "Thresholds",
    "ThresholdsError",
    "TreeMemory",
    "Usage",
    "decide",
    "next_delay_s",
]
