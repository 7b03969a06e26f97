"""Where Cline keeps its sessions, and whose each file is."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from typing import Final

from holdfast.sources.agents.cline.parser import AGENT
from holdfast.sources.agents.cline.readers import (
    HISTORY,
    MESSAGES,
    SHOWN,
    SessionManifest,
    SessionMessages,
    TaskHistory,
    TaskShown,
)
from holdfast.sources.base import ItemReader, Log, Means, Place
from holdfast.sources.wholefiles import WholeFileSource

SESSIONS: Final = "sessions"
TASKS: Final = "tasks"
EXTENSION: Final = "saoudrizwan.claude-dev"
_EDITORS: Final = ("Code", "Code - Insiders", "VSCodium", "Cursor", "Windsurf")
_SETTINGS: Final = ("~/.config", "~/Library/Application Support")
_SERVERS: Final = ("~/.vscode-server/data", "~/.cursor-server/data")


class Agent(WholeFileSource):
    """Finds the sessions of Cline's command line and of its extensions of editors."""

    agent = AGENT
    name = "Cline"
    variables = ("CLINE_DATA_DIR", "CLINE_DIR")
    inside = (SESSIONS, TASKS)
    endings = (".json",)

    @classmethod
    def default_place(cls, environ: Mapping[str, str]) -> Place:
        for variable, folder in (("CLINE_DATA_DIR", ""), ("CLINE_DIR", "data")):
            named = environ.get(variable)
            if named:
                return Place([os.path.join(named, folder)], f"${variable}")
        editors = [
            *(f"{settings}/{editor}" for settings in _SETTINGS for editor in _EDITORS),
            *_SERVERS,
        ]
        stores = [f"{editor}/User/globalStorage/{EXTENSION}" for editor in editors]
        return Place(["~/.cline/data", *stores], "the agent's default")

    def enters(self, folder: str) -> bool:
        """Beside the conversations stand checkpoints, which are whole repositories."""
        for root in self._roots:
            if folder.startswith(root + "/"):
                deep = folder[len(root) + 1 :].count("/")
                return deep == 0 or (deep == 1 and root.endswith(SESSIONS))
        return True

    def log_at(self, root: str, path: str) -> Log | None:
        names = path[len(root) + 1 :].split("/")
        if root.endswith(TASKS):
            is_task = len(names) == 2 and names[1] in (HISTORY, SHOWN)
            return Log(AGENT, path, root, names[0], in_place=True) if is_task else None
        if len(names) == 2 and names[1] == f"{names[0]}.json":
            return Log(AGENT, path, root, names[0], in_place=True)
        if not 2 <= len(names) <= 3 or not names[-1].endswith(MESSAGES):
            return None
        name = names[-1].removesuffix(MESSAGES)
        if len(names) == 2 and name == names[0]:
            return Log(AGENT, path, root, name, in_place=True)
        session = "/".join([*names[:-1], name])
        return Log(AGENT, path, root, session, parent=names[0], in_place=True)

    def reader(self, log: Log, state: bytes, means: Means) -> ItemReader:  # noqa: ARG002
        return _reader_of(log.path)(log, means)


def _reader_of(path: str) -> Callable[[Log, Means], ItemReader]:
    name = os.path.basename(path)
    if name == HISTORY:
        return TaskHistory
    if name == SHOWN:
        return TaskShown
    return SessionMessages if name.endswith(MESSAGES) else SessionManifest
