"""Where Cursor keeps its transcripts, and whose each one is."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from holdfast.sources.agents.cursor.transcripts import AGENT, TranscriptParser
from holdfast.sources.base import BlobSink, Log, Place
from holdfast.sources.folders import FolderSource

TRANSCRIPTS: Final = "agent-transcripts"
SUBAGENTS: Final = "subagents"


class Agent(FolderSource):
    """Finds Cursor's transcripts below its roots."""

    agent = AGENT
    name = "Cursor"
    inside = ("projects",)

    @classmethod
    def default_place(cls, environ: Mapping[str, str]) -> Place:  # noqa: ARG003  # it asks for none
        return Place(["~/.cursor"], "the agent's default")

    def enters(self, folder: str) -> bool:
        """Of a project's folders the one with transcripts: others hold what its terminals said."""
        for root in self.roots():
            if folder.startswith(root + "/"):
                names = folder[len(root) + 1 :].split("/")
                return len(names) == 1 or names[1] == TRANSCRIPTS
        return True

    def log_at(self, root: str, path: str) -> Log | None:
        """`[<session>/]<session>.jsonl`, or a subagent's `<session>/subagents/<name>.jsonl`."""
        names = path[len(root) + 1 : -len(".jsonl")].split("/")
        if len(names) <= len(("project", TRANSCRIPTS)) or names[1] != TRANSCRIPTS:
            return None
        if SUBAGENTS in names[3:-1]:
            return Log(AGENT, path, root, f"{names[2]}/{names[-1]}", names[2])
        return Log(AGENT, path, root, names[-1])

    def parser(self, log: Log, state: bytes, blobs: BlobSink) -> TranscriptParser:
        return TranscriptParser(log, state, blobs)
