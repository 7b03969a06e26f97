"""What the system allows this run: looked at when the daemon starts, and kept for who asks.

`read` and `read_disk` may wait for a disk, and change nothing: they are for a thread. What they
found is kept by `keep` and `keep_disk`, on the event loop alone.
"""

from __future__ import annotations

from typing import Final

from holdfast.checks import Check
from holdfast.governor.limits import (
    LimitReadings,
    Needs,
    check_disk,
    check_limits,
    raise_descriptors,
    read_inodes,
    read_limits,
)
from holdfast.governor.machine import Machine
from holdfast.observe import EventLog


class Allowance:
    """Most limits stay as they are while a process lives; room on the disk does not."""

    def __init__(self, machine: Machine, data_dir: str, log: EventLog) -> None:
        self._machine: Final = machine
        self._data_dir: Final = data_dir
        self._log: Final = log
        self._raised_from: int | None = None
        self._told: set[str] = set()
        self.checks: list[Check] = []

    @property
    def warnings(self) -> list[str]:
        return [check.sentence for check in self.checks if not check.is_well]

    def take(self) -> None:
        """Before files are opened: what we may raise ourselves, nobody else needs to."""
        raised = raise_descriptors()
        if raised is not None:
            self._raised_from, now = raised
            self._log.info("limits.raised", limit="descriptors", before=raised[0], after=now)

    def read(self) -> LimitReadings:
        """Looks at every process of this user: not for every heartbeat."""
        return read_limits(self._machine, self._data_dir, raised_from=self._raised_from)

    def read_disk(self) -> Check:
        return check_disk(self._machine.read(), read_inodes(self._data_dir))

    def keep(self, readings: LimitReadings, needs: Needs) -> list[Check]:
        self._keep(check_limits(readings, needs))
        return self.checks

    def keep_disk(self, disk: Check) -> None:
        self._keep([disk if each.id == disk.id else each for each in self.checks])

    def _keep(self, checks: list[Check]) -> None:
        self.checks = checks
        low = {check.id: check for check in checks if not check.is_well}
        for name, check in low.items():
            if name not in self._told:
                self._log.warning(
                    "limits.low",
                    limit=name,
                    verdict=check.verdict,
                    said=check.said,
                    remedies=check.remedies,
                    evidence=check.evidence,
                )
        self._told = set(low)
