"""The exporter's process: started, started again, ended in order, and never left behind."""

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from holdfast.governor.protocol import Level
from holdfast.observe import JsonLog, tail
from holdfast.telemetry import Job
from holdfast.telemetry.child import MISSING_EXTRA
from holdfast.telemetry.supervisor import (
    LONG_LIFE_S,
    PAUSE_MAX_S,
    RELIEF_PAUSE_S,
    Supervisor,
    pause_s,
)
from tests.support import processes
from tests.support.waiting import until

JOB = Job("http://127.0.0.1:1", True, True, 60.0, "/log", "/position", "")
GRACE_S = 3.0
# Lives until its input ends; says so in a file when it was ended in order.
PATIENT = """
import sys
sys.stdin.readline()
print('{"problem":"no route"}', flush=True)
sys.stdin.read()
open(sys.argv[1], "w").write("in order")
"""
BROKEN = 'import sys; sys.stderr.write("x" * 5000 + "no luck"); sys.exit(5)'
DEAF = "import time, sys; sys.stdin.readline(); time.sleep(600)"
WITHOUT_EXTRA = """
import sys
sys.modules["opentelemetry.sdk"] = None
from holdfast.telemetry.child import main
sys.exit(main())
"""


class Scene:
    def __init__(self, folder: Path, program: str, **how: Any) -> None:
        self.folder = folder
        self.log_path = folder / "log.jsonl"
        self.mark = folder / "mark"
        command = (sys.executable, "-I", "-c", program, str(self.mark))
        self.supervisor = Supervisor(
            JOB, dict(os.environ), JsonLog(self.log_path), command=command, **how
        )

    def events(self) -> list[str]:
        return [record["event"] for record in tail(self.log_path, 100)]

    async def until(self, look: Callable[[], object], what: str) -> None:
        await asyncio.to_thread(until, look, what)


@asynccontextmanager
async def running(folder: Path, program: str, **how: Any) -> AsyncIterator[Scene]:
    scene = Scene(folder, program, **how)
    scene.supervisor.start()
    try:
        yield scene
    finally:
        await scene.supervisor.close(GRACE_S)


def run(test: Callable[[], Awaitable[None]]) -> None:
    async def whole() -> None:
        await test()

    asyncio.run(whole())


def test_it_is_ended_by_its_input_and_may_finish(tmp_path: Path) -> None:
    async def test() -> None:
        async with running(tmp_path, PATIENT) as scene:
            await scene.until(lambda: scene.supervisor.problem, "the child speaks")
            pid = scene.supervisor.pid
        assert pid is not None
        assert not processes.is_alive(pid)
        assert scene.mark.read_text() == "in order"
        assert "telemetry.ended" not in scene.events()

    run(test)


def test_a_complaint_is_logged_once_and_the_newest_is_the_problem(tmp_path: Path) -> None:
    program = PATIENT.replace(
        "sys.stdin.read()",
        'print(\'{"problem":"no name"}\', flush=True)\nsys.stdin.read()',
    )

    async def test() -> None:
        async with running(tmp_path, program) as scene:
            await scene.until(lambda: "no name" in scene.supervisor.problem, "the newest")
            assert scene.events() == ["telemetry.failing"]

    run(test)


def test_one_that_came_back_and_is_well_leaves_no_problem(tmp_path: Path) -> None:
    first_time = """
import os, sys
if not os.path.exists(sys.argv[1]):
    open(sys.argv[1], "w").close()
    sys.exit(5)
sys.stdin.readline()
print('{"problem":""}', flush=True)
sys.stdin.read()
"""

    async def test() -> None:
        async with running(tmp_path, first_time, pause=lambda _failures: 0.0) as scene:
            await scene.until(lambda: "telemetry.resumed" in scene.events(), "it is well")
            assert scene.supervisor.problem == ""
            assert scene.events() == ["telemetry.ended", "telemetry.resumed"]

    run(test)


def test_what_it_complains_of_is_a_problem_until_it_is_well(tmp_path: Path) -> None:
    program = PATIENT.replace(
        "sys.stdin.read()", 'print(\'{"problem":""}\', flush=True)\nsys.stdin.read()'
    )

    async def test() -> None:
        async with running(tmp_path, program) as scene:
            await scene.until(lambda: "telemetry.resumed" in scene.events(), "it is well")
            assert scene.supervisor.problem == ""
            assert tail(scene.log_path, 2)[0]["problem"] == "no route"

    run(test)


