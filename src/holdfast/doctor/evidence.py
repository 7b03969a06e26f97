"""What the checks look at: gathered by whoever asks, so that the checks themselves ask nobody."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

import msgspec

from holdfast.checks import Check
from holdfast.journal.examine import OnProgress
from holdfast.paths import Paths
from holdfast.settings import Loaded, Settings
from holdfast.status import LastRun, Status
from holdfast.status.sources import SourceReport

QUICK_S: Final = 20.0  # for each part of the search for damage; `--full` takes the time it takes


class Evidence(msgspec.Struct, kw_only=True):
    paths: Paths
    environ: Mapping[str, str]
    now_s: float
    settings: Settings
    loaded: Loaded | None  # None when the configuration is wrong
    config_problems: tuple[str, ...]
    status: Status | None  # None when the journal cannot be read
    live: list[Check] | None  # what only the daemon itself can tell; None without one
    sources: list[SourceReport] | None
    last_run: LastRun | None
    holder: tuple[str, int] | None  # of the journal's lock
    answers: bool = False  # something answers at the socket, if only to say no
    put_off: bool = False  # it is short of memory, and said so instead of an answer
    full: bool = False
    limit_s: float = QUICK_S
    on_progress: OnProgress = lambda _what, _share: None

    @property
    def has_daemon(self) -> bool:
        """Whether the status is a daemon's, told by itself."""
        return self.status is not None and self.status.daemon.running

    @property
    def time_limit_s(self) -> float | None:
        return None if self.full else self.limit_s
