"""The daemon: whether it runs, how its last run ended, versions, the clock, what limits it."""

from __future__ import annotations

import platform
import sys
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Final

from holdfast import __version__
from holdfast.alerts import AlertsStatus
from holdfast.checks import Check, Fact, Verdict, counted, maker
from holdfast.doctor.evidence import Evidence
from holdfast.governor.limits import Needs, check_limits, check_system, read_limits
from holdfast.governor.machine import Machine
from holdfast.status.health import oom_score

PYTHON_LEAST: Final = (3, 11)
SQLITE_LEAST: Final = (3, 51, 3)  # before it, two connections that checkpoint may damage a WAL
FUTURE_S: Final = 300.0

_check: Final = maker("process")


def checks(evidence: Evidence) -> Iterator[Check]:
    yield _daemon(evidence)
    if evidence.last_run is not None:
        yield _last_run(evidence)
    yield _versions()
    yield _clock(evidence)
    yield from _told(evidence)
    if evidence.live is not None:
        yield from evidence.live
        return
    settings = evidence.settings
    machine = Machine(evidence.paths.data_dir)
    readings = read_limits(machine, evidence.paths.data_dir)
    needs = Needs(
        budget_bytes=settings.daemon.max_memory_mb << 20,
        children=settings.import_workers(_cpus()),
        reconcile_secs=settings.ingest.reconcile_secs,
    )
    yield from check_limits(readings, needs)
    yield from check_system(readings.machine)
    yield oom_score()


def _cpus() -> int:
    import os

    return os.cpu_count() or 1


def _daemon(evidence: Evidence) -> Check:
    holder = evidence.holder
    facts: dict[str, Fact] = {
        "lock_role": holder[0] if holder else None,
        "lock_pid": holder[1] if holder else None,
    }
    if evidence.has_daemon and evidence.status is not None:
        about = evidence.status.daemon
        facts |= {"pid": about.pid, "version": about.version, "uptime_s": about.uptime_s}
        if about.version != __version__:
            return _check(
                "daemon",
                "warning",
                f"the daemon is of version {about.version}, this command of {__version__}",
                facts,
                "`holdfast restart` starts the new version",
            )
        said = f"{about.state}, pid {about.pid}, version {about.version}"
        return _check("daemon", "ok", said, facts)
    if holder is None:
        return _check("daemon", "ok", "not running; `holdfast start` starts it", facts)
    role, pid = holder
    if role != "daemon":
        return _check(
            "daemon", "ok", f"not running; {role} works on the journal (pid {pid})", facts
        )
    if evidence.put_off:
        return _check(
            "daemon",
            "warning",
            f"the daemon that runs (pid {pid}) is short of memory and puts off what it is asked",
            facts,
            "try again in some seconds, or raise daemon.max_memory_mb",
        )
    if evidence.answers:
        return _check(
            "daemon",
            "warning",
            f"the daemon that runs (pid {pid}) does not answer as this version asks: it is another",
            facts,
            "`holdfast restart` starts this version",
        )
    return _check(
        "daemon",
        "problem",
        f"a daemon holds the journal (pid {pid}) and does not answer",
        facts,
        f"look into the logs; `holdfast stop`, and `kill -9 {pid}` when that does not help: "
        "nothing that is stored is lost",
    )


def _last_run(evidence: Evidence) -> Check:
    last = evidence.last_run
    assert last is not None
    facts: dict[str, Fact] = {
        "ending": last.ending,
        "pid": last.pid,
        "version": last.version,
        "started_at": last.started_at,
        "ended_at": last.ended_at,
    }
    remedies = {
        "out of memory": "lower daemon.max_memory_mb, or give the machine or the control group "
        "more; the limits below say which",
        "crashed": "please report it; `holdfast doctor --bundle FILE` gathers what is needed",
        "failed": "look into the logs, and start it again",
        "killed": "if you did not: look who did (a service manager that waited too short, a "
        "supervisor, kill -9)",
    }
    if last.ending in ("stopped", "machine restarted"):
        by = " (a service manager calls that 143)" if last.detail.startswith("SIGTERM") else ""
        detail = f": {last.detail}{by}" if last.detail else ""
        # What it says itself may quote a session or a path.
        return _check("last-run", "ok", f"the last run was {last.ending}", facts,
                      particulars=(f"{last.ending}{detail}", *last.evidence))  # fmt: skip
    remedy = remedies.get(last.ending)
    return _check(
        "last-run",
        "warning",
        f"the last run ended as {last.ending!r} at {last.ended_at}",
        facts,
        *([remedy] if remedy else []),
        particulars=(last.detail, *last.evidence),
    )


