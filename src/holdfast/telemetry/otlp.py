"""Figures and records in the types of OpenTelemetry. Loaded in the exporter's process alone.

The SDK's meters and its periodic reader are not used: they would ask for one figure after the other
and keep state of their own. All points of an export are made here from one answer of the daemon, so
they are of the same moment and are the very numbers of `/metrics`.
"""

from __future__ import annotations

import json
import logging
import re
import socket
from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Any, Final

from opentelemetry._logs import LogRecord, SeverityNumber
from opentelemetry.exporter.otlp.proto.http import Compression
from opentelemetry.exporter.otlp.proto.http._log_exporter import OTLPLogExporter
from opentelemetry.exporter.otlp.proto.http.metric_exporter import OTLPMetricExporter
from opentelemetry.sdk._logs import ReadableLogRecord
from opentelemetry.sdk._logs.export import LogRecordExportResult
from opentelemetry.sdk.metrics.export import (
    AggregationTemporality,
    Gauge,
    Metric,
    MetricExportResult,
    MetricsData,
    NumberDataPoint,
    ResourceMetrics,
    ScopeMetrics,
    Sum,
)
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.util.instrumentation import InstrumentationScope

EXPORT_TIMEOUT_S: Final = 5.0
_UNITS: Final = {"bytes_per_second": "By/s", "bytes": "By", "seconds": "s", "ratio": "1"}
_SEVERITIES: Final = {
    "debug": SeverityNumber.DEBUG,
    "info": SeverityNumber.INFO,
    "warning": SeverityNumber.WARN,
    "error": SeverityNumber.ERROR,
}
_CHANGING: Final = re.compile(r"<[^<>]* object at 0x[0-9a-f]+>:? ?|, retrying in [\d.]+s\.?")
Scalar = str | int | float | bool


class Collector:
    """Where figures and records go. Headers, certificates and such come from OTEL_… variables."""

    def __init__(self, endpoint: str, version: str) -> None:
        base = endpoint.rstrip("/")
        self._scope: Final = InstrumentationScope("holdfast", version)
        self._resource: Final = Resource.create(
            {
                "service.name": "holdfast",
                "service.version": version,
                "host.name": socket.gethostname(),
            }
        )
        self._metrics: Final = OTLPMetricExporter(
            f"{base}/v1/metrics", timeout=EXPORT_TIMEOUT_S, compression=Compression.Gzip
        )
        self._logs: Final = OTLPLogExporter(
            f"{base}/v1/logs", timeout=EXPORT_TIMEOUT_S, compression=Compression.Gzip
        )
        self._said: Final = _FirstSaid()
        self._reasons: Final[dict[str, str]] = {}
        exporters = logging.getLogger("opentelemetry")
        exporters.addHandler(self._said)
        exporters.propagate = False

    def send_figures(self, figures: Mapping[str, Any]) -> str:
        """What keeps them from arriving; "" when they did."""
        at, since = _nanoseconds(figures["at"]), _nanoseconds(figures["started_at"])
        metrics = [_metric(each, at, since) for each in figures["figures"]]
        scope = ScopeMetrics(self._scope, metrics, "")
        data = MetricsData([ResourceMetrics(self._resource, [scope], "")])
        arrived = self._metrics.export(data) is MetricExportResult.SUCCESS
        return self._reason("metrics", arrived=arrived)

    def send_records(self, records: Iterable[Mapping[str, Any]]) -> str:
        batch = [ReadableLogRecord(_record(each), self._resource, self._scope) for each in records]
        arrived = self._logs.export(batch) is LogRecordExportResult.SUCCESS
        return self._reason("logs", arrived=arrived)

    def _reason(self, signal: str, *, arrived: bool) -> str:
        """What an exporter has said once it does not say again: then it is what it was."""
        said = self._said.take()
        self._reasons[signal] = "" if arrived else said or self._reasons.get(signal) or "refused"
        return self._reasons[signal]


class _FirstSaid(logging.Handler):
    """Exporters answer yes or no. Why stands in the first that they log, without what changes."""

    def __init__(self) -> None:
        super().__init__(logging.WARNING)
        self._text = ""

    def emit(self, record: logging.LogRecord) -> None:
        self._text = self._text or _CHANGING.sub("", record.getMessage())

    def take(self) -> str:
        text, self._text = self._text, ""
        return text


def _metric(entry: Mapping[str, Any], at: int, since: int) -> Metric:
    is_counter = entry["kind"] == "counter"
    points = [
        NumberDataPoint(each["labels"], since if is_counter else 0, at, each["value"])
        for each in entry["points"]
    ]
    data = Sum(points, AggregationTemporality.CUMULATIVE, True) if is_counter else Gauge(points)
    return Metric(entry["name"], entry["help"], _UNITS.get(entry["unit"], "1"), data)


def _record(record: Mapping[str, Any]) -> LogRecord:
    """The event is the body and the name of the record, all other fields are its attributes."""
    event, level = str(record.get("event", "")), str(record.get("level", ""))
    fields = {name: value for name, value in record.items() if name not in ("at", "level", "event")}
    at = _nanoseconds(str(record["at"]))
    return LogRecord(
        timestamp=at,
        observed_timestamp=at,
        severity_text=level.upper(),
        severity_number=_SEVERITIES.get(level, SeverityNumber.UNSPECIFIED),
        body=event,
        event_name=event,
        attributes={name: _scalar(value) for name, value in fields.items()},
    )


def _scalar(value: object) -> Scalar:
    return value if isinstance(value, Scalar) else json.dumps(value)


def _nanoseconds(at: str) -> int:
    """Exact: a float has no room for nanoseconds since 1970."""
    try:
        moment = datetime.fromisoformat(at)
    except ValueError:
        return 0  # OTLP's word for a time that nobody knows
    whole = moment.replace(microsecond=0)
    return int(whole.timestamp()) * 10**9 + moment.microsecond * 1_000
