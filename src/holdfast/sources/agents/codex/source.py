"""Where Codex CLI keeps its logs, and whose each one is.

A session's id is taken from the name of its file. Records carry ids too, but not always that of the
session: a fork begins with the records of the session that it comes from, `session_id` of a
subagent is its parent's, and the oldest logs have none. The name stays the same when Codex moves a
log to `archived_sessions` or compresses it, so both are the same session.
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from typing import Final

from holdfast.sources.agents.codex.names import name_of
from holdfast.sources.agents.codex.parser import AGENT, CodexParser
from holdfast.sources.base import COMPRESSED, BlobSink, Log, Place
from holdfast.sources.folders import FolderSource, place_of

PREFIX: Final = "rollout-"
ENDING: Final = ".jsonl"
_UUID_AT_THE_END: Final = re.compile(r"[0-9a-fA-F]{8}(?:-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}\Z")


class Agent(FolderSource):
    """Finds Codex CLI's logs below its roots."""

    agent = AGENT
    name = "Codex CLI"
    variables = ("CODEX_HOME",)
    endings = (ENDING, ENDING + COMPRESSED)
    inside = ("sessions", "archived_sessions")

    @classmethod
    def default_place(cls, environ: Mapping[str, str]) -> Place:
        return place_of(environ, "CODEX_HOME", "~/.codex")

    def log_at(self, root: str, path: str) -> Log | None:
        name = os.path.basename(path).removesuffix(COMPRESSED).removesuffix(ENDING)
        if not name.startswith(PREFIX):
            return None
        uuid = _UUID_AT_THE_END.search(name)
        return Log(AGENT, path, root, uuid[0].lower() if uuid else name)

    def parser(self, log: Log, state: bytes, blobs: BlobSink) -> CodexParser:
        parser = CodexParser(log, state, blobs)
        parser.named(name_of(log.agent_session_id, os.path.dirname(log.root)))
        return parser
