"""Ten thousand events of a session that is not in memory, as JSONL through the daemon.

The client takes the bytes from the socket into one buffer and does nothing else in that time: an
HTTP library of Python spends as long on putting the chunks together as the daemon on sending them.
The ceiling is reading the same bytes from a file in the page cache.
"""

from __future__ import annotations

import socket
import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

from bench.kit.corpora import LongSession
from bench.kit.figures import Bar, Ceiling, Outcome, p50, row
from bench.kit.homes import Home, RunningDaemon, fresh_home, running_daemon
from bench.kit.setting import Setting
from holdfast.demo import LiveSession

TITLE: Final = "Export of an evicted session as JSONL, over HTTP on the unix socket"

ROUNDS: Final = 30
RECEIVED_BYTES: Final = 1 << 20  # at once, at most
OTHER: Final = "33333333-0000-4000-a000-000000000003"


def run(setting: Setting) -> Outcome:
    long = setting.corpora.long
    exports: list[float] = []
    reads: list[float] = []
    with (
        fresh_home(setting, long.root, {"snapshots.max_sessions": 1}) as home,
        running_daemon(home) as daemon,
    ):
        daemon.wait_until_imported(long.bytes)
        _evict(daemon, long)
        copy = home.path / "export.jsonl"
        path = f"/v1/sessions/{long.session}/export?format=jsonl"
        content = daemon.api.get(path)
        copy.write_bytes(content)
        lines = content.count(b"\n")
        assert lines == long.events, f"{lines:,} of {long.events:,} events exported"
        for _ in range(setting.count(ROUNDS, least=3)):
            exports.append(_timed(lambda: _received_bytes(home, path), len(content)))
            reads.append(_timed(lambda: len(copy.read_bytes()), len(content)))
        assert not _entry(daemon, long)["resident"], "an export made the session resident"
    return Outcome(
        rows=[
            row(
                f"{lines:,} events, p50",
                p50(exports),
                "ms",
                ceiling=Ceiling(p50(reads), "reading the same bytes from a file"),
                bar=Bar(100.0),
            ),
            row(f"{lines:,} events, slowest", max(exports), "ms"),
        ],
        corpus=(
            f"one session from a generated log of {long.bytes / 1e6:,.1f} MB of the design's "
            f"distribution, {len(content) / 1e6:,.1f} MB as canonical JSONL; {len(exports)} exports"
        ),
    )


def _evict(daemon: RunningDaemon, long: LongSession) -> None:
    """Another session moves, and there is room for one."""
    path = Path(long.path).with_name(f"{OTHER}.jsonl")
    try:
        LiveSession(path, OTHER, seed=1, clock=lambda: datetime.now(UTC)).append()
        daemon.wait_for(
            lambda _status: not _entry(daemon, long)["resident"], "the session to leave memory"
        )
    finally:
        path.unlink(missing_ok=True)


def _entry(daemon: RunningDaemon, long: LongSession) -> Any:
    return daemon.api.json(f"/v1/sessions/{long.session}")


def _received_bytes(home: Home, path: str) -> int:
    """How long the whole answer was, with its head and the frames of its chunks."""
    request = f"GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"
    buffer = memoryview(bytearray(RECEIVED_BYTES))
    received = 0
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as asking:
        asking.connect(home.paths.socket)
        asking.sendall(request.encode())
        while count := asking.recv_into(buffer):
            received += count
    return received


def _timed(read_bytes: Callable[[], int], least_bytes: int) -> float:
    began_s = time.perf_counter()
    found = read_bytes()
    took_s = time.perf_counter() - began_s
    assert found >= least_bytes, f"{found:,} of {least_bytes:,} bytes came"
    return took_s * 1_000
