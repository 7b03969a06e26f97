"""What there is to share, and what limits us: the machine, the control group, stalls, descriptors.

Beside the footprint of our own tree (`readings.py`), this is what decides how near an end we are
that somebody else set. Two traps:

- A control group's usage counts page cache. What the kernel can drop, in use or not
  (`active_file`, `inactive_file`), is free for whoever asks, as in the machine's `MemAvailable`;
  counting it would call every program that reads files a leak. Counting the active part alone as
  used kept a daemon with a large journal at high for good in a group of 256 MB: 1.0 M events in
  twenty minutes instead of 9.8 M.
- Every group on the way up limits us, each with a usage of its own that our neighbours share. The
  one that counts is the one that is nearest its end, by share, as the levels are told: neither our
  own nor the one with the smallest limit, which may be empty while the one above it is full.
- Groups of version 1 and 2 may both be mounted. The one that controls memory is the one that
  counts. Inside a container the path in `/proc/self/cgroup` may lie outside what is mounted, and
  a group of version 2 may have no controller of its own: the nearest one above that has is taken.
- From `memory.high` on the kernel slows a group down until it has given memory back. That kills
  nobody, so it is told beside the limit (`high_bytes`), not as one.

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
_DESCRIPTORS: Final = Path("/dev/fd")  # where there is no /proc
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
    """Of the control groups that we are in, the one that is nearest its limit."""

    version: int
    path: str  # our own when none has a limit
    limit_bytes: int | None
    used_bytes: int  # without what the kernel can drop
    cache_bytes: int  # what it can drop
    oom_kills: int | None  # in our own group, since it was made
    high_bytes: int | None = None  # from where on the kernel slows one of these groups down
    high_used_pct: float | None = None  # how near that is; of the group that is nearest

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
    physical_bytes: int | None = None  # the machine's memory, told where `system` is not too


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
        found: dict[str, object] = dict.fromkeys(MachineReading.__struct_fields__)
        for name, read in readings.items():
            with suppress(OSError, ValueError, KeyError, IndexError):
                found[name] = read()
        found["missing"] = tuple(name for name in readings if found[name] is None)
        found["physical_bytes"] = _physical_bytes()
        return MachineReading(**found)  # type: ignore[arg-type]  # by name

    def oom_kills(self) -> dict[str, int]:
        """How many processes were killed for want of memory, by group: ours and those above it."""
        return self._group.oom_kills() if self._group is not None else {}

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
        try:
            count = len(os.listdir(self._proc / "self/fd"))
        except FileNotFoundError:
            count = len(os.listdir(_DESCRIPTORS))
        return Descriptors(count, _limit(soft), _limit(hard))

    def _threads(self) -> int:
        return len(os.listdir(self._proc / "self/task"))

    def _disk(self) -> Disk:
        found = os.statvfs(existing_folder(self._data_dir))
        return Disk(
            self._data_dir, found.f_blocks * found.f_frsize, found.f_bavail * found.f_frsize
        )


class _Files(msgspec.Struct, frozen=True):
    """What the two versions call the same things."""

    version: int
    limit: str
    high: str  # version 1 has none that slows anybody down
    used: str
    reclaimable: tuple[str, ...]  # in memory.stat
    events: str
    controller: str  # in /proc/self/cgroup
    folder: str  # below the root, where both versions are mounted


_V2: Final = _Files(
    2, "memory.max", "memory.high", "memory.current", ("active_file", "inactive_file"),
    "memory.events", "",
    "unified",
)  # fmt: skip
_V1: Final = _Files(
    1, "memory.limit_in_bytes", "", "memory.usage_in_bytes",
    ("total_active_file", "total_inactive_file"),
    "memory.oom_control", "memory", "memory",
)  # fmt: skip


_TASKS_V2: Final = _Files(2, "pids.max", "", "pids.current", (), "", "", "unified")
_TASKS_V1: Final = msgspec.structs.replace(_TASKS_V2, version=1, controller="pids", folder="pids")


class _Seen(msgspec.Struct, frozen=True):
    """One group on the way up."""

    path: Path
    limit: int | None
    high: int | None
    used: int  # without `cache`
    cache: int


class _Group:
    """The group whose memory is controlled, and those above it."""

    def __init__(self, files: _Files, root: Path, own: Path) -> None:
        self.version: Final = files.version
        self.own: Final = own
        self._files: Final = files
        self.all: Final = tuple(_controlled(own, root, files))

    @classmethod
    def found(
        cls, proc_root: Path, groups_root: Path, versions: tuple[_Files, ...] = (_V1, _V2)
    ) -> _Group | None:
        try:
            lines = _text(proc_root / "self/cgroup").splitlines()
        except OSError:
            return None
        for files in versions:
            for line in lines:
                _, names, path = line.split(":", 2)
                if files.controller in names.split(","):
                    group = cls._below((groups_root / files.folder, groups_root), path, files)
                    if group is not None:
                        return group
        return None

    @classmethod
    def _below(cls, roots: tuple[Path, ...], path: str, files: _Files) -> _Group | None:
        """A group outside of our namespace is told as `/../other`: nothing of it is to be seen."""
        inside = "" if ".." in Path(path).parts else path.lstrip("/")
        for root in roots:
            for group in _controlled(root / inside, root, files):
                return cls(files, root, group)
        return None

    def read(self) -> GroupMemory:
        seen = [self._look(group) for group in self.all]
        limited = max(
            (each for each in seen if each.limit is not None),
            key=lambda each: (_share(each.used, each.limit), -(each.limit or 0)),
            default=seen[0],
        )
        slowed = max(
            (each for each in seen if each.high is not None),
            key=lambda each: _share(each.used, each.high),
            default=None,
        )
        return GroupMemory(
            version=self.version,
            path=str(limited.path),
            limit_bytes=limited.limit,
            used_bytes=limited.used,
            cache_bytes=limited.cache,
            oom_kills=self.oom_kills().get(str(self.own)),
            high_bytes=slowed.high if slowed else None,
            high_used_pct=100 * _share(slowed.used, slowed.high) if slowed else None,
        )

    def oom_kills(self) -> dict[str, int]:
        found = {}
        for group in self.all:
            kills = oom_kills_of(str(group))
            if kills is not None:
                found[str(group)] = kills
        return found

    @property
    def is_limited(self) -> bool:
        return any(_bytes_in(group / self._files.limit) is not None for group in self.all)

    def _look(self, group: Path) -> _Seen:
        used = int(_text(group / self._files.used))
        stat = _numbers(_text(group / "memory.stat"))
        cache = min(used, sum(stat.get(name, 0) for name in self._files.reclaimable))
        limit = _bytes_in(group / self._files.limit)
        high = _bytes_in(group / self._files.high) if self._files.high else None
        return _Seen(group, limit, high, used - cache, cache)


class Tasks(msgspec.Struct, frozen=True):
    """Processes and threads, which count the same."""

    used: int
    limit: int | None


def group_tasks(proc_root: Path = _PROC, groups_root: Path = _GROUPS) -> Tasks | None:
    """Of the group with the least room; None where there is none."""
    group = _Group.found(proc_root, groups_root, (_TASKS_V1, _TASKS_V2))
    if group is None:
        return None
    found = []
    for each in group.all:
        with suppress(OSError, ValueError):
            used = int(_text(each / _TASKS_V2.used))
            found.append(Tasks(used, _bytes_in(each / _TASKS_V2.limit)))
    limited = [each for each in found if each.limit is not None]
    return min(limited, key=lambda each: (each.limit or 0) - each.used, default=None) or (
        found[0] if found else None
    )


def oom_kills_of(group: str) -> int | None:
    """Of one group, which may be another's or gone."""
    for files in (_V2, _V1):
        with suppress(OSError):
            return _numbers(_text(Path(group) / files.events)).get("oom_kill")
    return None


def _controlled(own: Path, root: Path, files: _Files) -> Iterator[Path]:
    """A group and those above it, up to the root, as far as their memory is controlled."""
    for group in (own, *own.parents):
        if (group / files.used).is_file():  # the root of version 2 has none
            yield group
        if group == root:
            return


def _bytes_in(file: Path) -> int | None:
    with suppress(OSError, ValueError):  # "max" is no number
        value = int(_text(file))
        return value if value < _NO_LIMIT_BYTES else None
    return None


def _share(used: int, limit: int | None) -> float:
    """A group that may have nothing is full."""
    return used / limit if limit else 1.0


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


def _physical_bytes() -> int | None:
    with suppress(OSError, ValueError):
        return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    return None


def existing_folder(path: str) -> str:
    """The nearest folder above that is there."""
    while not os.path.exists(path) and os.path.dirname(path) != path:
        path = os.path.dirname(path)
    return path


def _text(path: Path) -> str:
    return path.read_text(encoding="utf-8", errors="replace")
