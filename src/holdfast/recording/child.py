"""A page for a command in a chat: made by a process of its own, which ends with it.

The daemon does not load what makes pages (docs/decisions/0009); the command line does it anyway.
"""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator, Mapping
from typing import Final

from holdfast.errors import HoldfastError
from holdfast.recording.view import View

PAGE: Final = "html"
CHUNK_BYTES: Final = 65_536
TOLD_CHARS_MAX: Final = 500


class PageFailed(HoldfastError):
    """The process that makes a page ended before it was whole."""


def page_by_child(session: str, view: View, environ: Mapping[str, str]) -> Iterator[bytes]:
    process = subprocess.Popen(
        [sys.executable, "-I", "-m", "holdfast", "export", session, "-f", PAGE, *_options(view)],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env=dict(environ),
    )
    with process:
        assert process.stdout is not None
        assert process.stderr is not None
        try:
            while chunk := process.stdout.read(CHUNK_BYTES):
                yield chunk
        except GeneratorExit:
            process.kill()
            raise
        said = process.stderr.read().decode("utf-8", "replace").strip()
    if process.returncode:
        raise PageFailed(f"the page was not made: {said[-TOLD_CHARS_MAX:]}")


def _options(view: View) -> list[str]:
    shown = {
        "thinking": view.thinking,
        "tools": view.tools,
        "system": view.system,
        "commentary": view.commentary,
    }
    return [f"--{name}" if wanted else f"--no-{name}" for name, wanted in shown.items()]
