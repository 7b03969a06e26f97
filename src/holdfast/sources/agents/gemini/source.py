"""Where Gemini CLI keeps its sessions, and whose each one is."""

from __future__ import annotations

import os
from collections.abc import Mapping

from holdfast.sources.agents.gemini.parser import AGENT
from holdfast.sources.agents.gemini.readers import SessionDocument, SessionLines
from holdfast.sources.base import ItemReader, Log, Means, Place
from holdfast.sources.wholefiles import WholeFileSource

CHATS = "chats"


class Agent(WholeFileSource):
    """Finds Gemini CLI's sessions below its roots."""

    agent = AGENT
    name = "Gemini CLI"
    variables = ("GEMINI_CLI_HOME",)
    inside = ("tmp",)
    endings = (".json", ".jsonl")

    @classmethod
    def default_place(cls, environ: Mapping[str, str]) -> Place:
        home = environ.get("GEMINI_CLI_HOME")
        if home:
            return Place([os.path.join(home, ".gemini")], "$GEMINI_CLI_HOME")
        return Place(["~/.gemini"], "the agent's default")

    def enters(self, folder: str) -> bool:
        """Beside the chats stand outputs of tools, checkpoints, logs of prompts."""
        for root in self._roots:
            if folder.startswith(root + "/"):
                names = folder[len(root) + 1 :].split("/")
                return len(names) == 1 or names[1] == CHATS
        return True

    def log_at(self, root: str, path: str) -> Log | None:
        """`<project>/chats/session-*.json`, a subagent's in `chats/<session of its parent>/`."""
        names = path[len(root) + 1 :].split("/")
        name = os.path.splitext(names[-1])[0]
        if len(names) == 3 and names[1] == CHATS and name.startswith("session-"):
            return Log(AGENT, path, root, name, in_place=True)
        if len(names) == 4 and names[1] == CHATS and name:
            return Log(AGENT, path, root, f"{names[2]}/{name}", in_place=True)
        return None

    def reader(self, log: Log, state: bytes, means: Means) -> ItemReader:  # noqa: ARG002
        return (SessionLines if log.path.endswith(".jsonl") else SessionDocument)(log, means)