def test_one_that_dies_is_started_again_and_why_is_told(tmp_path: Path) -> None:
    async def test() -> None:
        async with running(tmp_path, BROKEN, pause=lambda _failures: 0.0) as scene:
            await scene.until(lambda: scene.supervisor.starts >= 3, "three starts")
            assert scene.supervisor.problem.endswith("no luck")
        assert "telemetry.ended" in scene.events()
        assert len(tail(scene.log_path, 1)[0]["why"]) < 600

    run(test)


def test_pauses_grow_to_a_limit() -> None:
    assert [pause_s(failures) for failures in (1, 2, 3, 4)] == [1, 2, 4, 8]
    assert pause_s(1_000) == PAUSE_MAX_S
    assert LONG_LIFE_S < PAUSE_MAX_S


def test_failures_in_a_row_are_counted(tmp_path: Path) -> None:
    asked: list[int] = []

    def pause(failures: int) -> float:
        asked.append(failures)
        return 0.0

    async def test() -> None:
        async with running(tmp_path, BROKEN, pause=pause) as scene:
            await scene.until(lambda: len(asked) >= 3, "three pauses")

    run(test)
    assert asked[:3] == [1, 2, 3]


def test_without_the_extra_it_says_what_to_install_and_is_not_tried_again(tmp_path: Path) -> None:
    async def test() -> None:
        async with running(tmp_path, WITHOUT_EXTRA, pause=lambda _failures: 0.0) as scene:
            await scene.until(lambda: scene.supervisor.problem, "a problem")
            assert scene.supervisor.problem == MISSING_EXTRA
            assert scene.supervisor.starts == 1
            assert scene.events() == ["telemetry.impossible"]
            assert scene.supervisor.pid is None

    run(test)


def test_one_that_does_not_listen_is_killed(tmp_path: Path) -> None:
    async def test() -> None:
        async with running(tmp_path, DEAF) as scene:
            await scene.until(lambda: scene.supervisor.pid, "it runs")
            pid = scene.supervisor.pid
        assert pid is not None
        assert not processes.is_alive(pid)

    run(test)


def test_one_that_is_being_started_when_it_is_to_end_is_killed_once_it_is_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def test() -> None:
        start, going_on = asyncio.create_subprocess_exec, asyncio.Event()
        started: list[asyncio.subprocess.Process] = []
        asked = asyncio.Event()

        async def slowly(*command: Any, **how: Any) -> asyncio.subprocess.Process:
            asked.set()
            await going_on.wait()
            started.append(await start(*command, **how))
            return started[0]

        monkeypatch.setattr(asyncio, "create_subprocess_exec", slowly)
        scene = Scene(tmp_path, DEAF)
        scene.supervisor.start()
        await asked.wait()
        closing = asyncio.create_task(scene.supervisor.close(0.0))
        await scene.until(lambda: scene.supervisor._over, "its time is over")
        assert not closing.done()
        going_on.set()
        await asyncio.wait_for(closing, 30)
        assert not processes.is_alive(started[0].pid)

    run(test)


def test_a_program_that_cannot_be_started_is_told(tmp_path: Path) -> None:
    async def test() -> None:
        log = JsonLog(tmp_path / "log.jsonl")
        supervisor = Supervisor(JOB, {}, log, command=["/nowhere/python"], pause=lambda _n: 3_600)
        supervisor.start()
        await asyncio.to_thread(until, lambda: supervisor.problem, "a problem")
        assert "No such file" in supervisor.problem
        await supervisor.close(GRACE_S)  # at once, though the pause is long

    run(test)


def test_it_is_weighed_and_goes_when_memory_is_critical(tmp_path: Path) -> None:
    async def test() -> None:
        pauses: list[int] = []

        def pause(failures: int) -> float:
            pauses.append(failures)
            return 0.0

        async with running(tmp_path, PATIENT, pause=pause) as scene:
            await scene.until(lambda: scene.supervisor.problem, "the child speaks")
            supervisor = scene.supervisor
            weight = supervisor.usage()
            assert weight.items == 1
            assert weight.limit_bytes is not None
            assert 1 << 20 < weight.bytes < weight.limit_bytes
            assert supervisor.relieve(Level.HIGH, 1) == 0
            given = supervisor.relieve(Level.CRITICAL, 1)
            assert given > 1 << 20
            await scene.until(lambda: supervisor.pid is None, "it is gone")
            await scene.until(lambda: "telemetry.ended" in scene.events(), "that is told")
            assert supervisor.usage().bytes == 0
            assert tail(scene.log_path, 1)[0]["again_in_s"] == RELIEF_PAUSE_S
            assert pauses == []

    run(test)
