"""Files are written below the allowed roots only, whatever stands in the way.

Looking at a path and then opening it leaves a moment in which a directory can become a symlink
that leads elsewhere, and agents do run commands while we write. So a path is resolved once, the
result is compared with the roots, and then that result, which has no symlink in it, is walked
from `/` one directory handle at a time with `O_NOFOLLOW`: a symlink met on the way was not there
when we looked, and is refused. Comparing again after the open was rejected: by then the file has
been created or emptied.

Symlinks that lead to a place below an allowed root are fine. Hard links are not: a second name
for a file elsewhere cannot be told from the file. Only `write_atomically` may meet one, as it
replaces the name and leaves the other file as it is.
"""

from __future__ import annotations

import errno
import os
import secrets
import stat
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO, ClassVar, Final

from holdfast.errors import Exit, HoldfastError

_WRITE_BATCH_BYTES: Final = 256 * 1024

# Opening a handle to walk with asks for the right to search, not to list, where the system knows
# the difference: `/home` is often closed to listing.
_WALK: Final = os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC | getattr(os, "O_PATH", 0)
# O_NONBLOCK: opening a pipe that nobody reads must not stop the program.
_KEEP_OUT: Final = os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK
_WRITE: Final = os.O_WRONLY | os.O_CREAT | _KEEP_OUT


class WriteRefused(HoldfastError):
    """The path is not below an allowed root, or was changed to lead elsewhere."""

    exit: ClassVar[Exit] = Exit.REFUSED


class WriteFailed(HoldfastError):
    """The path is allowed and could not be written."""


class WritePolicy:
    """Opens files below `roots`; relative paths start at `cwd` and `~` is `home`.

    Roots are resolved once, here: a root that is replaced by a symlink later leads nowhere new.
    """

    def __init__(
        self, roots: Sequence[str], cwd: str, home: str, *, config: str = "the configuration file"
    ) -> None:
        self._cwd = cwd
        self._home = home
        self._config = config
        self._roots = tuple(_real(self._expand(root)) for root in roots)

    def resolve(self, path: str) -> str:
        """The real path that `path` stands for, if it may be written. Opens and creates nothing."""
        if not path:
            raise WriteFailed("cannot write: no path was given; name a file")
        if path.endswith("/"):
            raise failure(path, OSError(errno.EISDIR, "names a directory"))
        try:
            real = _real(self._expand(path))
        except ValueError as error:  # a zero byte or what the file system's encoding lacks
            raise WriteFailed(f"cannot write {path!r}: not a path ({error}); rename it") from error
        if not any(_below(real, root) for root in self._roots):
            leads = "" if real == path else f" (which leads to {real!r})"
            raise WriteRefused(
                f"refused to write {path!r}{leads}: it is below none of the allowed roots "
                f"({', '.join(self._roots) or 'there are none'}). If its directory should be "
                f"allowed, add it to recording.allowed_write_roots in {self._config}"
            )
        return real

    def open_for_write(
        self, path: str, *, exclusive: bool = False, append: bool = False
    ) -> BinaryIO:
        """A new or emptied file (`append`: kept), with its missing directories.

        `exclusive` wants the file to be new. What writing to the file raises later is an OSError;
        `failure` makes it readable.
        """
        flags = _WRITE | (os.O_EXCL if exclusive else 0) | (os.O_APPEND if append else 0)
        with self._parent(path) as (parent, name), _explained(path):
            try:
                file = os.open(name, flags, 0o600, dir_fd=parent)
            except OSError:
                _refuse_symlink(path, name, parent)
                raise
            try:
                found = os.fstat(file)
                _refuse_special(path, found)
                _refuse_hard_link(path, found)
                if not append:
                    os.ftruncate(file, 0)
            except BaseException:
                os.close(file)
                raise
            return os.fdopen(file, "ab" if append else "wb")

    @contextmanager
    def open_existing(self, path: str, *, append: bool = False) -> Iterator[int]:
        """A file that is there, to read and to write: `append` writes at its end, wherever that is.

        Nothing is made: neither the file nor its directories. That it is not there, and what using
        it raises, are OSErrors; `failure` makes them readable.
        """
        flags = os.O_RDWR | (os.O_APPEND if append else 0)
        with self._parent(path, make=False) as (parent, name):
            try:
                file = os.open(name, flags | _KEEP_OUT, dir_fd=parent)
            except OSError:
                _refuse_symlink(path, name, parent)
                raise
            try:
                found = os.fstat(file)
                _refuse_special(path, found)
                _refuse_hard_link(path, found)
                yield file
            finally:
                os.close(file)

    def write_atomically(
        self,
        path: str,
        chunks: Iterable[bytes],
        *,
        mode: int = 0o600,
        may_replace: Callable[[], bool] = lambda: True,
    ) -> int:
        """Write the whole file or nothing, and say how many bytes; readers see the old or the new.

        What `chunks` raises comes through as it is. `may_replace` is asked when all is written.
        """
        with self._parent(path) as (parent, name):
            with _explained(path):
                _refuse_occupied(path, name, parent)
                draft = f".holdfast-{secrets.token_hex(8)}.tmp"
                file = os.open(draft, _WRITE | os.O_EXCL, 0o600, dir_fd=parent)
            try:
                try:
                    written = _write_all(file, path, chunks)
                    with _explained(path):
                        os.fchmod(file, mode)
                        os.fsync(file)
                    if not may_replace():
                        raise WriteFailed(f"cannot write {path!r}: it changed meanwhile; try again")
                finally:
                    with _explained(path):
                        os.close(file)
                with _explained(path):
                    os.rename(draft, name, src_dir_fd=parent, dst_dir_fd=parent)
            except BaseException:
                with suppress(OSError):
                    os.unlink(draft, dir_fd=parent)
                raise
            _sync_directory(parent)
            return written

    def _expand(self, path: str) -> str:
        if path == "~" or path.startswith("~/"):
            path = self._home + path[1:]
        return str(Path(self._cwd, path))

    @contextmanager
    def _parent(self, path: str, *, make: bool = True) -> Iterator[tuple[int, str]]:
        """A handle of the directory that `path` is in, and the file's name there."""
        real = self.resolve(path)
        *directories, name = real.strip("/").split("/")
        with _explained(path):
            if not name:
                raise IsADirectoryError(errno.EISDIR, "names a directory")
            handle = os.open("/", _WALK)
        try:
            for directory in directories:
                if make:
                    with _explained(path):
                        below = _enter(path, directory, handle)
                else:
                    below = _walk(path, directory, handle)
                os.close(handle)
                handle = below
            yield handle, name
        finally:
            os.close(handle)


