"""What there is to share, and what limits us: the machine, the control group, stalls, descriptors.

Beside the footprint of our own tree (`readings.py`), this is what decides how near an end we are
that somebody else set. Two traps:

- A control group's usage counts page cache. What the kernel can drop (`inactive_file`) is free for
  whoever asks, as in the machine's `MemAvailable`; counting it would call every program that reads
  files a leak. The limit that holds is the smallest on the way up, not that of our own group.
- Groups of version 1 and 2 may both be mounted. The one that controls memory is the one that
  counts. Inside a container the path in `/proc/self/cgroup` may lie outside what is mounted: then
  the root of the mount is our group.

Whatever a platform does not tell is None, and `missing` names it: nothing is guessed.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Final

import msgspec

_PROC: Final = Path("/proc")
_GROUPS: Final = Path("/sys/fs/cgroup")
_NO_LIMIT_BYTES: Final = 1 << 60  # version 1 says "none" with a number near the largest there is
_KB: Final = 1024


class SystemMemory(msgspec.Struct, frozen=True):
    total_bytes: int
    available_bytes: int  # without swapping: free, and what the kernel can drop
    swap_total_bytes: int
    swap_free_bytes: int

    @property
    def used_pct(self) -> float:
        return 100 * (1 - self.available_bytes / self.total_bytes) if self.total_bytes else 0.0


class GroupMemory(msgspec.Struct, frozen=True):
    """The control group that we are in, with the smallest limit on the way up."""

    version: int
    path: str  # of the group that sets the limit; our own when none does
    limit_bytes: int | None
    used_bytes: int  # without what the kernel can drop
    cache_bytes: int  # what it can drop
    oom_kills: int | None  # in our own group, since it was made

    @property
    def used_pct(self) -> float | None:
        return 100 * self.used_bytes / self.limit_bytes if self.limit_bytes else None


class Stall(msgspec.Struct, frozen=True):
    """The share of the last ten seconds in which tasks waited for memory, in percent."""

    some_pct: float  # at least one waited
    full_pct: float  # all that could run did
    of: str  # "cgroup" or "system"


class Descriptors(msgspec.Struct, frozen=True):
    open: int
    soft_limit: int | None  # None: unlimited
    hard_limit: int | None


class Disk(msgspec.Struct, frozen=True):
    path: str
    total_bytes: int
    free_bytes: int  # for us, not for root


class MachineReading(msgspec.Struct, frozen=True):
    system: SystemMemory | None
    group: GroupMemory | None
    stall: Stall | None
    descriptors: Descriptors | None
    threads: int | None
    disk: Disk | None
    missing: tuple[str, ...]  # what this platform does not tell


class Machine:
    """Reads it all; each reading costs some tenths of a millisecond and keeps nothing open."""

    def __init__(
        self, data_dir: str, *, proc_root: Path = _PROC, groups_root: Path = _GROUPS
    ) -> None:
        self._data_dir: Final = data_dir
        self._proc: Final = proc_root
        self._group: Final = _Group.found(proc_root, groups_root)

    def read(self) -> MachineReading:
        return self._found(
            {
                **self._scarce(),
                "group": self._read_group,
                "descriptors": self._descriptors,
                "threads": self._threads,
                "disk": self._disk,
            }
        )

    def look(self) -> MachineReading:
        """Only what can make memory scarce, and of the group only what sets a limit: cheap."""
        return self._found(self._scarce())

    def _scarce(self) -> dict[str, Callable[[], object]]:
        return {"system": self._system, "group": self._limited_group, "stall": self._stall}

    def _found(self, readings: dict[str, Callable[[], object]]) -> MachineReading:
        found: dict[str, object] = dict.fromkeys(MachineReading.__struct_fields__[:-1])
        for name, read in readings.items():
            with suppress(OSError, ValueError, KeyError, IndexError):
                found[name] = read()
        missing = tuple(name for name in readings if found[name] is None)
        return MachineReading(**found, missing=missing)  # type: ignore[arg-type]  # by name

    def _system(self) -> SystemMemory:
        fields = _numbers(_text(self._proc / "meminfo"))
        return SystemMemory(
            total_bytes=fields["MemTotal:"] * _KB,
            available_bytes=fields["MemAvailable:"] * _KB,
            swap_total_bytes=fields.get("SwapTotal:", 0) * _KB,
            swap_free_bytes=fields.get("SwapFree:", 0) * _KB,
        )

    def _read_group(self) -> GroupMemory | None:
        return self._group.read() if self._group is not None else None

    def _limited_group(self) -> GroupMemory | None:
        """A group without a limit is never near it."""
        return self._read_group() if self._group is not None and self._group.is_limited else None

    def _stall(self) -> Stall:
        """Of our group, where it tells; else of the machine."""
        if self._group is not None and self._group.version == _V2.version:
            with suppress(OSError):
                return _stall(_text(self._group.own / "memory.pressure"), "cgroup")
        return _stall(_text(self._proc / "pressure/memory"), "system")

    def _descriptors(self) -> Descriptors:
        import resource  # not on every platform

        soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        count = len(os.listdir(self._proc / "self/fd"))
        return Descriptors(count, _limit(soft), _limit(hard))

    def _threads(self) -> int:
        return len(os.listdir(self._proc / "self/task"))

    def _disk(self) -> Disk:
        found = os.statvfs(_existing(self._data_dir))
        return Disk(
            self._data_dir, found.f_blocks * found.f_frsize, found.f_bavail * found.f_frsize
        )


class _Files(msgspec.Struct, frozen=True):
    """What the two versions call the same things."""

    version: int
    limit: str
    used: str
    reclaimable: str  # in memory.stat
    events: str
    controller: str  # in /proc/self/cgroup
    folder: str  # below the root, where both versions are mounted


_V2: Final = _Files(
    2, "memory.max", "memory.current", "inactive_file", "memory.events", "", "unified"
)
_V1: Final = _Files(
    1,
    "memory.limit_in_bytes",
    "memory.usage_in_bytes",
    "total_inactive_file",
    "memory.oom_control",
    "memory",
    "memory",
)


class _Group:
    """The group whose memory is controlled, and those above it."""

    def __init__(self, files: _Files, root: Path, own: Path) -> None:
        self.version: Final = files.version
        self.own: Final = own
        self._files: Final = files
        self._root: Final = root

    @classmethod
    def found(cls, proc_root: Path, groups_root: Path) -> _Group | None:
        try:
            lines = _text(proc_root / "self/cgroup").splitlines()
        except OSError:
            return None
        paths = {line.split(":", 2)[1]: line.split(":", 2)[2] for line in lines}
        for files in (_V1, _V2):
            path = next(
                (p for names, p in paths.items() if files.controller in names.split(",")), ""
            )
            for root in (groups_root / files.folder, groups_root):
                for own in (root / path.lstrip("/"), root):
                    if (own / files.used).is_file():
                        return cls(files, root, own)
        return None

    def read(self) -> GroupMemory:
        limited, limit = min(
            ((group, limit) for group, limit in self._limits()),
            key=lambda each: each[1],
            default=(self.own, None),
        )
        stat = _numbers(_text(limited / "memory.stat"))
        cache = stat.get(self._files.reclaimable, 0)
        used = int(_text(limited / self._files.used))
        return GroupMemory(
            version=self.version,
            path=str(limited),
            limit_bytes=limit,
            used_bytes=max(0, used - cache),
            cache_bytes=min(cache, used),
            oom_kills=self._oom_kills(),
        )

    @property
    def is_limited(self) -> bool:
        return any(True for _ in self._limits())

    def _limits(self) -> Iterator[tuple[Path, int]]:
        """Of our group and all above it, those that have one."""
        for group in (self.own, *self.own.parents):
            with suppress(OSError, ValueError):  # "max" is no number; version 2's root has no file
                limit = int(_text(group / self._files.limit))
                if limit < _NO_LIMIT_BYTES:
                    yield group, limit
            if group == self._root:
                return

    def _oom_kills(self) -> int | None:
        with suppress(OSError):
            return _numbers(_text(self.own / self._files.events)).get("oom_kill")
        return None


def _stall(text: str, of: str) -> Stall:
    """`some avg10=0.12 avg60=… total=…`, and the same for `full`."""
    shares = {}
    for line in text.splitlines():
        name, first, *_rest = line.split()
        shares[name] = float(first.removeprefix("avg10="))
    return Stall(some_pct=shares["some"], full_pct=shares.get("full", 0.0), of=of)


def _numbers(text: str) -> dict[str, int]:
    """The lines that begin with a name and a number."""
    found = {}
    for line in text.splitlines():
        name, _, rest = line.partition(" ")
        number = rest.split()
        if number and number[0].isdecimal():
            found[name] = int(number[0])
    return found


def _limit(value: int) -> int | None:
    import resource

    return None if value == resource.RLIM_INFINITY else value


def _existing(path: str) -> str:
    """The nearest folder above that is there."""
    while not os.path.exists(path) and os.path.dirname(path) != path:
        path = os.path.dirname(path)
    return path


def _text(path: Path) -> str:
    return path.read_text(encoding="utf-8", errors="replace")
