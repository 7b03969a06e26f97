"""Which logs changed: told by the system, so that waiting costs nothing.

On Linux inotify itself: its descriptor wakes the event loop, and between two changes no instruction
runs. watchfiles, which hides the systems behind one interface, looks at its queue every `step`
milliseconds: 1 ms cost 2 % of a core on an idle machine, 50 ms half the time a line may take (see
docs/decisions/0003). It serves where inotify is not.

Roots that do not exist yet are waited for in the nearest folder that does. What a watcher misses
(a full queue, too many folders, network file systems) the periodic reconciling finds.
"""

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import Callable
from contextlib import suppress
from typing import Protocol

from holdfast.sources.walk import walk_folders

OnChange = Callable[[str], None]
OnMissed = Callable[[str], None]


class Watcher(Protocol):
    """Reports paths of files that were made, written, moved or deleted below its roots."""

    def start(self) -> None: ...
    def close(self) -> None: ...


def make_watcher(roots: list[str], on_change: OnChange, on_missed: OnMissed) -> Watcher:
    """`on_missed` is told when changes may have been lost: everything is to be looked at then."""
    if sys.platform == "linux":
        return InotifyWatcher(roots, on_change, on_missed)
    return PollingWatcher(roots, on_change, on_missed)


class InotifyWatcher:
    """Needs a running asyncio loop; reports from within it."""

    def __init__(self, roots: list[str], on_change: OnChange, on_missed: OnMissed) -> None:
        from inotify_simple import INotify, flags

        self._roots = roots
        self._on_change = on_change
        self._on_missed = on_missed
        self._flags = flags
        self._mask = (
            flags.CREATE
            | flags.MODIFY
            | flags.MOVED_TO
            | flags.MOVED_FROM
            | flags.DELETE
            | flags.DELETE_SELF
            | flags.ONLYDIR
        )
        self._inotify = INotify(nonblocking=True)
        self._folders: dict[int, str] = {}

    def start(self) -> None:
        for root in self._roots:
            self._watch_root(root)
        asyncio.get_running_loop().add_reader(self._inotify.fileno(), self._read)

    def close(self) -> None:
        with suppress(RuntimeError):
            asyncio.get_running_loop().remove_reader(self._inotify.fileno())
        self._inotify.close()

    @property
    def folders(self) -> int:
        return len(self._folders)

    def _watch_root(self, root: str) -> None:
        """The root and all below it; or, until it exists, the nearest folder above it."""
        if os.path.isdir(root):
            self._watch_below(root)
            return
        above = os.path.dirname(root)
        while not os.path.isdir(above):
            above = os.path.dirname(above)
        self._watch(above)

    def _watch_below(self, folder: str) -> list[str]:
        """Watch first, list then: a file made in between is reported twice, not never."""
        files = []
        waiting = [folder]
        while waiting:
            for found, names in walk_folders(waiting.pop()):
                if self._watch(found):
                    files += [os.path.join(found, name) for name in names]
        return files

    def _watch(self, folder: str) -> bool:
        try:
            number = self._inotify.add_watch(folder, self._mask)
        except OSError as error:
            if os.path.isdir(folder):
                self._on_missed(f"cannot watch {folder}: {error.strerror}")
            return False
        self._folders[number] = folder
        return True

    def _read(self) -> None:
        flags = self._flags
        for event in self._inotify.read(timeout=0):
            if event.mask & flags.Q_OVERFLOW:
                self._on_missed("more changes at once than the system keeps")
                continue
            folder = self._folders.get(event.wd)
            if folder is None:
                continue
            if event.mask & flags.IGNORED:
                del self._folders[event.wd]
            elif event.name:
                self._changed(os.path.join(folder, event.name), event.mask)

    def _changed(self, path: str, mask: int) -> None:
        flags = self._flags
        if mask & flags.ISDIR:
            if mask & (flags.CREATE | flags.MOVED_TO):
                self._folder_appeared(path)
            elif mask & (flags.DELETE | flags.MOVED_FROM):
                self._on_missed(f"{path} was moved or deleted")
        elif self._is_below_roots(path):
            self._on_change(path)

    def _folder_appeared(self, path: str) -> None:
        if self._is_below_roots(path):
            for file in self._watch_below(path):
                self._on_change(file)
            return
        for root in self._roots:
            if root == path or root.startswith(path + "/"):
                self._watch_root(root)
                if os.path.isdir(root):
                    self._on_missed(f"{root} appeared")

    def _is_below_roots(self, path: str) -> bool:
        return any(path == root or path.startswith(root + "/") for root in self._roots)


class PollingWatcher:
    """watchfiles on a thread, for systems without inotify."""

    STEP_MS = 20

    def __init__(self, roots: list[str], on_change: OnChange, on_missed: OnMissed) -> None:
        self._roots = roots
        self._on_change = on_change
        self._on_missed = on_missed
        self._stop = asyncio.Event()
        self._tasks: list[asyncio.Task[None]] = []

    def start(self) -> None:
        self._tasks = [asyncio.ensure_future(self._follow(root)) for root in self._roots]

    def close(self) -> None:
        self._stop.set()
        for task in self._tasks:
            task.cancel()

    async def _follow(self, root: str) -> None:
        from watchfiles import awatch

        while not os.path.isdir(root):
            await asyncio.sleep(1)
        self._on_missed(f"{root} appeared")
        async for changes in awatch(root, step=self.STEP_MS, stop_event=self._stop):
            for _change, path in changes:
                self._on_change(path)
