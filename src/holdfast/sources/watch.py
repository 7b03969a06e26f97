"""Which logs changed: told by the system, so that waiting costs nothing.

On Linux inotify itself: its descriptor wakes the event loop, and between two changes no instruction
runs. watchfiles, which hides the systems behind one interface, looks at its queue every `step`
milliseconds: 1 ms cost 2 % of a core on an idle machine, 50 ms half the time a line may take (see
docs/decisions/0003). It serves where inotify is not.

A watch is on a folder, not on its name. So folders on the way to a root are watched for being moved
or deleted, and while there is no root the nearest one for the next to be made in it. A folder is
watched before it is listed: what is made in between is told twice, not never. What a watcher misses
(too many folders, network file systems) the periodic reconciling finds.
"""

from __future__ import annotations

import asyncio
import errno
import os
import sys
from collections.abc import Callable, Iterator
from contextlib import suppress
from typing import Final, NamedTuple, Protocol

from holdfast.sources.walk import walk_folders

MANY_FILES: Final = 64  # that appear at once are better looked for than told one by one

OnChange = Callable[[str], None]
OnMissed = Callable[[str], None]
Enters = Callable[[str], bool]


def _everywhere(_folder: str) -> bool:
    return True


class Watching(NamedTuple):
    """How much is watched: the rest is found by looking."""

    folders: int | None  # None where the system is not asked folder by folder
    unwatched: int = 0  # folders that the system refused
    blind: bool = False


class Watcher(Protocol):
    """Reports paths of files that were made, written, moved or deleted below its roots."""

    @property
    def watching(self) -> Watching: ...

    def start(self) -> None: ...
    def look_again(self) -> None:
        """Try once more to watch what could not be watched."""
        ...

    def close(self) -> None: ...


def make_watcher(
    roots: list[str], on_change: OnChange, on_missed: OnMissed, enters: Enters = _everywhere
) -> Watcher:
    """`on_missed` is told when changes may have been lost: everything is to be looked at then."""
    if sys.platform == "linux":
        try:
            return InotifyWatcher(roots, on_change, on_missed, enters)
        except OSError as error:  # fs.inotify.max_user_instances: others of this user have them all
            return BlindWatcher(f"cannot watch folders: {error.strerror}", on_missed)
    return PollingWatcher(roots, on_change, on_missed)


