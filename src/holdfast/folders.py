"""Making the folders that `holdfast.paths` names. Apart from it, because naming them is cheap."""

from __future__ import annotations

import os
import stat
from pathlib import Path

from holdfast.errors import HoldfastError

_WAY_OUT = "set HOLDFAST_HOME to a folder that you can write to"


class FolderError(HoldfastError):
    """A folder that holdfast needs cannot be used."""


def ensure_writable(path: str) -> None:
    """Make the folder and the ones above it that are missing, all 0700 as XDG asks."""
    try:
        _make(Path(path))
    except FileExistsError as error:
        problem = f"{error.filename} is in the way: it is not a folder"
        raise FolderError(f"{problem}; move it, or {_WAY_OUT}") from None
    except OSError as error:
        raise FolderError(
            f"cannot create the folder {path}: {error.strerror}; {_WAY_OUT}"
        ) from None
    if not os.access(path, os.W_OK | os.X_OK):
        raise FolderError(f"cannot write to the folder {path}; make it yours, or {_WAY_OUT}")


def _make(path: Path) -> None:
    """`Path.mkdir(parents=True)` would leave the folders above open to everyone."""
    if path.is_dir():
        return
    if path.parent != path:
        _make(path.parent)
    try:
        path.mkdir(0o700)
    except FileExistsError:
        if not path.is_dir():  # else another process was faster, which is as good
            raise


def ensure_own(path: str) -> None:
    """For a folder in a place where everyone may make one, such as /tmp."""
    if not os.path.lexists(path):
        ensure_writable(path)
    refuse_foreign(path)


def refuse_foreign(path: str) -> None:
    """Whoever owns the folder can put a socket there and answer in the daemon's place."""
    found = Path(path).lstat()
    if not stat.S_ISDIR(found.st_mode) or found.st_uid != os.getuid():
        raise FolderError(
            f"{path} is not a folder of this user: someone else could answer there in the daemon's "
            "place; remove it, or set HOLDFAST_HOME to a folder with a shorter path"
        )
    if stat.S_IMODE(found.st_mode) & 0o077:
        Path(path).chmod(0o700)
