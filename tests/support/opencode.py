"""OpenCode with our plugin, as a process of its own that a test steers."""

from __future__ import annotations

import json
import os
import re
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, Final

from holdfast.hooks import Where, hooks_of
from holdfast.hooks.opencode import buffer_folder
from holdfast.paths import Paths
from tests.support import javascript

HOST: Final = str(Path(__file__).with_name("opencode_host.js"))
QUICK: Final = {"settle_ms": 20, "gather_ms": 1, "retry_first_ms": 10, "retry_max_ms": 40}


class Plugin:
    """The file that `hooks install` writes, with other limits."""

    def __init__(
        self, folder: str, paths: Paths, *, excluded: Sequence[str] = (), **limits: int
    ) -> None:
        where = Where(paths=paths, environ={}, excluded=excluded)
        text = hooks_of("opencode").text(where)
        for name, value in {**QUICK, **limits}.items():
            text, found = re.subn(rf"(?m)^  {name}: [\d_]+,", f"  {name}: {value},", text)
            assert found == 1, name
        self.path = os.path.join(folder, "holdfast.js")
        self.buffer = buffer_folder(paths)
        Path(self.path).write_text(text, "utf-8")

    def files(self) -> list[Path]:
        return sorted(Path(self.buffer).glob("*.jsonl"))

    def kept(self) -> bytes:
        """Everything that is in files."""
        content = []
        for each in self.files():
            with suppress(FileNotFoundError):  # it was sent, or dropped, while we looked
                content.append(each.read_bytes())
        return b"".join(content)

    def owners(self) -> set[str]:
        """Of the files, whoever is alive."""
        return {each.name.rpartition("-")[0] for each in self.files()}

    def lines(self) -> int:
        return self.kept().count(b"\n")


class Host:
    def __init__(
        self, program: str, loader: str, plugins: Sequence[str], folder: str, cwd: str
    ) -> None:
        os.makedirs(cwd, exist_ok=True)
        self.process = subprocess.Popen(
            [program, HOST, loader, *plugins],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            cwd=cwd,
            env={**os.environ, "HOME": folder},
        )
        assert self._said() == "loaded"

    def do(self, *deeds: Sequence[Any]) -> None:
        """Returns when the hooks of all of them have."""
        assert self.process.stdin is not None
        self.process.stdin.write(json.dumps(deeds) + "\n")
        self.process.stdin.flush()
        if deeds[-1] != ("exit",):
            assert self._said() == "returned"

    def say(self, session: str, *texts: str) -> None:
        """One complete text each."""
        self.do(*(text(session, each) for each in texts))

    def _said(self) -> str:
        assert self.process.stdout is not None
        return self.process.stdout.readline().strip()

    def close_input(self) -> int:
        """What its end is without being told to exit."""
        assert self.process.stdin is not None
        self.process.stdin.close()
        return self.process.wait(60)

    def kill(self) -> None:
        self.process.kill()
        self.process.wait()
        for pipe in (self.process.stdin, self.process.stdout):
            if pipe is not None:
                pipe.close()


@contextmanager
def opencode(
    *plugins: Plugin | str,
    loader: str = "second",
    program: str | None = javascript.NODE,
    cwd: str = "",
) -> Iterator[Host]:
    assert program is not None
    paths = [each if isinstance(each, str) else each.path for each in plugins]
    folder = os.path.dirname(paths[0])
    host = Host(program, loader, paths, folder, cwd or folder)
    try:
        yield host
    finally:
        host.kill()


def text(session: str, words: str, *, message: str = "msg_1", part: str = "") -> tuple[Any, ...]:
    """A text that is complete."""
    about = {
        "id": part or f"prt_{words}",
        "sessionID": session,
        "messageID": message,
        "type": "text",
        "text": words,
        "time": {"start": 1, "end": 2},
    }
    return "event", "message.part.updated", {"part": about}


def message(session: str, role: str, name: str, *, completed: bool = False) -> tuple[Any, ...]:
    time = {"created": 1, "completed": 2} if completed else {"created": 1}
    info = {"id": name, "sessionID": session, "role": role, "time": time}
    return "event", "message.updated", {"info": info}


def told(kind: str, session: str, **more: Any) -> tuple[Any, ...]:
    return "event", kind, {"sessionID": session, **more}
