"""The ceiling: what memory we use, how near its end that is, and what is done about it.

Every room that keeps things in memory is a `Bounded`; the governor sees all of them through that
one protocol and owns none of them.
"""

from holdfast.governor.gate import BackgroundGate
from holdfast.governor.governor import (
    Assessment,
    Change,
    Governor,
    Look,
    Snapshot,
    lines_of,
    next_delay_s,
)
from holdfast.governor.ladder import Effect, Ladder, Pressure, Step, StepRecord
from holdfast.governor.levels import (
    Judgement,
    Levels,
    Line,
    ReadingLevel,
    Thresholds,
    ThresholdsError,
    decide,
)
from holdfast.governor.protocol import Bounded, Level, Usage
from holdfast.governor.readings import Allocations, ProcessMemory, Readings, TreeMemory
from holdfast.governor.relief import Action, Relief
from holdfast.governor.tracker import Account, ComponentMemory, OverLimit, TaskCounts, Tracker

__all__ = [
    "Account",
    "Action",
    "Allocations",
    "Assessment",
    "BackgroundGate",
    "Bounded",
    "Change",
    "ComponentMemory",
    "Effect",
    "Governor",
    "Judgement",
    "Ladder",
    "Level",
    "Levels",
    "Line",
    "Look",
    "OverLimit",
    "Pressure",
    "ProcessMemory",
    "ReadingLevel",
    "Readings",
    "Relief",
    "Snapshot",
    "Step",
    "StepRecord",
    "TaskCounts",
    "Thresholds",
    "ThresholdsError",
    "Tracker",
    "TreeMemory",
    "Usage",
    "decide",
    "lines_of",
    "next_delay_s",
]