def _enter(path: str, directory: str, handle: int) -> int:
    try:
        return _walk(path, directory, handle)
    except FileNotFoundError:
        with suppress(FileExistsError):
            os.mkdir(directory, 0o700, dir_fd=handle)
        return _walk(path, directory, handle)


def _walk(path: str, directory: str, handle: int) -> int:
    try:
        return os.open(directory, _WALK, dir_fd=handle)
    except OSError:
        _refuse_symlink(path, directory, handle)
        raise


def _real(path: str) -> str:
    # POSIX lets two slashes at the start stand; they mean nothing on the systems we run on.
    return "/" + os.path.realpath(path).lstrip("/")


def _below(real: str, root: str) -> bool:
    return real == root or real.startswith(root.rstrip("/") + "/")


def _refuse_symlink(path: str, name: str, parent: int) -> None:
    with suppress(OSError):
        if stat.S_ISLNK(os.stat(name, dir_fd=parent, follow_symlinks=False).st_mode):
            raise WriteRefused(
                f"refused to write {path!r}: {name!r} on its way became a symlink, or is one "
                "that leads back to itself. Look at what changes it, then try again"
            )


def _refuse_special(path: str, found: os.stat_result) -> None:
    if not stat.S_ISREG(found.st_mode):
        raise WriteRefused(
            f"refused to write {path!r}: it is a pipe, a socket or a device; name a file"
        )


def _refuse_hard_link(path: str, found: os.stat_result) -> None:
    if found.st_nlink > 1:
        raise WriteRefused(
            f"refused to write {path!r}: the same file has {found.st_nlink} names (hard links), "
            "and another may be outside of the allowed roots; name a new file"
        )


def _refuse_occupied(path: str, name: str, parent: int) -> None:
    """Before the work: the rename would find a directory after it, and replace a device."""
    with suppress(FileNotFoundError):
        found = os.stat(name, dir_fd=parent, follow_symlinks=False)
        if stat.S_ISDIR(found.st_mode):
            raise IsADirectoryError(errno.EISDIR, "is a directory")
        _refuse_symlink(path, name, parent)
        _refuse_special(path, found)


def _write_all(file: int, path: str, chunks: Iterable[bytes]) -> int:
    """Small chunks are gathered: a writer's pieces are lines, a system call costs more."""
    written = 0
    batch = bytearray()
    for chunk in chunks:
        batch += chunk
        if len(batch) >= _WRITE_BATCH_BYTES:
            written += _flush(file, path, batch)
    return written + _flush(file, path, batch)


def _flush(file: int, path: str, batch: bytearray) -> int:
    size = len(batch)
    with _explained(path), memoryview(batch) as rest:
        done = 0
        while done < size:
            done += os.write(file, rest[done:])
    batch.clear()
    return size


def _sync_directory(parent: int) -> None:
    """So that the new name outlives a power cut; where it cannot be asked for, the file still is.

    The handle that we walked with may be one that can do nothing else.
    """
    with suppress(OSError):
        handle = os.open(".", os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC, dir_fd=parent)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)


_REMEDIES: Final = {
    errno.ENOSPC: "free some space on that disk, or name another",
    errno.EDQUOT: "free some of your quota on that disk, or name another",
    errno.EFBIG: "the disk or a limit of the system allows no file this large; name another disk",
    errno.EISDIR: "add a file name",
    errno.ENOTDIR: "a part of the path is a file; name another directory",
    errno.EEXIST: "name a new file, or remove the old one",
    errno.EACCES: "change the permissions of the directory or the file, or name another",
    errno.EPERM: "change the permissions of the directory or the file, or name another",
    errno.EROFS: "the disk is mounted read-only; name another",
    errno.ENAMETOOLONG: "choose a shorter name",
    errno.ENXIO: "it is a pipe or a device; name a file",
    errno.EIO: "the disk reports an error; check it, and name another",
}


def failure(path: str, error: OSError) -> WriteFailed:
    """The same failure, saying what to do."""
    remedy = _REMEDIES.get(error.errno or 0, "see that it can be written, or name another path")
    reason = (error.strerror or str(error)).lower()
    return WriteFailed(f"cannot write {path!r}: {reason}; {remedy}")


@contextmanager
def _explained(path: str) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise failure(path, error) from error
