"""Where holdfast keeps things. Only names: nothing here touches the disk until `ensure_dirs`.

`holdfast status` and the hooks read this module within their 10 ms, so it imports `os` alone and
paths are strings; what needs `pathlib`, `typing` or `enum` is imported in the call that needs it.
"""

from __future__ import annotations

import os

TYPE_CHECKING = False  # type checkers know this name; `typing` itself costs 8 ms
if TYPE_CHECKING:
    from collections.abc import Mapping

SOCKET_PATH_MAX_BYTES = 100  # the kernel takes 108 on Linux and 104 on macOS, NUL included


class Paths:
    """The four roots that the environment decides, and every file below them."""

    __slots__ = ("config_file", "data_dir", "runtime_dir", "state_dir")

    def __init__(self, config_file: str, data_dir: str, state_dir: str, runtime_dir: str) -> None:
        self.config_file = config_file
        self.data_dir = data_dir
        self.state_dir = state_dir
        self.runtime_dir = runtime_dir

    @classmethod
    def from_env(cls, environ: Mapping[str, str]) -> Paths:
        """HOLDFAST_HOME holds everything when it is set; else the XDG base directories do."""
        if top := environ.get("HOLDFAST_HOME"):
            return cls._below(os.path.abspath(_expand(top, environ)))
        state_dir = _xdg_dir(environ, "XDG_STATE_HOME", ".local/state")
        return cls(
            config_file=_in(_xdg_dir(environ, "XDG_CONFIG_HOME", ".config"), "config.toml"),
            data_dir=_xdg_dir(environ, "XDG_DATA_HOME", ".local/share"),
            state_dir=state_dir,
            # Not XDG_RUNTIME_DIR: cron, ssh and services miss it, and would look for the daemon's
            # socket where it is not.
            runtime_dir=_in(state_dir, "run"),
        )

    @classmethod
    def _below(cls, top: str) -> Paths:
        return cls(_in(top, "config.toml"), _in(top, "data"), _in(top, "state"), _in(top, "run"))

    @property
    def journal(self) -> str:
        return _in(self.data_dir, "journal.db")

    @property
    def lock(self) -> str:
        return _in(self.data_dir, "journal.lock")

    @property
    def blobs(self) -> str:
        return _in(self.data_dir, "blobs")

    @property
    def logs(self) -> str:
        return _in(self.state_dir, "logs")

    @property
    def alerts_file(self) -> str:
        """Which alerts are silenced, and until when."""
        return os.path.join(self.state_dir, "alerts.json")

    @property
    def run_file(self) -> str:
        return _in(self.state_dir, "run.json")

    @property
    def crash_file(self) -> str:
        return _in(self.state_dir, "crash.txt")

    @property
    def status_file(self) -> str:
        return _in(self.state_dir, "status.json")

    @property
    def history_file(self) -> str:
        return _in(self.state_dir, "history.zst")

    @property
    def telemetry_file(self) -> str:
        return _in(self.state_dir, "otlp-position.json")

    @property
    def socket(self) -> str:
        return _in(self._socket_dir, "holdfast.sock")

    @property
    def _socket_dir(self) -> str:
        ordinary = _in(self.runtime_dir, "holdfast.sock")
        if len(os.fsencode(ordinary)) <= SOCKET_PATH_MAX_BYTES:
            return self.runtime_dir
        return f"/tmp/holdfast-{os.getuid()}-{_fnv1a(self.data_dir):08x}"  # noqa: S108 - owner checked

    def ensure_dirs(self) -> None:
        """Make every folder that a daemon writes to, for this user only."""
        from holdfast.folders import ensure_own, ensure_writable

        for path in (self.data_dir, self.blobs, self.state_dir, self.logs, self.runtime_dir):
            ensure_writable(path)
        if self._socket_dir != self.runtime_dir:
            ensure_own(self._socket_dir)

    def check_socket_dir(self) -> None:
        """For clients, before they connect: refuse a folder in /tmp that someone else made."""
        if self._socket_dir != self.runtime_dir and os.path.lexists(self._socket_dir):
            from holdfast.folders import refuse_foreign

            refuse_foreign(self._socket_dir)


_in = os.path.join


def _xdg_dir(environ: Mapping[str, str], variable: str, below_home: str) -> str:
    """The specification wants values that are not absolute ignored."""
    base = environ.get(variable, "")
    if not os.path.isabs(base):
        base = _in(_home(environ), below_home)
    return _in(base, "holdfast")


def _home(environ: Mapping[str, str]) -> str:
    home = environ.get("HOME") or os.path.expanduser("~")
    if home == "~":
        from holdfast.folders import FolderError

        raise FolderError(
            "this user has no home folder; set HOLDFAST_HOME to a folder that you can write to"
        )
    return os.path.abspath(home)


def _expand(path: str, environ: Mapping[str, str]) -> str:
    if path == "~" or path.startswith("~/"):
        return _home(environ) + path[1:]
    return os.path.expanduser(path)


def _fnv1a(text: str) -> int:
    """Tells data folders apart, nothing more: `hashlib` would cost the status path 2 ms."""
    value = 0x811C9DC5
    for byte in os.fsencode(text):
        value = (value ^ byte) * 0x01000193 & 0xFFFFFFFF
    return value
