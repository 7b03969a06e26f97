"""How long Claude Code keeps its logs: at its start it deletes what was not written to for a while.

`cleanupPeriodDays` says for how long; without it, 30 days. The settings that an administrator
manages win over those of the machine's user. Since version 2.1.89 Claude Code refuses 0, and before
that it took it for "delete everything": whoever warns has to expect the worse. What cannot be read,
or is no number of days, leaves the default.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from typing import Final

import msgspec

from holdfast.sources.loose import UNREADABLE

KEY: Final = "cleanupPeriodDays"
DEFAULT_DAYS: Final = 30.0
DAYS_MAX: Final = 1_000_000.0
SETTINGS_BYTES_MAX: Final = 4_194_304
DAY_S: Final = 86_400

_MANAGED: Final = (
    "/Library/Application Support/ClaudeCode" if sys.platform == "darwin" else "/etc/claude-code"
)


class Retention(msgspec.Struct, frozen=True):
    days: float
    says: str  # the file that sets it; "" for the default

    @property
    def seconds(self) -> float:
        return self.days * DAY_S

    def __str__(self) -> str:
        return (
            f"{self.days:g} days ({KEY} in {self.says})"
            if self.says
            else (f"{self.days:g} days, unless {KEY} is set")
        )


class _Settings(msgspec.Struct):
    days: msgspec.Raw = msgspec.field(default=msgspec.Raw(b""), name=KEY)


_read_settings: Final = msgspec.json.Decoder(_Settings).decode
_read_days: Final = msgspec.json.Decoder(int | float).decode


def retention_of(root: str, managed: str = _MANAGED) -> Retention:
    """What holds for the logs below a root."""
    for path in _files(root, managed):
        days = _days_in(path)
        if days is not None:
            return Retention(days, path)
    return Retention(DEFAULT_DAYS, "")


def _files(root: str, managed: str) -> Iterator[str]:
    """The strongest first; of an administrator's additions the last one by name."""
    additions = os.path.join(managed, "managed-settings.d")
    try:
        names = sorted(os.listdir(additions), reverse=True)
    except OSError:
        names = []
    yield from (os.path.join(additions, name) for name in names if name.endswith(".json"))
    yield os.path.join(managed, "managed-settings.json")
    yield os.path.join(root, "settings.local.json")
    yield os.path.join(root, "settings.json")


def _days_in(path: str) -> float | None:
    try:
        with open(path, "rb") as file:
            content = file.read(SETTINGS_BYTES_MAX)
    except OSError:
        return None
    try:
        days = _read_days(_read_settings(content).days)
    except UNREADABLE:
        return None
    return min(float(days), DAYS_MAX) if days >= 0 else None
