"""`holdfast demo`: the real daemon on made-up logs, in a folder that is gone afterwards.

Nothing is staged: the demo runs the commands that a person would, in a home of its own, with a
budget small enough that sessions must leave memory while they arrive.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, ClassVar, Final

from holdfast.demo.codex import write_codex
from holdfast.demo.corpus import generate
from holdfast.demo.live import LiveSession
from holdfast.errors import Exit, HoldfastError
from holdfast.sources import agents

MAX_MEMORY_MB: Final = 120
SNAPSHOTS_MB: Final = 1
BYTES_PER_SESSION: Final = 500_000
BYTES_MIN: Final = 16_000_000  # less would fit into the budget, and nothing be evicted
LIVE_TURNS: Final = 3
CODEX_TURNS: Final = 8
SEEN_TIMEOUT_S: Final = 10.0

Out = Callable[[str], None]


class DemoFailed(HoldfastError):
    """A step of the demo did not do what it shows."""

    exit: ClassVar[Exit] = Exit.FAILURE


def run(*, sessions: int, seed: int, out: Out) -> None:
    if sessions < 1:
        raise DemoFailed("a demo needs at least one session: --sessions 40")
    with tempfile.TemporaryDirectory(prefix="holdfast-demo-") as folder:
        _Demo(Path(folder), out).run(sessions, seed)
    out("\nThe demo's folder is gone again. On your own logs: holdfast up")


DEMO_AGENTS: Final = frozenset({"claude", "codex"})  # whose logs `generate` writes


class _Demo:
    def __init__(self, folder: Path, out: Out) -> None:
        self._out = out
        self._logs = folder / "agent"
        self._environ = {
            **{key: value for key, value in os.environ.items() if not key.startswith("HOLDFAST_")},
            "HOLDFAST_HOME": str(folder / "home"),
            "CLAUDE_CONFIG_DIR": str(self._logs),
            "CODEX_HOME": str(self._logs),
            # Nobody's own logs belong into a demo.
            **{
                f"HOLDFAST_SOURCES__{agent.upper()}__ENABLED": "false"
                for agent in agents.NAMES
                if agent not in DEMO_AGENTS
            },
            "HOLDFAST_DAEMON__MAX_MEMORY_MB": str(MAX_MEMORY_MB),
            "HOLDFAST_SNAPSHOTS__MAX_MEMORY_MB": str(SNAPSHOTS_MB),
        }

    def run(self, sessions: int, seed: int) -> None:
        out = self._out
        out(f"Writing the logs of {sessions} made-up sessions …")
        manifest = generate(
            self._logs,
            seed=seed,
            now=datetime.now(UTC),
            sessions=sessions,
            total_bytes=max(sessions * BYTES_PER_SESSION, BYTES_MIN),
        )
        out(f"  {len(manifest.files)} files, {manifest.lines:,} lines, {manifest.bytes:,} bytes")
        codex = write_codex(self._logs, seed=seed, now=datetime.now(UTC), turns=CODEX_TURNS)
        out(f"  and one of Codex CLI, {codex.stat().st_size:,} bytes")
        self._step(
            f"The daemon, {MAX_MEMORY_MB} MB in all, {SNAPSHOTS_MB} MB for sessions", "start"
        )
        try:
            self._step("Everything is imported, once", "import")
            self._step(
                "What was found; MEMORY says what is resident, the rest is on disk",
                "sessions",
                "-n",
                "8",
            )
            self._live(seed)
            self._step("What it holds, and what that costs", "status")
            if manifest.needles:
                self._search(manifest.needles[0].question, manifest.needles[0].session)
            self._evicted()
        finally:
            self._command("stop")

    def _step(self, about: str, *arguments: str) -> None:
        self._out(f"\n# {about}\n$ holdfast {' '.join(arguments)}")
        done = self._command(*arguments)
        self._out((done.stdout + done.stderr).rstrip())
        if done.returncode:
            raise DemoFailed(f"`holdfast {' '.join(arguments)}` ended with {done.returncode}")

    def _live(self, seed: int) -> None:
        """Append to a log as an agent does, and see each line arrive."""
        session = "6d1f0a52-0000-4000-8000-00000000d3a0"
        log = self._logs / "projects" / "-home-hana-src-tidepool" / f"{session}.jsonl"
        live = LiveSession(log, session, seed=seed, clock=lambda: datetime.now(UTC))
        self._out("\n# An agent is at work: each turn is appended to its log while we look")
        for turn in range(1, LIVE_TURNS + 1):
            written = len(live.append())
            started_s = time.monotonic()
            events = self._wait_for(session, sum(1 for _ in log.open("rb")), written)
            waited_ms = (time.monotonic() - started_s) * 1000
            self._out(
                f"  turn {turn}: {written} lines written, {events} events kept "
                f"(seen within {waited_ms:.0f} ms)"
            )

    def _wait_for(self, session: str, lines: int, written: int) -> int:
        """Until every line of the log is accounted for; how many events the session has."""
        from holdfast.client import Client
        from holdfast.paths import Paths

        client = Client(Paths.from_env(self._environ))
        size = sum(path.stat().st_size for path in self._logs.rglob("*.jsonl"))
        deadline_s = time.monotonic() + SEEN_TIMEOUT_S
        while time.monotonic() < deadline_s:
            seen = sum(source["bytes"]["seen"] for source in client.get("/v1/status")["sources"])
            if seen == size:
                found: dict[str, Any] = client.get(f"/v1/sessions/{session}")
                return int(found["events"])
            time.sleep(0.005)
        raise DemoFailed(f"{written} lines of {lines} were not seen within {SEEN_TIMEOUT_S:.0f} s")

    def _search(self, question: str, session: str) -> None:
        self._step(
            "Where did we solve that? A question finds its session", "search", "-n", "3", question
        )
        found = json.loads(self._command("search", "--json", "-n", "3", question).stdout)
        wanted = json.loads(self._command("sessions", "--json").stdout)
        ids = {each["agent_session_id"]: each["id"] for each in wanted}
        if ids[session] not in [hit["session"] for hit in found]:
            raise DemoFailed("the search did not find the session that the question is about")

    def _evicted(self) -> None:
        """Read a session that left memory: nothing is lost to the budget."""
        found = json.loads(self._command("sessions", "--json", "--not-resident").stdout)
        if not found:
            return
        name = found[-1]["id"]
        exported = self._command("export", name, "-f", "jsonl").stdout
        lines = exported.count("\n")
        self._out(
            f"\n# A session that left memory is read from the journal, whole\n"
            f"$ holdfast export {name} -f jsonl | wc -l\n{lines}"
        )

    def _command(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-I", "-m", "holdfast", *arguments],
            env=self._environ,
            capture_output=True,
            text=True,
            check=False,
        )
