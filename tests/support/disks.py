"""Small file systems of a test's own, where the machine lets a test mount them."""

from __future__ import annotations

import os
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager

import pytest


@contextmanager
def small_disk(megabytes: int) -> Iterator[str]:
    """A folder with room for so much; skips the test where mounting is not allowed."""
    folder = os.path.realpath(tempfile.mkdtemp(prefix="hf-disk-"))
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", f"size={megabytes}m", "holdfast-test", folder],
        capture_output=True,
        check=False,
    )
    if mounted.returncode:
        os.rmdir(folder)
        pytest.skip(f"mounting needs root: {mounted.stderr.decode().strip()}")
    try:
        yield folder
    finally:
        subprocess.run(["umount", "--lazy", folder], check=True)
        os.rmdir(folder)


def make_read_only(folder: str) -> None:
    subprocess.run(["mount", "-o", "remount,ro", folder], check=True, capture_output=True)


def fill(folder: str, leave_bytes: int = 0) -> str:
    """Take all the room that a disk has; the file that holds it."""
    path = os.path.join(folder, "filler")
    with open(path, "wb", buffering=0) as file:
        try:
            while True:
                file.write(bytes(4_096))
        except OSError:
            file.truncate(max(0, file.tell() - leave_bytes))
    return path
