"""The report: all checks in order, and what `doctor --json` prints as types.

The shape is a promise, as that of the status: fields and checks may be added; one that changes its
meaning or goes raises `SCHEMA_VERSION`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Any, Final

import msgspec

from holdfast import __version__
from holdfast.checks import Check, Verdict, worst
from holdfast.clock import instant
from holdfast.doctor import feeds, house, process, storage
from holdfast.doctor.evidence import Evidence

SCHEMA_VERSION: Final = 1
GROUPS: Final = (
    "process",
    "limits",
    "memory",
    "journal",
    "payloads",
    "sources",
    "recordings",
    "house",
)
_PARTS: Final[tuple[Callable[[Evidence], Iterable[Check]], ...]] = (
    process.checks,
    storage.checks,
    feeds.checks,
    house.checks,
)


class Report(msgspec.Struct, frozen=True):
    schema_version: int
    at: str
    version: str
    daemon: bool  # whether one answered
    verdict: Verdict  # the worst of all
    counts: dict[Verdict, int]
    checks: list[Check]


def examine(evidence: Evidence) -> Report:
    found = sorted(_all(evidence), key=lambda check: GROUPS.index(check.group))
    verdicts: list[Verdict] = [check.verdict for check in found]
    names: tuple[Verdict, ...] = ("problem", "warning", "unknown", "ok")
    return Report(
        schema_version=SCHEMA_VERSION,
        at=instant(evidence.now_s),
        version=__version__,
        daemon=evidence.answers,
        verdict=worst(verdicts),
        counts={name: verdicts.count(name) for name in names},
        checks=found,
    )


def _all(evidence: Evidence) -> Iterator[Check]:
    """A part that fails inside says so and costs itself: the others are asked all the more."""
    for part in _PARTS:
        try:
            yield from part(evidence)
        except Exception as error:  # noqa: BLE001  # a doctor must not die of what it finds
            yield Check(
                id=f"doctor-{part.__module__.rpartition('.')[2]}",
                group="house",
                verdict="problem",
                said=f"a part of the examination failed inside ({type(error).__name__})",
                remedies=("please report it",),
                particulars=(repr(error),),
            )


def report_schema() -> dict[str, Any]:
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": f"holdfast doctor, schema version {SCHEMA_VERSION}",
        **msgspec.json.schema(Report),
    }
