"""Where Goose keeps its sessions, and whose each one is."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from typing import ClassVar, Final

from holdfast.sources.agents.goose import tables
from holdfast.sources.agents.goose.telling import AGENT
from holdfast.sources.base import MEMBER, ItemReader, Log, Means, Place, Stamp, is_utf8_path
from holdfast.sources.folders import FolderSource

_DATABASE: Final = "sessions.db"


class Agent(FolderSource):
    """Finds the one database of Goose."""

    agent = AGENT
    name = "Goose"
    variables = ("GOOSE_PATH_ROOT",)
    endings: ClassVar[tuple[str, ...]] = (".db",)
    inside: ClassVar[tuple[str, ...]] = ("sessions",)

    @classmethod
    def default_place(cls, environ: Mapping[str, str]) -> Place:
        if root := environ.get("GOOSE_PATH_ROOT"):
            return Place([os.path.join(root, "data")], "$GOOSE_PATH_ROOT")
        if data := environ.get("XDG_DATA_HOME"):
            return Place([os.path.join(data, "goose")], "$XDG_DATA_HOME")
        return Place(["~/.local/share/goose"], "the agent's default")

    def enters(self, folder: str) -> bool:
        """Copies of the database lie in a folder beside it."""
        return not any(folder.startswith(root + "/") for root in self.roots())

    def identify(self, key: str) -> Log | None:
        path, _, member = key.partition(MEMBER)
        if not member or not is_utf8_path(key) or self.store_of(path) != path:
            return None
        return tables.log_of(path, os.path.dirname(path), member)

    def store_of(self, path: str) -> str | None:
        path = path.removesuffix("-wal").removesuffix("-journal")
        folder, name = os.path.split(path)
        return path if name == _DATABASE and folder in self.roots() else None

    def logs(self, store: str, since_ns: int = 0) -> Iterator[tuple[Log, Stamp]]:
        return tables.logs(store, os.path.dirname(store), since_ns)

    def reader(self, log: Log, state: bytes, means: Means) -> ItemReader:
        return tables.TableReader(log, state, means)
