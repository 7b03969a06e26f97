"""What comes in and what goes out: the agents' logs, and recordings."""

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import Final

from holdfast.checks import Check, Fact, Verdict, counted, maker, size, worst
from holdfast.doctor.evidence import Evidence
from holdfast.status.model import Status
from holdfast.status.sources import SourceReport

LAG_MANY_BYTES: Final = 16 << 20  # that wait although a daemon runs and imports nothing
BAD_MANY_PCT: Final = 1.0
SHOWN: Final = 10

_source: Final = maker("sources")
_recording: Final = maker("recordings")


def checks(evidence: Evidence) -> Iterator[Check]:
    if evidence.sources is not None:
        there = [report for report in evidence.sources if _is_there(report)]
        for report in there:
            yield _log_of(report, evidence)
        yield _others(evidence.sources, there)
    if evidence.status is not None:
        yield _recordings(evidence.status)
        yield _recordings_over(evidence.status)


def _is_there(report: SourceReport) -> bool:
    return bool(report.files) or (report.enabled and any(root.exists for root in report.roots))


def _others(reports: list[SourceReport], there: list[SourceReport]) -> Check:
    off = [report.agent for report in reports if not report.enabled]
    absent = [each.agent for each in reports if each not in there and each.enabled]
    facts: dict[str, Fact] = {
        "found": ", ".join(report.agent for report in there),
        "not_here": ", ".join(absent),
        "off": ", ".join(off),
    }
    if not there:
        return _source(
            "agents",
            "warning",
            "no agent's logs were found",
            facts,
            "`holdfast sources -v` says where they are looked for; set sources.<agent>.roots",
        )
    return _source("agents", "ok", f"{len(there)} of {len(reports)} agents are here", facts)


def _log_of(report: SourceReport, evidence: Evidence) -> Check:
    counts = report.bytes
    facts: dict[str, Fact] = {
        "files": report.files,
        "sessions": report.sessions,
        "events": report.events,
        "seen_bytes": counts.seen,
        "parsed_bytes": counts.parsed,
        "skipped_bytes": counts.skipped,
        "unknown_bytes": counts.unknown,
        "bad_bytes": counts.bad,
        "torn_bytes": counts.torn,
        "lag_bytes": report.lag_bytes,
        "unread_files": report.unread_files,
        "unreadable_files": report.unreadable_files,
        "gone_files": report.gone_files,
        "unknown_types": len(report.unknown_types),
    }
    found = list(_findings(report, evidence))
    said = (
        f"{report.agent}: {counted(report.files, 'log')}, {size(counts.seen)}"
        if report.enabled
        else f"{report.agent} (off): {counted(report.files, 'log')}"
    )
    return _source(
        f"source-{report.agent}",
        worst(verdict for verdict, _said, _remedy, _names in found),
        "; ".join([said, *(text for _verdict, text, _remedy, _names in found)]),
        facts,
        *dict.fromkeys(remedy for _verdict, _said, remedy, _names in found if remedy),
        particulars=tuple(name for _verdict, _said, _remedy, names in found for name in names),
    )


Finding = tuple[Verdict, str, str, list[str]]


def _findings(report: SourceReport, evidence: Evidence) -> Iterator[Finding]:
    counts = report.bytes
    closed = [
        root.path
        for root in report.roots
        if root.exists and not os.access(root.path, os.R_OK | os.X_OK)
    ]
    if closed:
        yield "problem", f"{len(closed)} folders cannot be read", "make them readable", closed
    if report.files and not any(root.exists for root in report.roots):
        gone = [root.path for root in report.roots][:SHOWN]
        yield (
            "warning", "its folders are gone; what was read of them is kept",
            f"set sources.{report.agent}.roots if they moved", gone,
        )  # fmt: skip
    if report.unreadable_files:
        names = [f"{each.path}: {each.error}" for each in report.errors][:SHOWN]
        yield (
            "warning", f"{report.unreadable_files:,} cannot be read",
            "mend what is named; they are tried again by themselves", names,
        )  # fmt: skip
    idle = evidence.has_daemon and evidence.status and not evidence.status.importing.running
    if report.lag_bytes:
        text = f"{size(report.lag_bytes)} in {counted(report.unread_files, 'log')} not read yet"
        late = idle and report.lag_bytes > LAG_MANY_BYTES
        yield "warning" if late else "ok", text, "`holdfast import` reads them" if late else "", []
    bad = counts.bad - counts.torn
    if bad:
        much = 100 * bad > BAD_MANY_PCT * counts.seen
        yield (
            "warning" if much else "ok", f"{size(bad)} could not be understood",
            "the agent's format may have changed: please report it" if much else "", [],
        )  # fmt: skip
    if report.unknown_types:
        names = [f"unknown type {each.type}: {each.records:,}" for each in report.unknown_types]
        yield "ok", f"{counted(len(names), 'unknown type')} of records, kept raw", "", names[:SHOWN]
    expiring = report.expiring
    if expiring is not None and expiring.not_kept_files:
        names = [f"{each.path}: {each.why}" for each in expiring.not_kept][:SHOWN]
        text = (
            f"{report.agent} is about to delete {expiring.files:,} logs, of which "
            f"{expiring.not_kept_files:,} are not kept here"
        )
        yield "problem", text, "`holdfast import` reads what can be read", names
    elif expiring is not None:
        yield "ok", f"{expiring.files:,} will be deleted by the agent soon, all are kept", "", []


def _recordings(status: Status) -> Check:
    found = status.recordings
    facts: dict[str, Fact] = {
        "active": found.active,
        "paused": found.paused,
        "stopped": found.stopped,
    }
    if found.paused:
        return _recording(
            "recordings",
            "problem",
            f"{counted(found.paused, 'recording')} cannot be written now",
            facts,
            "make room or mend the permissions; they go on by themselves with nothing missing",
            particulars=tuple(found.problems_now),
        )
    said = f"{found.active:,} active, {found.stopped:,} stopped"
    return _recording("recordings", "ok", said, facts)


def _recordings_over(status: Status) -> Check:
    """What does not go on by itself, whatever is mended."""
    found = status.recordings
    facts: dict[str, Fact] = {
        "lost": found.lost,
        "failed": found.failed,
        "commands_refused": found.commands_refused,
    }
    particulars = tuple(found.problems_before)
    told = []
    if found.lost:
        lost = counted(found.lost, "recording")
        told.append(f"{lost} ended because the file went away or was replaced")
    if found.failed:
        told.append(f"{counted(found.failed, 'file')} could not be made")
    if told:
        return _recording(
            "recordings-over",
            "warning",
            ", ".join(told),
            facts,
            "`holdfast recordings --all` lists them; `holdfast capture SESSION` writes one anew",
            particulars=particulars,
        )
    said = f"no recording lost its file, {counted(found.commands_refused, 'command')} refused"
    return _recording("recordings-over", "ok", said, facts, particulars=particulars)
