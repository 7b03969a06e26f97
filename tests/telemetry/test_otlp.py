"""At one moment status, /metrics and what a collector is sent are the same figures.

The daemon's own app answers with a status that stands still; the real exporter asks it through a
real socket and sends to a real collector, which decodes what comes.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any, Final, cast

import msgspec
from prometheus_client.parser import text_string_to_metric_families

from holdfast.clock import instant
from holdfast.governor.admission import Admission
from holdfast.metrics import FIGURES, History, Latest, read_all
from holdfast.observe import JsonLog
from holdfast.server.app import Served, make_app
from holdfast.server.listen import Listener, UnixPlace
from holdfast.status import Status
from holdfast.telemetry import Job
from holdfast.telemetry.supervisor import Supervisor
from tests.support.collector import Collector, collecting
from tests.support.home import Home
from tests.support.statuses import full_status
from tests.support.waiting import until

UNITS: Final = {"bytes_per_second": "By/s", "bytes": "By", "seconds": "s", "ratio": "1", "": "1"}
FROZEN: Final = full_status()
GRACE_S: Final = 10.0


def served(home: Home) -> Served:
    async def status() -> Status:
        return FROZEN

    return cast(
        "Served",
        SimpleNamespace(
            state="running",
            library=None,
            admission=Admission(),
            status=status,
            figures=Latest(status),
            history=History(home.paths.history_file),
        ),
    )


def job(home: Home, endpoint: str, **changes: Any) -> Job:
    usual = Job(
        endpoint=endpoint,
        metrics=True,
        logs=True,
        interval_s=0.2,
        log_path=f"{home.paths.logs}/holdfast.log.jsonl",
        position_path=home.paths.telemetry_file,
        logs_since="",
    )
    return msgspec.structs.replace(usual, **changes)


def export(home: Home, collector: Collector, arrived: Callable[[], object], **changes: Any) -> Any:
    """Run app and exporter until something has arrived; what `/v1/status` and `/metrics` said."""
    home.paths.ensure_dirs()
    log = JsonLog(Path(home.paths.logs) / "supervisor.jsonl")

    async def run() -> Any:
        listener = Listener(make_app(served(home)), UnixPlace(home.paths.socket), stop_grace_s=1)
        await listener.start()
        supervisor = Supervisor(job(home, collector.endpoint, **changes), home.env, log)
        supervisor.start()
        try:
            await asyncio.to_thread(until, arrived, "an export", detail=lambda: supervisor.problem)
            said = await asyncio.to_thread(home.client.get, "/v1/status")
            stream = await asyncio.to_thread(lambda: list(home.client.stream("GET", "/metrics")))
            return said, b"".join(stream).decode()
        finally:
            await supervisor.close(GRACE_S)
            await listener.close()

    return asyncio.run(run())


def test_status_metrics_and_otlp_agree_on_every_figure(home: Home) -> None:
    with collecting() as collector:
        said, text = export(home, collector, lambda: collector.exports)
    status = msgspec.convert(said, Status)
    assert status == FROZEN
    told = {
        (figure.name, frozenset(zip(figure.labels, point.labels, strict=True))): point.value
        for figure, points in read_all(status)
        for point in points
    }
    scraped = {
        (sample.name, frozenset(sample.labels.items())): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }
    sent = {key: sample.value for key, sample in collector.exports[-1].items()}
    assert told == scraped == sent
    assert {name for name, _labels in sent} == {figure.name for figure in FIGURES}


def test_what_a_collector_gets_says_what_it_is_and_of_when(home: Home) -> None:
    with collecting() as collector:
        export(home, collector, lambda: collector.exports)
    figures = {figure.name: figure for figure in FIGURES}
    for (name, _labels), sample in collector.exports[-1].items():
        figure = figures[name]
        assert (sample.kind, sample.help) == (figure.kind, figure.help)
        assert sample.unit == UNITS[figure.unit]
        assert sample.at_ns == 1_767_229_323 * 10**9  # the heartbeat of the status
        assert sample.since_ns == (1_767_225_600 * 10**9 if figure.kind == "counter" else 0)
    resource = collector.resources[-1]
    assert (resource["service.name"], resource["service.version"]) == ("holdfast", "0.1.0")


def test_records_arrive_whole_and_once(home: Home) -> None:
    home.paths.ensure_dirs()
    log = JsonLog(Path(home.paths.logs) / "holdfast.log.jsonl", clock=lambda: 1_800_000_000.125)
    log.info("first", number=7, share=0.5, on=True, text="ä", many=[1, {"a": None}], none=None)
    log.error("second")
    for number in range(600):  # more than a request takes
        log.info("third", number=number)
    with collecting() as collector:
        export(home, collector, lambda: len(collector.records) >= 602)
    assert len(collector.records) == 602
    first, second, *rest = collector.records
    assert first.at_ns == 1_800_000_000_125_000_000
    assert (first.body, first.severity, first.number) == ("first", "INFO", 9)
    assert first.attributes == {
        "number": 7,
        "share": 0.5,
        "on": True,
        "text": "ä",
        "many": '[1, {"a": null}]',
        "none": "null",
    }
    assert (second.body, second.severity, second.number) == ("second", "ERROR", 17)
    assert [record.attributes["number"] for record in rest] == list(range(600))


def test_only_what_was_asked_for_is_sent(home: Home) -> None:
    home.paths.ensure_dirs()
    log = JsonLog(Path(home.paths.logs) / "holdfast.log.jsonl")
    log.info("said")
    with collecting() as collector:
        export(home, collector, lambda: collector.records, metrics=False)
        assert collector.exports == []
    with collecting() as collector:
        log.info("said")
        export(home, collector, lambda: collector.exports, logs=False)
        assert collector.records == []


def test_headers_come_from_the_usual_variables(home: Home) -> None:
    home.env["OTEL_EXPORTER_OTLP_HEADERS"] = "x-secret=abc%20def"
    with collecting() as collector:
        export(home, collector, lambda: collector.exports)
    assert collector.headers[-1]["x-secret"] == "abc def"


def test_a_collector_that_refuses_is_told_and_gets_the_records_later(home: Home) -> None:
    home.paths.ensure_dirs()
    log = JsonLog(Path(home.paths.logs) / "holdfast.log.jsonl")
    log.info("said", at_first=instant())
    told = Path(home.paths.logs) / "supervisor.jsonl"

    def heal() -> object:
        if told.exists() and b"telemetry.failing" in told.read_bytes():
            collector.answer = 200
        return collector.records and b"telemetry.resumed" in told.read_bytes()

    with collecting() as collector:
        collector.answer = 400
        export(home, collector, heal)
    assert collector.events() == ["said"]
    assert b"400" in told.read_bytes()
