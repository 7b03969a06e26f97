"""The exporter's process: asks the daemon for its figures, reads its log, sends both.

It ends when its input does, which is when the daemon wants it or is gone. What it could not send of
the log it sends later: the position moves only behind what arrived. Figures that could not be sent
are not kept; the next ones are better.
"""

from __future__ import annotations

import os
import signal
import sys
import threading
from pathlib import Path
from typing import TYPE_CHECKING, Final

import msgspec

from holdfast.client import Client, NotRunning, Refused
from holdfast.errors import Exit
from holdfast.paths import Paths
from holdfast.telemetry.following import Follower
from holdfast.telemetry.job import MEMORY_BYTES_MAX, Job, Said

if TYPE_CHECKING:
    from holdfast.telemetry.otlp import Collector

RECORDS_MAX: Final = 256  # in one request; a record has at most 16 KiB
REQUESTS_MAX: Final = 64  # of records in one round, so that figures are not late
TOLD_CHARS_MAX: Final = 500
MISSING_EXTRA: Final = (
    "telemetry.otlp_endpoint is set, but what sends figures is not installed: "
    "pip install 'holdfast[otel]', then holdfast restart"
)


class Exporter:
    """One round after the other, until somebody ends it."""

    def __init__(self, job: Job, client: Client, ended: threading.Event) -> None:
        self._job: Final = job
        self._client: Final = client
        self._ended: Final = ended
        self._follower: Final = Follower(
            Path(job.log_path), Path(job.position_path), since=job.logs_since
        )
        self._collector: Collector | None = None
        self._problem: str | None = None  # nothing was tried yet

    def run(self) -> None:
        while True:
            ending = self._ended.is_set()
            self._tell(self._round())
            if ending or (self._ended.wait(self._job.interval_s) and self._problem):
                return  # one last round, unless nobody took the one before it

    def _round(self) -> str:
        try:
            figures = self._client.get("/v1/figures")
        except (NotRunning, Refused) as error:
            return f"the daemon did not answer: {error}"
        collector = self._connected(figures["version"])
        problems = []
        if self._job.metrics:
            problems.append(collector.send_figures(figures))
        if self._job.logs:
            problems.append(self._send_log(collector))
        return "; ".join(dict.fromkeys(problem for problem in problems if problem))

    def _send_log(self, collector: Collector) -> str:
        for _ in range(REQUESTS_MAX):
            records, position = self._follower.read(RECORDS_MAX)
            if records:
                problem = collector.send_records(records)
                if problem:
                    return problem
            try:
                self._follower.done(position)
            except OSError as error:
                return f"cannot keep up to where the log was sent: {error}"
            if len(records) < RECORDS_MAX:
                break
        return ""

    def _connected(self, version: str) -> Collector:
        if self._collector is None:
            from holdfast.telemetry.otlp import Collector

            self._collector = Collector(self._job.endpoint, version)
        return self._collector

    def _tell(self, problem: str) -> None:
        if problem != self._problem:
            self._problem = problem
            said = Said(problem[:TOLD_CHARS_MAX])
            print(msgspec.json.encode(said).decode(), flush=True)


def _limit_memory() -> None:
    """Over its share it ends with an error of its own, not with the machine's."""
    import resource

    if sys.platform == "linux":
        resource.setrlimit(resource.RLIMIT_DATA, (MEMORY_BYTES_MAX, MEMORY_BYTES_MAX))


def main() -> int:
    _limit_memory()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_IGN)  # whoever ends the daemon: it ends us, in order
    job = msgspec.json.decode(sys.stdin.buffer.readline(), type=Job)
    try:
        import opentelemetry.exporter.otlp.proto.http
        import opentelemetry.sdk  # noqa: F401  # both come with the extra
    except ImportError:
        print(MISSING_EXTRA, file=sys.stderr)
        return Exit.CONFIG
    ended = threading.Event()

    def watch() -> None:
        while os.read(sys.stdin.fileno(), 4_096):
            pass
        ended.set()

    threading.Thread(target=watch, daemon=True).start()
    Exporter(job, Client(Paths.from_env(os.environ)), ended).run()
    return Exit.OK


if __name__ == "__main__":
    sys.exit(main())
