"""Every change of a log is told, whatever folders come, go and come back in between.

Time is only ever an upper bound: a test goes on as soon as it was told what it waits for.
"""

from __future__ import annotations

import asyncio
import errno
import os
import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import Any, Final

import pytest

from holdfast.sources import walk as walk_module
from holdfast.sources.watch import (
    MANY_FILES,
    InotifyWatcher,
    PollingWatcher,
    Watcher,
    make_watcher,
)

PATIENCE_S: Final = 20.0
on_linux = pytest.mark.skipif(sys.platform != "linux", reason="inotify is Linux's")


class Told:
    """What a watcher told so far, and a way to wait for more of it."""

    def __init__(self) -> None:
        self.changes: list[str] = []
        self.missed: list[str] = []
        self._news = asyncio.Event()

    def change(self, path: str) -> None:
        self.changes.append(path)
        self._news.set()

    def miss(self, why: str) -> None:
        self.missed.append(why)
        self._news.set()

    async def until(self, enough: Callable[[], object]) -> None:
        async with asyncio.timeout(PATIENCE_S):
            while not enough():
                self._news.clear()
                await self._news.wait()

    async def of(self, *paths: Path) -> None:
        """Wait for changes of all these."""
        await self.until(lambda: {str(path) for path in paths} <= set(self.changes))

    def forget(self) -> None:
        self.changes.clear()
        self.missed.clear()


Scene = Callable[[Told, InotifyWatcher], Awaitable[None]]


def watching(*roots: Path) -> Callable[[Scene], None]:
    """Run a scene with a watcher on these roots."""

    def run(scene: Scene) -> None:
        async def play() -> None:
            told = Told()
            watcher = InotifyWatcher([str(root) for root in roots], told.change, told.miss)
            watcher.start()
            try:
                await scene(told, watcher)
            finally:
                watcher.close()

        asyncio.run(play())

    return run


@pytest.fixture
def root(tmp_path: Path) -> Path:
    made = tmp_path / "home" / ".claude" / "projects"
    made.mkdir(parents=True)
    return made


def write(path: Path, text: str = "line\n") -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("a") as file:
        file.write(text)
    return path


# Files.


@on_linux
def test_a_new_file_and_each_append_are_told(root: Path) -> None:
    @watching(root)
    async def scene(told: Told, _watcher: InotifyWatcher) -> None:
        for _ in range(3):
            await told.of(write(root / "s.jsonl"))
            told.forget()


@on_linux
def test_a_file_that_was_there_already_is_told_when_it_grows(root: Path) -> None:
    log = write(root / "p" / "s.jsonl")

    @watching(root)
    async def scene(told: Told, _watcher: InotifyWatcher) -> None:
        assert told.changes == []
        write(log)
        await told.of(log)


@on_linux
def test_a_file_that_is_moved_into_place_is_told(root: Path, tmp_path: Path) -> None:
    away = write(tmp_path / "away.jsonl")

    @watching(root)
    async def scene(told: Told, _watcher: InotifyWatcher) -> None:
        away.rename(root / "s.jsonl")
        await told.of(root / "s.jsonl")
        told.forget()
        write(root / "s.tmp").rename(root / "s.jsonl")
        await told.of(root / "s.tmp", root / "s.jsonl")


@on_linux
def test_a_file_that_is_deleted_or_truncated_is_told(root: Path) -> None:
    log = write(root / "s.jsonl")

    @watching(root)
    async def scene(told: Told, _watcher: InotifyWatcher) -> None:
        os.truncate(log, 1)
        await told.of(log)
        told.forget()
        log.unlink()
        await told.of(log)


