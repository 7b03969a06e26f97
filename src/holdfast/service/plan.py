"""What the service is to run: which program, with which variables, within which limits."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from typing import Final

import msgspec

from holdfast.paths import Paths
from holdfast.service.limits import Limits, limits_for
from holdfast.settings import Settings

# Small arenas and early returns: without them freed memory stays with the allocator.
ALLOCATOR: Final = {
    "MALLOC_ARENA_MAX": "1",
    "MALLOC_MMAP_THRESHOLD_": "65536",
    "MALLOC_TRIM_THRESHOLD_": "65536",
}
_OWN: Final = "HOLDFAST_"
_BASES: Final = ("XDG_CONFIG_HOME", "XDG_DATA_HOME", "XDG_STATE_HOME")


class Plan(msgspec.Struct, frozen=True, kw_only=True):
    command: tuple[str, ...]
    environ: dict[str, str]  # all of it that is not the manager's own, by name
    limits: Limits
    state_dir: str
    exports: bool  # to a collector, whose headers and certificates are not in `environ`


def make_plan(
    settings: Settings,
    paths: Paths,
    environ: Mapping[str, str],
    *,
    python: str,
    folders: Iterable[str],
) -> Plan:
    """`folders`: the variables that agents read their folders from."""
    return Plan(
        command=(python, "-I", "-m", "holdfast.daemon"),
        environ=dict(sorted({**kept_environ(environ, folders), **ALLOCATOR}.items())),
        limits=limits_for(settings.daemon.max_memory_mb, settings.daemon.stop_deadline_ms),
        state_dir=paths.state_dir,
        exports=bool(settings.telemetry.otlp_endpoint),
    )


def kept_environ(environ: Mapping[str, str], folders: Iterable[str]) -> dict[str, str]:
    """What decides where holdfast keeps and looks for things, and no other variable.

    A service does not see the shell that installed it: without these it would keep another
    journal than the commands read. Whatever else is there may be secret, and is left out.
    """
    kept = {name: value for name, value in environ.items() if name.startswith(_OWN) and value}
    for name in (f"{_OWN}HOME", *folders):
        if folder := environ.get(name):
            kept[name] = os.path.abspath(os.path.expanduser(folder))
    for name in _BASES:
        if os.path.isabs(environ.get(name, "")):
            kept[name] = environ[name]
    return kept
