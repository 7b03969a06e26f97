"""Where Cursor keeps its transcripts and chats, and whose each one is."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Final

from holdfast.sources.agents.cursor import chats
from holdfast.sources.agents.cursor.transcripts import AGENT, TranscriptParser
from holdfast.sources.base import BlobSink, ItemReader, Log, Means, Place, Stamp, is_utf8_path
from holdfast.sources.folders import FolderSource

TRANSCRIPTS: Final = "agent-transcripts"
SUBAGENTS: Final = "subagents"
CHATS: Final = "chats"


class Agent(FolderSource):
    """Finds the transcripts of Cursor, and the chats of its command line."""

    agent = AGENT
    name = "Cursor"
    inside = ("projects", CHATS)

    @classmethod
    def default_place(cls, environ: Mapping[str, str]) -> Place:  # noqa: ARG003  # it asks for none
        return Place(["~/.cursor"], "the agent's default")

    def enters(self, folder: str) -> bool:
        """Of a project's folders the one with transcripts: others hold what its terminals said."""
        for root in self.roots():
            if folder.startswith(root + "/") and not root.endswith(f"/{CHATS}"):
                names = folder[len(root) + 1 :].split("/")
                return len(names) == 1 or names[1] == TRANSCRIPTS
        return True

    def identify(self, key: str) -> Log | None:
        root = self._root_of_chats(key)
        return super().identify(key) if root is None else chats.log_at(root, key)

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

    # Chats: databases, whose rows are added to.

    def store_of(self, path: str) -> str | None:
        root = self._root_of_chats(path)
        return None if root is None else chats.store_of(root, path)

    def logs(self, store: str, since_ns: int = 0) -> Iterator[tuple[Log, Stamp]]:  # noqa: ARG002  # one log each
        root = self._root_of_chats(store)
        return iter(()) if root is None else chats.logs(store, root)

    def reader(self, log: Log, state: bytes, means: Means) -> ItemReader:
        return chats.ChatReader(log, state, means)

    def _root_of_chats(self, path: str) -> str | None:
        for root in self.place.roots:
            if path.startswith(f"{root}/{CHATS}/") and is_utf8_path(path):
                return root
        return None
