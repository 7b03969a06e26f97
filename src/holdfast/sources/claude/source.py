"""Where Claude Code keeps its logs, and whose each one is."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from typing import ClassVar, Final

from holdfast.errors import Exit, HoldfastError
from holdfast.sources.base import BlobSink, Log, first_text, folded, is_utf8_path
from holdfast.sources.claude.parser import AGENT, ClaudeParser

_SUFFIX: Final = ".jsonl"


class RelativeRoot(HoldfastError):
    """A root that means another folder wherever a command is run."""

    exit: ClassVar[Exit] = Exit.CONFIG


class ClaudeSource:
    """Finds Claude Code's logs below its roots."""

    agent = AGENT

    def __init__(self, roots: Sequence[str]) -> None:
        self._roots = [os.path.realpath(os.path.expanduser(root)) for root in roots]

    @classmethod
    def from_environment(
        cls, configured: Sequence[str], environ: Mapping[str, str]
    ) -> ClaudeSource:
        for root in configured:
            if not root.startswith(("/", "~")):
                raise RelativeRoot(
                    f"sources.claude.roots holds {root!r}, and the daemon runs in no folder of "
                    "yours: write the whole path, or begin it with ~"
                )
        return cls(configured or [environ.get("CLAUDE_CONFIG_DIR") or "~/.claude"])

    def roots(self) -> list[str]:
        return [os.path.join(root, "projects") for root in self._roots]

    def suffixes(self) -> tuple[str, ...]:
        return (_SUFFIX,)

    def identify(self, path: str) -> Log | None:
        if path.endswith(_SUFFIX) and is_utf8_path(path):
            for root in self.roots():
                if path.startswith(root + "/"):
                    return _identify(path, root)
        return None

    def projects_of(self, log: Log, head: bytes) -> list[str]:
        """The folder's name says it again where no record does, or where they do not agree."""
        folder = log.relative.partition("/")[0]
        cwd = first_text(head, "cwd")
        if cwd and folded(cwd) == folder:
            return [cwd]
        return [name for name in (cwd, folder) if name]

    def parser(self, log: Log, state: bytes, blobs: BlobSink) -> ClaudeParser:
        return ClaudeParser(log, state, blobs)


def _identify(path: str, root: str) -> Log:
    """`<project>/<session>.jsonl`, or a subagent's `<project>/<session>/subagents/…/<name>.jsonl`.

    A subagent's records carry the session id of their parent, so its own comes from its path.
    """
    names = path[len(root) + 1 : -len(_SUFFIX)].split("/")
    if len(names) <= len(("project", "session")):
        return Log(AGENT, path, root, names[-1])
    parent = names[1]
    rest = [name for name in names[2:] if name != "subagents"]
    return Log(AGENT, path, root, "/".join([parent, *rest]), parent)
