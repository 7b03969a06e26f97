"""`/v1/debug/memory`: who is asked on which thread, and what is let in when memory is short."""

from __future__ import annotations

import asyncio
import threading
from types import SimpleNamespace
from typing import Any, cast

import pytest
from starlette.requests import Request

from holdfast.governor.governor import Snapshot
from holdfast.server import debug
from tests.server.test_admission import Asked


class Daemon:
    """Its components may be asked on the loop's thread only."""

    def __init__(self) -> None:
        self.asked_on: list[threading.Thread] = []

    async def memory(self) -> Snapshot:
        self.asked_on.append(threading.current_thread())
        taken: Any = SimpleNamespace(
            footprint_bytes=7, budget_bytes=9, baseline_bytes=5, unaccounted_bytes=0,
            allocations=SimpleNamespace(python_allocated_blocks=1, malloc_in_use_bytes=None),
            components=[SimpleNamespace(name="snapshots", bytes=2, items=1)],
        )  # fmt: skip
        return cast("Snapshot", taken)


def test_components_are_asked_on_the_loop_and_the_rest_is_done_beside_it() -> None:
    daemon = Daemon()
    (memory,) = (handler for _, path, handler in debug.routes(daemon) if path == debug.MEMORY)
    request = Request({"type": "http", "method": "GET", "query_string": b"", "headers": []})

    async def asked() -> bytes:
        return bytes((await memory(request)).body)

    assert b'"snapshots"' in asyncio.run(asked())
    assert daemon.asked_on == [threading.current_thread()]


@pytest.mark.parametrize(
    ("query", "pressure", "status"),
    [("", "critical", 500), ("sites=true", "none", 500), ("sites=true", "high", 429),
     ("sites=true", "critical", 503)],
)  # fmt: skip
def test_lines_of_code_are_costly_and_all_else_is_answered_whatever_the_pressure(
    query: str, pressure: str, status: int
) -> None:
    """500: it was let in, and there is nothing behind this door."""
    daemon = Asked()
    daemon.admission.throttling = pressure != "none"
    daemon.admission.refusing = pressure == "critical"
    assert daemon.ask("GET", debug.MEMORY, query)[0] == status
