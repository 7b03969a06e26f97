"""The ceiling: what memory we use, how near its end that is, and what is done about it.

Every room that keeps things in memory is a `Bounded`; the governor sees all of them through that
one protocol and owns none of them.
"""

from holdfast.governor.admission import Admission, Cost, PutOff, Requests, Throttled
from holdfast.governor.allocators import FreeMemory
from holdfast.governor.allowance import Allowance
from holdfast.governor.gate import WAIT_MAX_S, BackgroundGate
from holdfast.governor.governor import (
    Assessment,
    Change,
    Governor,
    Look,
    OnChange,
    Snapshot,
    lines_of,
    next_delay_s,
)
from holdfast.governor.ladder import NOTHING, Effect, Ladder, Pressure, Step, StepRecord
from holdfast.governor.levels import (
    BUDGET,
    GROUP,
    STALL_HYSTERESIS_POINTS,
    Judgement,
    Levels,
    Line,
    ReadingLevel,
    Thresholds,
    ThresholdsError,
    decide,
)
from holdfast.governor.limits import (
    LimitReadings,
    Needs,
    check_limits,
    check_system,
    read_limits,
)
from holdfast.governor.machine import Machine, MachineReading, oom_kills_of
from holdfast.governor.measured import Claim, MappedFiles, OtherChildren
from holdfast.governor.protocol import Bounded, Level, Measured, Usage
from holdfast.governor.readings import (
    Allocations,
    ProcessMemory,
    Readings,
    TreeMemory,
    resident_bytes,
)
from holdfast.governor.relief import Action, Relief
from holdfast.governor.tracker import Account, ComponentMemory, OverLimit, TaskCounts, Tracker

__all__ = [
    "BUDGET",
    "GROUP",
    "NOTHING",
    "STALL_HYSTERESIS_POINTS",
    "WAIT_MAX_S",
    "Account",
    "Action",
    "Admission",
    "Allocations",
    "Allowance",
    "Assessment",
    "BackgroundGate",
    "Bounded",
    "Change",
    "Claim",
    "ComponentMemory",
    "Cost",
    "Effect",
    "FreeMemory",
    "Governor",
    "Judgement",
    "Ladder",
    "Level",
    "Levels",
    "LimitReadings",
    "Line",
    "Look",
    "Machine",
    "MachineReading",
    "MappedFiles",
    "Measured",
    "Needs",
    "OnChange",
    "OtherChildren",
    "OverLimit",
    "Pressure",
    "ProcessMemory",
    "PutOff",
    "ReadingLevel",
    "Readings",
    "Relief",
    "Requests",
    "Snapshot",
    "Step",
    "StepRecord",
    "TaskCounts",
    "Thresholds",
    "ThresholdsError",
    "Throttled",
    "Tracker",
    "TreeMemory",
    "Usage",
    "check_limits",
    "check_system",
    "decide",
    "lines_of",
    "next_delay_s",
    "oom_kills_of",
    "read_limits",
    "resident_bytes",
]
