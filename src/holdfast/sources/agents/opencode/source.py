"""Where OpenCode keeps its sessions, and whose each one is."""

from __future__ import annotations

import os
import re
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import ClassVar, Final

from holdfast.sources.agents.opencode import tables, tree
from holdfast.sources.agents.opencode.telling import AGENT
from holdfast.sources.base import (
    MEMBER,
    ItemReader,
    Log,
    Means,
    Place,
    Stamp,
    is_utf8_path,
)
from holdfast.sources.folders import FolderSource

_DATABASE: Final = re.compile(r"opencode[^/]*\.db")
_BESIDE: Final = ("-wal", "-journal")  # what is written before the database itself is


def _now_ms() -> float:
    return time.time() * 1_000


class Agent(FolderSource):
    """Finds OpenCode's databases, and the tree that came before them."""

    agent = AGENT
    name = "OpenCode"
    endings: ClassVar[tuple[str, ...]] = (".db", ".json")
    now_ms: Callable[[], float] = staticmethod(_now_ms)

    def __init__(self, roots: Sequence[str], origin: str = "") -> None:
        super().__init__(roots, origin)
        self._trees = tree.Trees()

    @classmethod
    def default_place(cls, environ: Mapping[str, str]) -> Place:
        data = environ.get("XDG_DATA_HOME")
        if data:
            return Place([os.path.join(data, "opencode")], "$XDG_DATA_HOME")
        return Place(["~/.local/share/opencode"], "the agent's default")

    def enters(self, folder: str) -> bool:
        """Beside the sessions lie copies of repositories, programs, and the output of tools."""
        root = self._root_of(folder)
        return root is None or tree.enters(folder[len(root) + 1 :])

    def log_at(self, root: str, path: str) -> Log | None:
        return tree.log_at(root, path)

    def identify(self, key: str) -> Log | None:
        path, _, member = key.partition(MEMBER)
        root = self._root_of(path)
        if root is None or not is_utf8_path(key):
            return None
        if member:
            return tables.log_of(path, root, member) if _is_database(root, path) else None
        return self.log_at(root, path)

    def store_of(self, path: str) -> str | None:
        root = self._root_of(path)
        if root is None:
            return None
        for ending in _BESIDE:
            path = path.removesuffix(ending)
        return path if _is_database(root, path) else self._trees.session_file(root, path)

    def logs(self, store: str, since_ns: int = 0) -> Iterator[tuple[Log, Stamp]]:
        root = self._root_of(store) or os.path.dirname(store)
        if _is_database(root, store):
            return tables.logs(store, root, since_ns)
        return self._trees.logs(store, root)

    def reader(self, log: Log, state: bytes, means: Means) -> ItemReader:
        if log.member:
            return tables.TableReader(log, state, means, self.now_ms)
        return tree.TreeReader(log, state, means, self.now_ms, self._trees)

    def _root_of(self, path: str) -> str | None:
        return next((root for root in self.roots() if path.startswith(root + "/")), None)


def _is_database(root: str, path: str) -> bool:
    folder, name = os.path.split(path)
    return folder == root and _DATABASE.fullmatch(name) is not None
