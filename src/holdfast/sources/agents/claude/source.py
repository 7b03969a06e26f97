"""Where Claude Code keeps its logs, and whose each one is."""

from __future__ import annotations

from collections.abc import Mapping

from holdfast.sources.agents.claude.parser import AGENT, ClaudeParser
from holdfast.sources.base import BlobSink, Log, Place
from holdfast.sources.folders import FolderSource, place_of


class Agent(FolderSource):
    """Finds Claude Code's logs below its roots."""

    agent = AGENT
    name = "Claude Code"
    inside = ("projects",)

    @classmethod
    def default_place(cls, environ: Mapping[str, str]) -> Place:
        return place_of(environ, "CLAUDE_CONFIG_DIR", "~/.claude")

    def log_at(self, root: str, path: str) -> Log:
        """`<project>/<session>.jsonl`, or a subagent's `<session>/subagents/…/<name>.jsonl`.

        A subagent's records carry the session id of their parent, so its own comes from its path.
        """
        names = path[len(root) + 1 : -len(".jsonl")].split("/")
        if len(names) <= len(("project", "session")):
            return Log(AGENT, path, root, names[-1])
        parent = names[1]
        rest = [name for name in names[2:] if name != "subagents"]
        return Log(AGENT, path, root, "/".join([parent, *rest]), parent)

    def parser(self, log: Log, state: bytes, blobs: BlobSink) -> ClaudeParser:
        return ClaudeParser(log, state, blobs)
