"""Work that goes on: what runs, what is asked, what outlives who began it.

Three families, each in a stream of holdfast's own: tasks, checkpoints, intents. Of each there is a
pure part - a state, what events make of it, what commands may be given (`tasks`, `task_commands`,
`checkpoints`, `intents`) - and an owner that lives on the event loop (`registry`, `desk`,
`intent_registry`).
"""

from holdfast.work.checkpoints import Checkpoint, NewCheckpoint
from holdfast.work.desk import CheckpointDesk, CheckpointSettings, CheckpointsStatus
from holdfast.work.intent_registry import IntentRegistry, IntentSettings, IntentsStatus
from holdfast.work.intents import Intent, NewIntent
from holdfast.work.registry import TaskRegistry, TaskSettings, TasksStatus
from holdfast.work.task_commands import NewTask, Usual
from holdfast.work.tasks import Task
from holdfast.work.templates import TEMPLATES
from holdfast.work.workroom import Compacted, Workroom, WorkSettings, WorkStatus

__all__ = [
    "TEMPLATES",
    "Checkpoint",
    "CheckpointDesk",
    "CheckpointSettings",
    "CheckpointsStatus",
    "Compacted",
    "Intent",
    "IntentRegistry",
    "IntentSettings",
    "IntentsStatus",
    "NewCheckpoint",
    "NewIntent",
    "NewTask",
    "Task",
    "TaskRegistry",
    "TaskSettings",
    "TasksStatus",
    "Usual",
    "WorkSettings",
    "WorkStatus",
    "Workroom",
]