class InotifyWatcher:
    """Needs a running asyncio loop; reports from within it."""

    def __init__(
        self,
        roots: list[str],
        on_change: OnChange,
        on_missed: OnMissed,
        enters: Enters = _everywhere,
    ) -> None:
        from inotify_simple import INotify, flags

        self._roots = roots
        self._on_change = on_change
        self._on_missed = on_missed
        self._enters = enters
        self._flags = flags
        self._staying = flags.DELETE_SELF | flags.MOVE_SELF | flags.ONLYDIR
        self._coming = self._staying | flags.CREATE | flags.MOVED_TO
        self._inside = self._coming | flags.MODIFY | flags.MOVED_FROM | flags.DELETE
        self._inotify = INotify(nonblocking=True)
        self._folders: dict[int, str] = {}
        self._numbers: dict[str, int] = {}
        self._aliases: set[str] = set()  # found by the walk that goes on: links to known folders
        self._loop: asyncio.AbstractEventLoop | None = None
        self._unwatched = ""
        self._refused: dict[str, int | None] = {}  # folder -> errno

    def start(self) -> None:
        for root in self._roots:
            self._watch_root(root)
        self._tell_unwatched()
        self._loop = asyncio.get_running_loop()
        self._loop.add_reader(self._inotify.fileno(), self._read)

    def close(self) -> None:
        if self._loop is not None and not self._loop.is_closed():
            self._loop.remove_reader(self._inotify.fileno())
        self._loop = None
        self._inotify.close()

    @property
    def folders(self) -> int:
        return len(self._folders)

    @property
    def watching(self) -> Watching:
        """A folder that we may not look into is a matter of its mode, not of a limit."""
        short = sum(why == errno.ENOSPC for why in self._refused.values())
        return Watching(len(self._folders), short)

    def look_again(self) -> None:
        for folder in list(self._refused):
            del self._refused[folder]
            if os.path.isdir(folder):
                self._watch(folder, self._inside)
        self._unwatched = ""  # it was told when it happened

    # What is watched.

    def _watch_root(self, root: str) -> list[str]:
        """The root and all below it, and its files; nothing until it exists."""
        while not os.path.isdir(root):
            nearest = _nearest(root)
            self._watch(nearest, self._coming)
            if _nearest(root) == nearest and not os.path.isdir(root):
                return []  # from now on we are told
        awaited = {_nearest(other) for other in self._roots if not os.path.isdir(other)}
        for folder in _above(root):
            self._watch(folder, self._coming if folder in awaited else self._staying)
        return self._watch_below(root)

    def _watch_below(self, top: str) -> list[str]:
        files: list[str] = []
        walk = walk_folders(
            top,
            before_listing=lambda folder: self._watch(folder, self._inside),
            enters=self._enters,
        )
        for folder, names in walk:
            if folder not in self._aliases:
                files += [os.path.join(folder, name) for name in names]
        self._aliases.clear()
        return files

    def _watch(self, folder: str, mask: int) -> None:
        if mask != self._inside and self._is_below_roots(folder):
            return  # another root's watch tells more
        try:
            number = self._inotify.add_watch(folder, mask)
        except OSError as error:
            if mask == self._staying or not os.path.isdir(folder):
                return
            self._unwatched = f"cannot watch {folder}: {error.strerror}"
            self._refused[folder] = error.errno
            return
        self._refused.pop(folder, None)
        known = self._folders.get(number, folder)
        if known != folder and _is_same(known, folder):
            self._aliases.add(folder)  # its files are told of under the name that we have
            return
        self._numbers.pop(known, None)
        self._folders[number] = folder
        self._numbers[folder] = number

    def _forget(self, top: str) -> None:
        """A folder that is elsewhere now would go on telling under its old name."""
        for folder in [each for each in self._numbers if _is_at_or_below(each, top)]:
            number = self._numbers.pop(folder)
            del self._folders[number]
            with suppress(OSError):  # it may be gone by itself
                self._inotify.rm_watch(number)

    def _tell_unwatched(self) -> None:
        """Once for however many folders: it is one limit that was reached."""
        if self._unwatched:
            self._on_missed(self._unwatched)
            self._unwatched = ""

    # What happened.

    def _read(self) -> None:
        flags = self._flags
        for event in self._inotify.read(timeout=0):
            folder = self._folders.get(event.wd)
            if event.mask & flags.Q_OVERFLOW:
                self._overflowed()
            elif folder is None:
                continue
            elif event.mask & flags.MOVE_SELF:
                self._folder_left(folder)
            elif event.mask & flags.IGNORED:
                self._folder_deleted(folder)
            elif event.name:
                self._changed(os.path.join(folder, event.name), event.mask)
        self._tell_unwatched()

    def _overflowed(self) -> None:
        for root in self._roots:
            self._watch_root(root)
        self._on_missed("more changes at once than the system keeps")

    def _changed(self, path: str, mask: int) -> None:
        flags = self._flags
        if mask & (flags.CREATE | flags.MOVED_TO) and os.path.isdir(path):
            self._folder_appeared(path)
        elif path in self._numbers and mask & flags.DELETE and mask & flags.ISDIR:
            self._folder_deleted(path)
        elif path in self._numbers and mask & (flags.DELETE | flags.MOVED_FROM):
            self._folder_left(path)  # deleted without being a folder: it was a link to one
        elif not mask & flags.ISDIR and self._is_below_roots(path):
            self._on_change(path)

    def _folder_appeared(self, path: str) -> None:
        files: list[str] = []
        if self._is_below_roots(path) and self._enters(path):
            files = self._watch_below(path)
        for root in self._roots:
            if _is_at_or_below(root, path):
                files += self._watch_root(root)
        self._tell(path, files)

    def _tell(self, folder: str, files: list[str]) -> None:
        if len(files) > MANY_FILES:
            self._on_missed(f"{folder} appeared")
            return
        for file in dict.fromkeys(files):
            self._on_change(file)

    def _folder_left(self, folder: str) -> None:
        """It is elsewhere with all that is in it, and nobody told of its files."""
        self._folder_deleted(folder)
        self._on_missed(f"{folder} was moved")

    def _folder_deleted(self, folder: str) -> None:
        """What was in it went one by one. A root may come back."""
        self._forget(folder)
        for root in self._roots:
            if _is_at_or_below(root, folder):
                self._forget(root)
                self._tell(root, self._watch_root(root))

    def _is_below_roots(self, path: str) -> bool:
        return any(_is_at_or_below(path, root) for root in self._roots)


def _is_at_or_below(path: str, top: str) -> bool:
    return path == top or path.startswith(top + "/")


def _is_same(folder: str, other: str) -> bool:
    try:
        return os.path.samefile(folder, other)
    except OSError:
        return False


def _above(path: str) -> Iterator[str]:
    """The folders above, the nearest first."""
    while (folder := os.path.dirname(path)) != path:
        yield folder
        path = folder


def _nearest(path: str) -> str:
    """The nearest folder above that exists."""
    return next(folder for folder in _above(path) if os.path.isdir(folder))


class BlindWatcher:
    """Nothing can be watched: what changes is found when everything is looked at."""

    watching: Final = Watching(0, blind=True)

    def __init__(self, why: str, on_missed: OnMissed) -> None:
        self._why = why
        self._on_missed = on_missed

    def start(self) -> None:
        self._on_missed(self._why)

    def look_again(self) -> None:
        return

    def close(self) -> None:
        return


class PollingWatcher:
    """watchfiles on a thread, for systems without inotify."""

    watching: Final = Watching(None)
    STEP_MS: Final = 20
    ROOT_EVERY_S: Final = 1.0

    def __init__(self, roots: list[str], on_change: OnChange, on_missed: OnMissed) -> None:
        self._roots = roots
        self._on_change = on_change
        self._on_missed = on_missed
        self._stop = asyncio.Event()
        self._tasks: list[asyncio.Task[None]] = []

    def start(self) -> None:
        self._tasks = [asyncio.ensure_future(self._follow(root)) for root in self._roots]

    def look_again(self) -> None:
        return

    def close(self) -> None:
        self._stop.set()
        for task in self._tasks:
            task.cancel()

    async def _follow(self, root: str) -> None:
        from watchfiles import awatch

        while not self._stop.is_set():
            if _is_folder(root):
                self._on_missed(f"{root} appeared")
                with suppress(FileNotFoundError):  # it left again
                    async for changes in awatch(root, step=self.STEP_MS, stop_event=self._stop):
                        for _change, path in changes:
                            self._on_change(path)
            with suppress(TimeoutError):
                await asyncio.wait_for(self._stop.wait(), self.ROOT_EVERY_S)


def _is_folder(path: str) -> bool:
    return os.path.isdir(path)
