"""One writer per journal, however many ask and whoever dies."""

from __future__ import annotations

import fcntl
import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor, wait
from pathlib import Path

import pytest

from holdfast.errors import Exit
from holdfast.lock import LOOK_AGAIN_S, AlreadyRunning, JournalLock, LockFailed, holder


@pytest.fixture
def path(tmp_path: Path) -> str:
    return str(tmp_path / "journal.lock")


def test_the_holder_is_known_while_it_holds(path: str) -> None:
    assert holder(path) is None
    with JournalLock(path).acquire("import"):
        assert holder(path) == ("import", os.getpid())
    assert holder(path) is None, "what the file says is old then"


def test_a_second_one_is_refused_and_told_by_whom(path: str) -> None:
    with JournalLock(path).acquire("daemon"):
        with pytest.raises(AlreadyRunning, match=f"daemon {os.getpid()}") as refused:
            JournalLock(path).acquire("import")
        assert refused.value.exit is Exit.ALREADY_RUNNING
        assert holder(path) == ("daemon", os.getpid()), "the first one goes on holding it"
    JournalLock(path).acquire("import").release()


def test_a_holder_that_is_killed_holds_no_more(path: str) -> None:
    code = (
        "import sys, time; from holdfast.lock import JournalLock; "
        "lock = JournalLock(sys.argv[1]).acquire('daemon'); print('held', flush=True); "
        "time.sleep(600)"
    )
    with subprocess.Popen([sys.executable, "-c", code, path], stdout=subprocess.PIPE) as process:
        try:
            assert process.stdout is not None
            assert process.stdout.readline() == b"held\n"
            assert holder(path) == ("daemon", process.pid)
        finally:
            process.kill()
    assert holder(path) is None
    JournalLock(path).acquire("daemon").release()


def test_to_ask_who_holds_it_keeps_nobody_from_getting_it(path: str) -> None:
    code = "import sys; from holdfast.lock import holder\nwhile True: holder(sys.argv[1])"
    with subprocess.Popen([sys.executable, "-c", code, path]) as asking:
        try:
            for _ in range(2_000):
                JournalLock(path).acquire("import").release()
                assert asking.poll() is None
        finally:
            asking.kill()


def test_who_asks_for_long_is_waited_for(path: str) -> None:
    """A busy machine may stop a process at any place: between two of its lines too."""
    JournalLock(path).acquire("import").release()
    asking = os.open(path, os.O_RDWR)
    fcntl.flock(asking, fcntl.LOCK_SH | fcntl.LOCK_NB)
    with ThreadPoolExecutor(1) as threads:
        waiting = threads.submit(JournalLock(path).acquire, "daemon")
        assert not wait([waiting], timeout=20 * LOOK_AGAIN_S).done
        os.close(asking)
        waiting.result().release()


def test_a_file_system_without_locks_is_named(path: str, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(_fd: int, _how: int) -> None:
        raise OSError(37, "No locks available")

    monkeypatch.setattr(fcntl, "flock", refuse)
    with pytest.raises(LockFailed, match=r"No locks available.*HOLDFAST_HOME"):
        JournalLock(path).acquire("daemon")


def test_a_folder_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(LockFailed, match="HOLDFAST_HOME"):
        JournalLock(str(tmp_path / "nowhere" / "journal.lock")).acquire("daemon")