def _told(evidence: Evidence) -> Iterator[Check]:
    """What the daemon says is wrong, as far as no other check here says it too."""
    status = evidence.status
    if status is None or not evidence.has_daemon:
        return
    alerts = () if status.alerts is None else tuple(status.alerts.problems())
    if status.alerts is not None:
        yield _alerts(status.alerts, alerts)
    elsewhere = {*alerts, *status.recordings.last_problems}
    elsewhere |= {check.sentence for check in evidence.live or ()}
    others = tuple(each for each in status.problems if each not in elsewhere)
    facts: dict[str, Fact] = {"problems": len(others)}
    if others:
        yield _check(
            "problems",
            "warning",
            f"the daemon tells of {counted(len(others), 'problem')}",
            facts,
            "each says what to do; more is in docs/operations.md, “When things go wrong”",
            particulars=others,
        )
    else:
        yield _check("problems", "ok", "the daemon tells of nothing else that is wrong", facts)


def _alerts(found: AlertsStatus, lines: tuple[str, ...]) -> Check:
    firing = [each for each in found.rules if each.state == "firing"]
    facts: dict[str, Fact] = {
        "rules": len(found.rules),
        "firing": len(firing),
        "firing_critical": sum(each.severity == "critical" for each in firing),
        "page_went_astray": bool(found.problem),
    }
    if not lines:
        return _check("alerts", "ok", f"none of {counted(len(found.rules), 'alert')} fires", facts)
    verdict: Verdict = "problem" if facts["firing_critical"] else "warning"
    said = f"{counted(len(firing), 'alert')} of {len(found.rules):,} firing"
    if found.problem:
        said += ", and a page went astray"
    return _check(
        "alerts",
        verdict,
        said,
        facts,
        "`holdfast alerts` shows what each watches; `holdfast alerts test NAME` tries the way of a "
        "page",
        particulars=lines,
    )


def _versions() -> Check:
    import apsw

    found = apsw.sqlitelibversion()
    facts: dict[str, Fact] = {
        "holdfast": __version__,
        "python": platform.python_version(),
        "sqlite": found,
        "system": platform.system(),
        "release": platform.release(),
        "machine": platform.machine(),
    }
    said = f"holdfast {__version__}, Python {facts['python']}, SQLite {found}, {facts['system']}"
    if sys.version_info[:2] < PYTHON_LEAST:
        return _check("versions", "problem", said, facts, "use Python 3.11 or newer")
    if tuple(map(int, found.split(".")[:3])) < SQLITE_LEAST:
        return _check(
            "versions", "problem", f"{said}: this SQLite can damage the journal", facts,
            "install apsw 3.51.3 or newer: `make up` does",
        )  # fmt: skip
    return _check("versions", "ok", said, facts)


def _clock(evidence: Evidence) -> Check:
    """Sessions in the future would come first in every list, for ever."""
    newest = ""
    if evidence.status is not None and evidence.status.sessions.newest:
        newest = max(each.updated_at for each in evidence.status.sessions.newest)
    ahead_s = _epoch_s(newest) - evidence.now_s if newest else 0.0
    facts: dict[str, Fact] = {"newest_event_at": newest, "ahead_s": round(max(0.0, ahead_s), 1)}
    if ahead_s > FUTURE_S:
        return _check(
            "clock",
            "warning",
            f"the newest event is {ahead_s / 3600:,.1f} hours in the future: this clock is behind, "
            "or the one of the machine that wrote it was ahead",
            facts,
            "set the clock (timedatectl set-ntp true)",
        )
    return _check("clock", "ok", "no event is in the future", facts)


def _epoch_s(at: str) -> float:
    try:
        return datetime.fromisoformat(at).astimezone(UTC).timestamp()
    except (ValueError, OverflowError):
        return 0.0
