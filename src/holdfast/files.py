"""Writing a small file as a whole: whoever reads it finds what was there before, or what came."""

from __future__ import annotations

import errno
import os


def write_atomically(path: str, content: bytes) -> None:
    """For this user alone. Raises OSError, and then what was there before is there still."""
    partial = f"{path}.partial"
    fd = os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    try:
        if os.write(fd, content) != len(content):  # rather the old one than half a new one
            raise OSError(errno.ENOSPC, "no space left", path)
    finally:
        os.close(fd)
    os.replace(partial, path)
