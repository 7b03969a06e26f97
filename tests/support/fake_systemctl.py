"""A `systemctl --user` for tests: records its calls, and runs the unit's command when asked to.

It reads the unit file as systemd would, as far as we write it, so that what it starts is the very
program with the very variables that stand there.
"""

from __future__ import annotations

import json
import os
import shlex
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

# The test puts this file on the PATH through a script that names the folder of its state.
FOLDER = Path(sys.argv[1]) if len(sys.argv) > 1 else Path()
STATE = FOLDER / "state.json"


def state() -> dict[str, Any]:
    if STATE.exists():
        found: dict[str, Any] = json.loads(STATE.read_text())
        return found
    return {"enabled": False, "pid": 0}


def keep(**changed: Any) -> None:
    STATE.write_text(json.dumps({**state(), **changed}))


def alive(pid: int) -> bool:
    if not pid:
        return False
    try:
        text = Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return False
    return text.rpartition(")")[2].split()[0] not in "ZX"


def start(unit: Path) -> None:
    if alive(state()["pid"]):
        return
    command: list[str] = []
    environ = {"HOME": os.environ["HOME"]}
    for line in unit.read_text().splitlines():
        key, _, value = line.partition("=")
        if key == "ExecStart":
            command = [word.replace("$$", "$").replace("%%", "%") for word in shlex.split(value)]
        elif key == "Environment":
            name, _, said = shlex.split(value)[0].partition("=")
            environ[name] = said.replace("%%", "%")
    running = subprocess.Popen(
        command,
        env=environ,
        cwd="/",
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    keep(pid=running.pid)


def stop() -> None:
    pid = state()["pid"]
    if alive(pid):
        os.kill(pid, signal.SIGTERM)
    while alive(pid):
        time.sleep(0.01)
    keep(pid=0)


def main(asked: list[str]) -> int:
    with (FOLDER / "calls").open("a") as calls:
        calls.write(" ".join(asked) + "\n")
    if (FOLDER / "down").exists():
        print("Failed to connect to bus: No medium found", file=sys.stderr)
        return 1
    unit = Path(os.environ["HOME"], ".config/systemd/user/holdfast.service")
    assert asked[0] == "--user"
    action, now = asked[1], state()
    if action in ("start", "restart") and (FOLDER / "refuses").exists():
        print("Job for holdfast.service failed.", file=sys.stderr)
        return 1
    if action == "show":
        active = alive(now["pid"])
        print(f"UnitFileState={'enabled' if now['enabled'] else 'disabled'}")
        print(f"ActiveState={'active' if active else 'inactive'}")
        print(f"SubState={'running' if active else 'dead'}")
        print("Result=success")
        print(f"MainPID={now['pid'] if active else 0}")
    elif action == "enable":
        keep(enabled=True)
    elif action == "disable":
        keep(enabled=False)
        stop()
    elif action == "start":
        start(unit)
    elif action == "restart":
        stop()
        start(unit)
    else:
        assert action in ("daemon-reload", "show-environment"), action
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[2:]))
