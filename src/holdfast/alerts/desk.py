"""The alerts of a running daemon: looked at, told, silenced; silence outlives a restart."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from typing import ClassVar, Final

import msgspec

from holdfast.alerts.conditions import Figures
from holdfast.alerts.engine import Alerts, AlertStatus, Notice
from holdfast.alerts.paging import Pager, Sent
from holdfast.errors import Exit, HoldfastError
from holdfast.observe import EventLog

Later = Callable[[Callable[[], None]], None]
"""Runs work that waits somewhere else than on the event loop."""


class NoSuchAlert(HoldfastError):
    exit: ClassVar[Exit] = Exit.NOT_FOUND


class AlertsStatus(msgspec.Struct, frozen=True):
    rules: list[AlertStatus]
    pages_by: list[str]  # "webhook", "command": where pages go; nowhere when it is empty
    throttles: bool  # a rule that fires asks for it
    restart_recommended: list[str]  # the rules that do
    problem: str  # why the last page did not get through every way

    def problems(self) -> list[str]:
        """A line for each that fires, and one for a page that went astray."""
        lines = [
            f"alert {each.name} ({each.severity}): {each.condition}"
            + (", a restart is recommended" if each.name in self.restart_recommended else "")
            for each in self.rules
            if each.state == "firing"
        ]
        return [*lines, *([f"a page went astray: {self.problem}"] if self.problem else [])]


class AlertDesk:
    def __init__(
        self,
        alerts: Alerts,
        pager: Pager,
        *,
        silences_file: str,
        later: Later,
        log: EventLog,
        audit: EventLog,
        clock_s: Callable[[], float],
        wall_s: Callable[[], float],
        instant: Callable[[], str],
        write: Callable[[str, bytes], None],
    ) -> None:
        self._alerts: Final = alerts
        self._pager: Final = pager
        self._file: Final = silences_file
        self._later: Final = later
        self._log: Final = log
        self._audit: Final = audit
        self._clock_s: Final = clock_s  # never jumps: how long something holds
        self._wall_s: Final = wall_s  # seconds since the epoch: silence outlives the process
        self._instant: Final = instant
        self._write: Final = write
        self._problem = ""
        self._throttling: list[str] = []
        self._load()

    @property
    def throttles(self) -> bool:
        return bool(self.throttling)

    @property
    def throttling(self) -> list[str]:
        """The rules that fire and want costly work to be put off; every request asks."""
        return self._throttling

    def step(self, figures: Figures) -> None:
        notices = self._alerts.step(figures, self._clock_s(), self._wall_s())
        self._throttling = self._alerts.firing("throttle")
        for notice in notices:
            self._tell(notice)

    def silence(self, name: str, seconds: float) -> None:
        """Zero ends a silence."""
        self._known(name)
        self._alerts.silence(name, self._wall_s() + seconds)
        self._save()
        self._audit.info("alert.silenced", alert=name, seconds=seconds)

    def test(self, name: str) -> Sent:
        """Tell whoever would be told, marked as a test. Waits: for a thread."""
        self._known(name)
        return self._pager.send(self._alerts.example(name), at=self._instant(), test=True)

    def names(self) -> list[str]:
        return self._alerts.names()

    def status(self) -> AlertsStatus:
        return AlertsStatus(
            rules=self._alerts.status(self._clock_s(), self._wall_s()),
            pages_by=self._pager.reaches,
            throttles=self.throttles,
            restart_recommended=self._alerts.firing("restart_recommended"),
            problem=self._problem,
        )

    def close(self) -> None:
        """Nobody is told any more; who is being told by a command is told no further."""
        self._pager.close()

    def _known(self, name: str) -> None:
        if name not in self._alerts:
            raise NoSuchAlert(
                f"there is no alert {name!r}; there are: {', '.join(self._alerts.names())}"
            )

    def _tell(self, notice: Notice) -> None:
        """Each notice is in the audit log; in the operational one when the rule says so."""
        fields = msgspec.to_builtins(notice)
        self._audit.info("alert", **fields)
        if "log" in notice.actions:
            levels = {"critical": self._log.error, "warning": self._log.warning}
            say = self._log.info if notice.what == "ended" else levels.get(notice.severity)
            (say or self._log.info)("alert", **fields)
        if {"page", "webhook", "command"} & set(notice.actions):
            self._later(lambda: self._page(notice))

    def _page(self, notice: Notice) -> None:
        sent = self._pager.send(notice, at=self._instant())
        if sent.problems:
            why = "; ".join(sent.problems)
            by = f", told by {' and '.join(sent.told)} alone" if sent.told else ", nobody was told"
            self._problem = f"{self._instant()} {notice.rule}{by}: {why}"
            self._log.error("alert.not_paged", alert=notice.rule, told=sent.told, error=why)
        elif sent.told:
            self._problem = ""

    def _load(self) -> None:
        with suppress(OSError, msgspec.DecodeError):
            with open(self._file, "rb") as file:
                until_s = msgspec.json.decode(file.read(), type=dict[str, float])
            for name in until_s.keys() & set(self._alerts.names()):
                self._alerts.silence(name, until_s[name])

    def _save(self) -> None:
        now_s = self._wall_s()
        until_s = {name: now_s + left for name, left in self._alerts.silenced(now_s).items()}
        try:
            self._write(self._file, msgspec.json.encode(until_s))
        except OSError as error:
            self._log.warning("alert.silence_not_kept", error=str(error))