@on_linux
def test_nothing_is_told_when_nothing_happens(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """And nothing runs: the loop has neither a timer nor anything ready."""
    read = InotifyWatcher._read
    reads: list[None] = []

    def counted(watcher: InotifyWatcher) -> None:
        reads.append(None)
        read(watcher)

    monkeypatch.setattr(InotifyWatcher, "_read", counted)

    @watching(root)
    async def scene(told: Told, _watcher: InotifyWatcher) -> None:
        for _ in range(5):
            await asyncio.sleep(0)
        loop: Any = asyncio.get_running_loop()
        assert (loop._scheduled, list(loop._ready)) == ([], [])
        assert (told.changes, told.missed, reads) == ([], [], [])


# Folders.


@on_linux
def test_a_new_folder_is_watched(root: Path) -> None:
    @watching(root)
    async def scene(told: Told, _watcher: InotifyWatcher) -> None:
        log = write(root / "p" / "s" / "subagents" / "agent-a.jsonl")
        await told.of(log)
        told.forget()
        write(log)
        await told.of(log)


@on_linux
def test_a_folder_that_comes_with_files_tells_them(root: Path, tmp_path: Path) -> None:
    logs = [Path("p/one.jsonl"), Path("p/deep/er/two.jsonl")]
    for log in logs:
        write(tmp_path / "away" / log)

    @watching(root)
    async def scene(told: Told, _watcher: InotifyWatcher) -> None:
        (tmp_path / "away" / "p").rename(root / "p")
        await told.of(*[root / log for log in logs])
        told.forget()
        write(root / logs[1])
        await told.of(root / logs[1])


@on_linux
def test_a_folder_that_comes_with_very_many_files_is_to_be_looked_through(
    root: Path, tmp_path: Path
) -> None:
    for number in range(MANY_FILES + 1):
        write(tmp_path / "p" / f"{number}.jsonl")

    @watching(root)
    async def scene(told: Told, _watcher: InotifyWatcher) -> None:
        (tmp_path / "p").rename(root / "p")
        await told.until(lambda: told.missed)
        assert told.missed == [f"{root}/p appeared"]
        assert told.changes == []
        write(root / "p" / "7.jsonl")
        await told.of(root / "p" / "7.jsonl")


@contextmanager
def in_between(monkeypatch: pytest.MonkeyPatch, work: Callable[[str], None]) -> Iterator[None]:
    """Do something right after a folder was listed."""
    entries = walk_module._entries

    def listed(folder: str) -> object:
        found = entries(folder)
        work(folder)
        return found

    with monkeypatch.context() as patched:
        patched.setattr(walk_module, "_entries", listed)
        yield


@on_linux
def test_what_is_made_while_a_folder_is_listed_is_told(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A folder is watched before it is listed, so this is told twice at worst, and not never."""

    def make(folder: str) -> None:
        if folder.endswith("/p"):
            write(Path(folder, "late.jsonl"))
            write(Path(folder, "sub", "later.jsonl"))

    @watching(root)
    async def scene(told: Told, _watcher: InotifyWatcher) -> None:
        with in_between(monkeypatch, make):
            (root / "p").mkdir()
            await told.of(root / "p" / "late.jsonl", root / "p" / "sub" / "later.jsonl")


@on_linux
def test_a_renamed_folder_tells_under_its_new_name(root: Path) -> None:
    log = write(root / "old" / "deep" / "s.jsonl")

    @watching(root)
    async def scene(told: Told, watcher: InotifyWatcher) -> None:
        before = watcher.folders
        (root / "old").rename(root / "new")
        await told.of(root / "new" / "deep" / "s.jsonl")
        assert told.missed == [f"{root}/old was moved"]
        told.forget()
        write(root / "new" / "deep" / "s.jsonl")
        await told.of(root / "new" / "deep" / "s.jsonl")
        assert str(log) not in told.changes
        assert watcher.folders == before


@on_linux
def test_a_folder_that_moves_away_tells_nothing_more(root: Path, tmp_path: Path) -> None:
    write(root / "p" / "s.jsonl")

    @watching(root)
    async def scene(told: Told, watcher: InotifyWatcher) -> None:
        before = watcher.folders
        (root / "p").rename(tmp_path / "p")
        await told.until(lambda: told.missed)
        write(tmp_path / "p" / "s.jsonl")
        await told.of(write(root / "other.jsonl"))
        assert set(told.changes) == {str(root / "other.jsonl")}
        assert watcher.folders == before - 1


@on_linux
def test_a_deleted_folder_tells_its_files_and_may_come_back(root: Path) -> None:
    log = write(root / "p" / "s.jsonl")

    @watching(root)
    async def scene(told: Told, watcher: InotifyWatcher) -> None:
        before = watcher.folders
        log.unlink()
        log.parent.rmdir()
        await told.of(log)
        await told.of(write(root / "q.jsonl"))
        assert told.missed == []
        assert watcher.folders == before - 1
        told.forget()
        write(log)
        await told.of(log)
        assert watcher.folders == before


@on_linux
def test_a_linked_folder_is_watched_where_it_leads(root: Path, tmp_path: Path) -> None:
    (tmp_path / "elsewhere").mkdir()

    @watching(root)
    async def scene(told: Told, _watcher: InotifyWatcher) -> None:
        (root / "link").symlink_to(tmp_path / "elsewhere")
        await told.of(write(root / "plain.jsonl"))
        write(tmp_path / "elsewhere" / "s.jsonl")
        await told.of(root / "link" / "s.jsonl")
        (root / "link").unlink()
        await told.until(lambda: told.missed)
        told.forget()
        write(tmp_path / "elsewhere" / "s.jsonl")
        await told.of(write(root / "plain.jsonl"))
        assert set(told.changes) == {str(root / "plain.jsonl")}


@on_linux
def test_a_folder_with_two_names_tells_under_one(root: Path) -> None:
    log = write(root / "p" / "s.jsonl")
    (root / "a-link").symlink_to(root / "p")

    @watching(root)
    async def scene(told: Told, _watcher: InotifyWatcher) -> None:
        (root / "z-link").symlink_to(root / "p")
        await told.of(write(root / "plain.jsonl"))
        told.forget()
        write(log)
        await told.of(log)
        assert set(told.changes) == {str(log)}


# Roots.


@on_linux
@pytest.mark.parametrize("levels", [1, 2, 3])
def test_a_root_that_appears_later_is_watched_from_then_on(root: Path, levels: int) -> None:
    for folder in [root, root.parent, root.parent.parent][:levels]:
        folder.rmdir()

    @watching(root)
    async def scene(told: Told, _watcher: InotifyWatcher) -> None:
        log = write(root / "p" / "s.jsonl")
        await told.of(log)
        told.forget()
        write(log)
        await told.of(log)
        told.forget()
        await told.of(write(root / "q" / "t.jsonl"))


@on_linux
def test_a_root_that_is_made_while_its_parent_begins_to_be_watched_is_seen(
    root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Between looking for it and watching for it, each folder on the way comes into being."""
    for folder in (root, root.parent, root.parent.parent):
        folder.rmdir()
    watch = InotifyWatcher._watch

    def late(watcher: InotifyWatcher, folder: str, mask: int) -> None:
        if root.is_relative_to(folder) and Path(folder).is_relative_to(tmp_path):
            Path(folder, *root.relative_to(folder).parts[:1]).mkdir(exist_ok=True)
        watch(watcher, folder, mask)

    monkeypatch.setattr(InotifyWatcher, "_watch", late)

    @watching(root)
    async def scene(told: Told, _watcher: InotifyWatcher) -> None:
        await told.of(write(root / "s.jsonl"))


@on_linux
def test_a_root_that_appears_whole_tells_its_files(root: Path, tmp_path: Path) -> None:
    home = root.parent.parent
    write(root / "p" / "s.jsonl")
    home.rename(tmp_path / "away")

    @watching(root)
    async def scene(told: Told, _watcher: InotifyWatcher) -> None:
        (tmp_path / "away").rename(home)
        await told.of(root / "p" / "s.jsonl")
        assert told.changes == [str(root / "p" / "s.jsonl")]


@on_linux
@pytest.mark.parametrize("top", [0, 1, 2], ids=["root", "its folder", "the folder above"])
def test_a_deleted_root_that_comes_back_is_watched_again(root: Path, top: int) -> None:
    gone = [root, root.parent, root.parent.parent][top]

    @watching(root)
    async def scene(told: Told, _watcher: InotifyWatcher) -> None:
        for _ in range(3):
            log = write(root / "p" / "s.jsonl")
            await told.of(log)
            told.forget()
            write(log)
            await told.of(log)
            told.forget()
            log.unlink()
            for folder in log.parents:
                folder.rmdir()
                if folder == gone:
                    break
            await told.of(log)
            told.forget()


@on_linux
@pytest.mark.parametrize("top", [0, 1, 2], ids=["root", "its folder", "the folder above"])
def test_a_root_that_was_moved_away_is_awaited_again(root: Path, tmp_path: Path, top: int) -> None:
    moved = [root, root.parent, root.parent.parent][top]
    write(root / "p" / "s.jsonl")

    @watching(root)
    async def scene(told: Told, _watcher: InotifyWatcher) -> None:
        moved.rename(tmp_path / "away")
        await told.until(lambda: told.missed)
        old = tmp_path / "away" / root.relative_to(moved) / "p" / "s.jsonl"
        write(old)
        told.forget()
        log = write(root / "p" / "t.jsonl")
        await told.of(log)
        told.forget()
        write(log)
        await told.of(log)
        assert set(told.changes) == {str(log)}


@on_linux
def test_what_happens_beside_a_root_is_not_told(root: Path) -> None:
    root.rmdir()

    @watching(root)
    async def scene(told: Told, _watcher: InotifyWatcher) -> None:
        write(root.parent / "settings.json")
        write(root.parent / "elsewhere" / "s.jsonl")
        await told.of(write(root / "s.jsonl"))
        assert set(told.changes) == {str(root / "s.jsonl")}


@on_linux
def test_where_a_root_is_there_nothing_beside_it_wakes_the_daemon(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    root.rmdir()

    @watching(root)
    async def scene(told: Told, watcher: InotifyWatcher) -> None:
        await told.of(write(root / "s.jsonl"))
        woken: list[str] = []
        read = watcher._inotify.read

        def noted(timeout: int) -> Any:
            events = list(read(timeout=timeout))
            woken.extend(event.name for event in events)
            return events

        monkeypatch.setattr(watcher._inotify, "read", noted)
        write(root.parent / "settings.json")
        write(root.parent.parent / "notes.txt")
        await told.of(write(root / "t.jsonl"))
        assert set(woken) == {"t.jsonl"}


@on_linux
def test_several_roots_one_within_the_other_and_some_not_there_yet(tmp_path: Path) -> None:
    outer, inner, other = tmp_path / "a", tmp_path / "a" / "b" / "c", tmp_path / "z" / "y"
    outer.mkdir()

    @watching(outer, inner, other)
    async def scene(told: Told, _watcher: InotifyWatcher) -> None:
        await told.of(write(outer / "one.jsonl"))
        await told.of(write(inner / "two.jsonl"))
        await told.of(write(other / "three.jsonl"))
        told.forget()
        for log in (outer / "one.jsonl", inner / "two.jsonl", other / "three.jsonl"):
            write(log)
        await told.of(outer / "one.jsonl", inner / "two.jsonl", other / "three.jsonl")


# What may be missed.


def queued_events_max() -> int:
    return int(Path("/proc/sys/fs/inotify/max_queued_events").read_text())


@on_linux
def test_a_full_queue_is_told_and_what_was_made_meanwhile_is_watched(root: Path) -> None:
    logs = [root / "a.jsonl", root / "b.jsonl"]
    limit = queued_events_max()
    if limit > 100_000:
        pytest.skip("the queue of this system holds too much to fill")

    @watching(root)
    async def scene(told: Told, watcher: InotifyWatcher) -> None:
        files = [log.open("a") for log in logs]
        for number in range(limit + 100):  # by turns: equal neighbours become one
            files[number % 2].write("x")
            files[number % 2].flush()
        late = write(root / "new" / "c.jsonl")
        for file in files:
            file.close()
        await told.until(lambda: told.missed)
        assert told.missed == ["more changes at once than the system keeps"]
        told.forget()
        write(late)
        await told.of(late)


@on_linux
def test_folders_that_cannot_be_watched_are_told_once(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for number in range(5):
        (root / f"p{number}").mkdir()
    told: list[str] = []

    async def scene() -> None:
        watcher = InotifyWatcher([str(root)], told.append, told.append)

        def refuse(_folder: str, _mask: int) -> int:
            raise OSError(28, "No space left on device")

        monkeypatch.setattr(watcher._inotify, "add_watch", refuse)
        watcher.start()
        watcher.close()

    asyncio.run(scene())
    assert len(told) == 1
    assert told[0].startswith(f"cannot watch {root}")
    assert told[0].endswith("No space left on device")


@on_linux
def test_after_closing_nothing_is_told_and_closing_again_is_no_error(root: Path) -> None:
    @watching(root)
    async def scene(told: Told, watcher: InotifyWatcher) -> None:
        watcher.close()
        write(root / "s.jsonl")
        await asyncio.sleep(0)
        assert told.changes == []
        watcher.close()


@on_linux
def test_a_watcher_can_be_closed_when_its_loop_is_gone(root: Path) -> None:
    made: list[InotifyWatcher] = []

    async def begin() -> None:
        made.append(InotifyWatcher([str(root)], print, print))
        made[0].start()

    asyncio.run(begin())
    made[0].close()


@on_linux
def test_names_that_are_no_text_are_told_as_they_are(root: Path) -> None:
    @watching(root)
    async def scene(told: Told, _watcher: InotifyWatcher) -> None:
        path = Path(os.fsdecode(os.fsencode(root) + b"/\xff.jsonl"))
        await told.of(write(path))


@pytest.mark.parametrize("platform", ["linux", "darwin"])
def test_the_watcher_is_the_systems_own(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, platform: str
) -> None:
    if platform == "linux" != sys.platform:
        pytest.skip("inotify is Linux's")

    async def kind() -> type[Watcher]:
        monkeypatch.setattr(sys, "platform", platform)
        watcher = make_watcher([str(tmp_path)], print, print)
        monkeypatch.undo()
        watcher.close()
        return type(watcher)

    assert asyncio.run(kind()) is (InotifyWatcher if platform == "linux" else PollingWatcher)


# Systems without inotify.


def test_without_inotify_roots_are_waited_for_and_their_changes_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With a stand-in for watchfiles: it is not installed everywhere."""
    later, followed = tmp_path / "later", []

    async def awatch(root: str, *, step: int, stop_event: asyncio.Event) -> AsyncIterator[Any]:
        followed.append((root, step))
        yield {(1, f"{root}/s.jsonl")}
        if len(followed) == 1:
            raise FileNotFoundError  # the root was deleted
        await stop_event.wait()

    monkeypatch.setitem(sys.modules, "watchfiles", SimpleNamespace(awatch=awatch))
    monkeypatch.setattr(PollingWatcher, "ROOT_EVERY_S", 0.001)

    async def scene() -> None:
        told = Told()
        watcher = PollingWatcher([str(later)], told.change, told.miss)
        watcher.start()
        await asyncio.sleep(0)
        assert (told.changes, told.missed) == ([], [])
        later.mkdir()
        await told.until(lambda: len(told.changes) == 2)
        assert told.missed == [f"{later} appeared"] * 2
        watcher.close()
        await asyncio.gather(*watcher._tasks, return_exceptions=True)

    asyncio.run(scene())
    assert followed == [(str(later), PollingWatcher.STEP_MS)] * 2


def test_the_real_watchfiles_tells_of_a_file(tmp_path: Path) -> None:
    pytest.importorskip("watchfiles", reason="installed where inotify is not")

    async def scene() -> None:
        told = Told()
        watcher = PollingWatcher([str(tmp_path)], told.change, told.miss)
        watcher.start()
        while not any(path.endswith("/s.jsonl") for path in told.changes):
            write(tmp_path / "s.jsonl")  # until it watches it cannot tell
            await asyncio.sleep(0.02)
        watcher.close()
        await asyncio.gather(*watcher._tasks, return_exceptions=True)

    asyncio.run(asyncio.wait_for(scene(), PATIENCE_S))


# Where the system allows no more.


@on_linux
def test_where_nothing_can_be_watched_that_is_said_once_and_the_rest_goes_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import inotify_simple  # not on every platform

    def refuse(**_how: object) -> None:
        raise OSError(errno.EMFILE, os.strerror(errno.EMFILE))

    monkeypatch.setattr(inotify_simple, "INotify", refuse)
    missed: list[str] = []
    watcher = make_watcher([str(tmp_path)], print, missed.append)
    watcher.start()
    assert missed == ["cannot watch folders: Too many open files"]
    assert watcher.watching.blind
    watcher.close()


@on_linux
def test_folders_that_the_system_refuses_to_watch_are_counted(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (root / "one").mkdir(parents=True)
    (root / "two").mkdir()

    async def scene() -> None:
        watcher = InotifyWatcher([str(root)], print, lambda _why: None)
        add_watch = watcher._inotify.add_watch

        def full(folder: str, mask: int) -> int:
            if folder.endswith("two"):
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
            return int(add_watch(folder, mask))

        monkeypatch.setattr(watcher._inotify, "add_watch", full)
        watcher.start()
        assert watcher.watching.unwatched == 1
        assert watcher.watching.folders == watcher.folders > 1
        watcher.close()

    asyncio.run(scene())
