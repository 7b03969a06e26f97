"""What the daemon does between two events, without being started; the rest is in tests/e2e."""

from __future__ import annotations

import asyncio
import gc
from pathlib import Path

import pytest

from holdfast import settings
from holdfast.daemon import Daemon
from holdfast.governor import Readings, TreeMemory
from holdfast.journal.checkpoints import Checkpoints
from holdfast.journal.model import Batch, Facts
from holdfast.paths import Paths
from holdfast.settings import Settings


def test_a_batch_that_makes_it_grow_fast_wakes_the_watch_and_reads_nothing_itself(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The kernel may wait with a reading for longer than many batches take."""
    environ = {"HOME": str(tmp_path), "HOLDFAST_HOME": str(tmp_path / "holdfast")}
    roomy = Settings(daemon=settings.Daemon(max_memory_mb=100_000))  # for all other tests too
    daemon = Daemon(roomy, Paths.from_env(environ), environ)
    reads: list[Readings] = []
    real = Readings.tree

    def tree(self: Readings) -> TreeMemory:
        reads.append(self)
        return real(self)

    monkeypatch.setattr(Readings, "tree", tree)
    monkeypatch.setattr(Readings, "fast", lambda _self: 10_000 << 20)
    batch = Batch(facts=Facts(id="s", agent="claude", agent_session_id="s"), first_seq=0)
    assert daemon.governor.fast_due()  # nothing was looked at yet
    daemon._stored(batch)
    assert (reads, daemon._look.is_set()) == ([], True)
    daemon._look.clear()
    daemon.governor.step()
    daemon._stored(batch)
    assert (len(reads), daemon._look.is_set()) == (1, False)
    daemon.store.close()
    daemon.logs.close()


def test_a_log_that_cannot_be_emptied_is_a_problem_of_the_status(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    environ = {"HOME": str(tmp_path), "HOLDFAST_HOME": str(tmp_path / "holdfast")}
    paths = Paths.from_env(environ)
    paths.ensure_dirs()
    roomy = Settings(daemon=settings.Daemon(max_memory_mb=100_000))  # for all other tests too
    daemon = Daemon(roomy, paths, environ)
    held: list[int] = [0]
    monkeypatch.setattr(Checkpoints, "held_bytes", property(lambda _self: held[-1]))

    async def problems() -> tuple[list[str], list[str]]:
        await daemon._start()
        try:
            before = (await daemon.status()).problems
            held.append(200 << 20)
            return before, (await daemon.status()).problems
        finally:
            await daemon.shutdown_all()
            daemon.logs.close()
            gc.unfreeze()

    before, after = asyncio.run(problems())
    assert not any("write-ahead" in each for each in before)
    (problem,) = (each for each in after if "write-ahead" in each)
    assert "200 MiB" in problem
    assert "lsof" in problem
