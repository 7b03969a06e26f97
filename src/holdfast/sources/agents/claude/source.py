"""Where Claude Code keeps its logs, and whose each one is."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping

from holdfast.sources.agents.claude.cleanup import Retention, retention_of
from holdfast.sources.agents.claude.parser import AGENT, ClaudeParser
from holdfast.sources.base import BlobSink, Expiring, Log, Place, first_text, folded
from holdfast.sources.folders import FolderSource, place_of
from holdfast.sources.walk import walk_folders


class Agent(FolderSource):
    """Finds Claude Code's logs below its roots."""

    agent = AGENT
    name = "Claude Code"
    inside = ("projects",)
    variables = ("CLAUDE_CONFIG_DIR",)

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

    def projects_of(self, log: Log, head: bytes) -> list[str]:
        """The folder's name says it again where no record does, or where they do not agree."""
        folder = log.relative.partition("/")[0]
        cwd = first_text(head, "cwd")
        if cwd and folded(cwd) == folder:
            return [cwd]
        return [name for name in (cwd, folder) if name]

    def parser(self, log: Log, state: bytes, blobs: BlobSink) -> ClaudeParser:
        return ClaudeParser(log, state, blobs)

    def retention(self) -> str:
        return "; ".join(str(retention) for retention in {*self._retentions()})

    def expiring(self, before_s: float) -> Iterator[Expiring]:
        """The agent goes by the time at which a log was last written to."""
        for root, retention in zip(self.roots(), self._retentions(), strict=True):
            latest_s = before_s - retention.seconds
            for folder, names in walk_folders(root):
                for name in names:
                    if name.endswith(self.endings):
                        path = os.path.join(folder, name)
                        try:
                            about = os.stat(path)
                        except OSError:  # gone meanwhile: nothing to warn of
                            continue
                        if about.st_mtime < latest_s:
                            due_s = about.st_mtime + retention.seconds
                            yield Expiring(path, due_s, about.st_size)

    def _retentions(self) -> list[Retention]:
        return [retention_of(root) for root in self.place.roots]
