"""A collector for tests: takes OTLP over HTTP and keeps what it was sent, decoded."""

from __future__ import annotations

import gzip
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, NamedTuple

from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import (
    ExportMetricsServiceRequest,
)

Labels = frozenset[tuple[str, str]]


class Sample(NamedTuple):
    kind: str
    unit: str
    help: str
    at_ns: int
    since_ns: int
    value: float


class Record(NamedTuple):
    at_ns: int
    severity: str
    number: int
    body: str
    attributes: dict[str, Any]


class Collector:
    """What arrived, in order."""

    def __init__(self) -> None:
        self.exports: list[dict[tuple[str, Labels], Sample]] = []
        self.records: list[Record] = []
        self.resources: list[dict[str, Any]] = []
        self.headers: list[dict[str, str]] = []
        self.answer = 200
        self.endpoint = ""

    def events(self) -> list[str]:
        return [record.body for record in self.records]

    def take(self, path: str, body: bytes) -> None:
        if path.endswith("/v1/metrics"):
            self._take_metrics(ExportMetricsServiceRequest.FromString(body))
        elif path.endswith("/v1/logs"):
            self._take_logs(ExportLogsServiceRequest.FromString(body))
        else:
            raise AssertionError(f"nobody sends to {path}")

    def _take_metrics(self, request: Any) -> None:
        samples = {}
        for resource in request.resource_metrics:
            self.resources.append(_attributes(resource.resource.attributes))
            for metric in resource.scope_metrics[0].metrics:
                data = metric.sum if metric.HasField("sum") else metric.gauge
                kind = "counter" if metric.HasField("sum") else "gauge"
                if kind == "counter":
                    assert metric.sum.is_monotonic
                    assert metric.sum.aggregation_temporality == 2  # cumulative
                for point in data.data_points:
                    labels = frozenset(_attributes(point.attributes).items())
                    value = point.as_int if point.HasField("as_int") else point.as_double
                    assert (metric.name, labels) not in samples
                    samples[metric.name, labels] = Sample(
                        kind,
                        metric.unit,
                        metric.description,
                        point.time_unix_nano,
                        point.start_time_unix_nano,
                        value,
                    )
        self.exports.append(samples)

    def _take_logs(self, request: Any) -> None:
        for resource in request.resource_logs:
            for record in resource.scope_logs[0].log_records:
                self.records.append(
                    Record(
                        record.time_unix_nano,
                        record.severity_text,
                        record.severity_number,
                        record.body.string_value,
                        _attributes(record.attributes),
                    )
                )


def _attributes(pairs: Any) -> dict[str, Any]:
    return {pair.key: getattr(pair.value, pair.value.WhichOneof("value")) for pair in pairs}


@contextmanager
def collecting() -> Iterator[Collector]:
    collector = Collector()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            if self.headers.get("Content-Encoding") == "gzip":
                body = gzip.decompress(body)
            collector.headers.append({name.lower(): text for name, text in self.headers.items()})
            if collector.answer == 200:
                collector.take(self.path, body)
            self.send_response(collector.answer)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *_said: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    collector.endpoint = f"http://127.0.0.1:{server.server_address[1]}"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield collector
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
