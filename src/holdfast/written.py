"""A file that we write, may write anew, and take away; unless a person changed it.

The file carries a digest of the rest of itself. When it no longer fits, somebody edited the file,
and what they wanted is theirs: nothing replaces or removes it without `--force`.
"""

from __future__ import annotations

import hashlib
import os
import re
from collections.abc import Callable
from contextlib import suppress
from enum import Enum
from typing import ClassVar, Final

from holdfast.errors import Exit, HoldfastError

_DIGEST: Final = re.compile(r"holdfast-digest: ([0-9a-f]{16})")
_NO_DIGEST: Final = "holdfast-digest: 0000000000000000"
MODE: Final = 0o600  # it holds HOLDFAST_ variables, of which one may be an address with a key in it


class Edited(HoldfastError):
    """A person changed the file, or wrote it."""

    exit: ClassVar[Exit] = Exit.REFUSED


class Unwritable(HoldfastError):
    """The file cannot be written or removed."""


class Found(Enum):
    """What stands where our file belongs."""

    NOTHING = "nothing"
    CURRENT = "current"
    OUTDATED = "outdated"  # ours, from other settings or another version
    EDITED = "edited"


def stamped(render: Callable[[str], str]) -> str:
    """The text with its digest in the place that `render` gives it."""
    bare = render(_NO_DIGEST)
    return bare.replace(_NO_DIGEST, f"holdfast-digest: {_digest(bare)}", 1)


def look(path: str, wanted: str) -> Found:
    try:
        with open(path, encoding="utf-8", errors="replace", newline="") as file:
            text = file.read()
    except FileNotFoundError:
        return Found.NOTHING
    except OSError as error:
        raise Unwritable(f"cannot read {path} ({error.strerror}): mend its permissions") from error
    if text == wanted:
        return Found.CURRENT
    said = _DIGEST.search(text)
    if said is None or _digest(_DIGEST.sub(_NO_DIGEST, text, count=1)) != said[1]:
        return Found.EDITED
    return Found.OUTDATED


def write(path: str, wanted: str, *, force: bool) -> bool:
    """Whether anything had to be written. Replaces the file as a whole."""
    found = look(path, wanted)
    if found is Found.CURRENT:
        with suppress(OSError):  # an older holdfast let everybody read it
            os.chmod(path, MODE)
        return False
    _refuse_edited(path, found, "replaces", force=force)
    beside = f"{path}.{os.getpid()}"
    try:
        os.makedirs(os.path.dirname(path), exist_ok=True)
        with open(beside, "w", encoding="utf-8", newline="", opener=_private) as file:
            file.write(wanted)
        os.replace(beside, path)
    except OSError as error:
        with suppress(OSError):
            os.unlink(beside)
        raise Unwritable(f"cannot write {path} ({error.strerror}): mend its folder") from error
    return True


def remove(path: str, wanted: str, *, force: bool) -> bool:
    """Whether there was anything to remove."""
    found = look(path, wanted)
    if found is Found.NOTHING:
        return False
    _refuse_edited(path, found, "removes", force=force)
    try:
        os.unlink(path)
    except OSError as error:
        raise Unwritable(f"cannot remove {path} ({error.strerror}): mend its folder") from error
    return True


def _refuse_edited(path: str, found: Found, does: str, *, force: bool) -> None:
    if found is Found.EDITED and not force:
        raise Edited(
            f"{path} was edited, or was not written by holdfast: keep it, or use --force, which "
            f"{does} it"
        )


def _private(path: str, flags: int) -> int:
    return os.open(path, flags | os.O_EXCL, MODE)


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:16]
