"""A page for a command in a chat: made by a process of its own, which ends with it.

The daemon does not load what makes pages (docs/decisions/0009); the command line does it anyway.
"""

from __future__ import annotations

import os
import select
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from typing import Final

from holdfast.errors import HoldfastError
from holdfast.recording.view import View

PAGE: Final = "html"
CHUNK_BYTES: Final = 65_536
TOLD_BYTES_MAX: Final = 500
PAGE_TIMEOUT_S: Final = 60.0  # the recorder waits so long, and the end of the daemon with it


class PageFailed(HoldfastError):
    """The process that makes a page ended before it was whole."""


class _Late(Exception):
    """The time is over."""


def page_by_child(
    session: str, view: View, environ: Mapping[str, str], timeout_s: float = PAGE_TIMEOUT_S
) -> Iterator[bytes]:
    command = [sys.executable, "-I", "-m", "holdfast", "export", session, "-f", PAGE]
    return output_of([*command, *_options(view)], environ, timeout_s)


def output_of(
    command: Sequence[str], environ: Mapping[str, str], timeout_s: float
) -> Iterator[bytes]:
    """What it writes, as it comes. It ends with whoever reads, or after `timeout_s`."""
    deadline_s = time.monotonic() + timeout_s
    with tempfile.TemporaryFile() as said:  # no pipe: nobody would empty it meanwhile
        process = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=said,
            env=dict(environ),
        )
        with process:
            assert process.stdout is not None
            try:
                yield from _chunks(process.stdout.fileno(), deadline_s)
                process.wait(max(0.0, deadline_s - time.monotonic()))
            except (_Late, subprocess.TimeoutExpired):
                raise PageFailed(f"the page was not made within {timeout_s:g} s") from None
            finally:
                process.kill()  # does nothing to one that has ended
        if process.returncode:
            size = said.seek(0, os.SEEK_END)
            said.seek(max(0, size - TOLD_BYTES_MAX))
            told = said.read().decode("utf-8", "replace").strip()
            raise PageFailed(f"the page was not made: {told}")


def _chunks(file: int, deadline_s: float) -> Iterator[bytes]:
    ready = select.poll()
    ready.register(file, select.POLLIN)
    while ready.poll(max(0.0, deadline_s - time.monotonic()) * 1_000):
        chunk = os.read(file, CHUNK_BYTES)
        if not chunk:
            return
        yield chunk
    raise _Late


def _options(view: View) -> list[str]:
    shown = {
        "thinking": view.thinking,
        "tools": view.tools,
        "system": view.system,
        "commentary": view.commentary,
    }
    return [f"--{name}" if wanted else f"--no-{name}" for name, wanted in shown.items()]
