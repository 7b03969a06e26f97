"""What probes get: 0 or 1, quickly, and a word for whoever reads their log."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from threading import Thread

import pytest

from tests.support.home import Home

# What the probe may import of ours, and of what is large elsewhere.
LOADED = (
    "import sys; sys.argv = ['holdfast', 'health']; from holdfast.cli.entry import main; main(); "
    "print(*sorted(sys.modules), file=sys.stderr)"
)


class Answering:
    """A daemon in name only: gives every request the same answer."""

    def __init__(self, path: str, answer: bytes | None) -> None:
        os.makedirs(os.path.dirname(path), exist_ok=True)
        self._socket = socket.socket(socket.AF_UNIX)
        self._socket.bind(path)
        self._socket.listen()
        self._answer = answer
        self._thread = Thread(target=self._serve, daemon=True)
        self._thread.start()

    def _serve(self) -> None:
        held: list[socket.socket] = []
        while True:
            try:
                connection, _ = self._socket.accept()
            except OSError:
                for each in held:
                    each.close()
                return
            connection.recv(4_096)
            if self._answer is None:
                held.append(connection)  # says nothing, and does not hang up
            else:
                connection.sendall(self._answer)
                connection.close()

    def close(self) -> None:
        self._socket.shutdown(socket.SHUT_RDWR)  # wakes the thread, which holds it open
        self._thread.join()
        self._socket.close()


@pytest.fixture
def answering(home: Home, request: pytest.FixtureRequest) -> Iterator[None]:
    made = Answering(home.paths.socket, request.param)
    try:
        yield
    finally:
        made.close()


def answer(state: str, code: int = 200) -> bytes:
    return b'HTTP/1.1 %d X\r\n\r\n{"state":"%s"}' % (code, state.encode())


def test_a_running_daemon_is_well_and_one_that_is_gone_is_not(home: Home) -> None:
    before = home.run("health")
    assert (before.code, before.text) == (1, "")
    assert "does not answer" in before.err
    with home.daemon():
        well = home.run("health")
        assert (well.code, well.err) == (0, "")
        assert well.text.strip() in ("running", "importing")
    assert home.run("health").code == 1


@pytest.mark.parametrize(
    ("answering", "code"),
    [
        (answer("running"), 0),
        (answer("importing"), 0),
        (answer("starting"), 1),
        (answer("stopping"), 1),
        (answer("running", 503), 1),
        (b"nonsense", 1),
        (b"", 1),
        (None, 1),  # hangs: the probe gives up by itself
    ],
    indirect=["answering"],
)
def test_only_a_daemon_that_works_is_well(home: Home, answering: None, code: int) -> None:
    assert home.run("health").code == code


def test_a_probe_loads_next_to_nothing(home: Home) -> None:
    done = subprocess.run(
        [sys.executable, "-I", "-c", LOADED],
        env=home.env,
        capture_output=True,
        text=True,
        check=False,
    )
    loaded = set(done.stderr.splitlines()[-1].split())
    assert {name for name in loaded if name.startswith("holdfast")} == {
        "holdfast",
        "holdfast.cli",
        "holdfast.cli.entry",
        "holdfast.paths",
    }
    assert loaded.isdisjoint({"argparse", "json", "msgspec", "socket", "http.client", "typing"})


def test_the_command_line_proper_gives_the_same_answer(home: Home) -> None:
    program = "import sys; from holdfast.cli.main import run; sys.exit(run(['health']))"
    done = subprocess.run([sys.executable, "-I", "-c", program], env=home.env, check=False)
    assert done.returncode == 1
    assert not Path(home.paths.socket).exists()
