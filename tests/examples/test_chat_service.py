"""The example runs as it is printed, and does what it says of itself."""

from __future__ import annotations

import http.client
import json
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from random import Random
from typing import Any, Final

import pytest

ROOT: Final = Path(__file__).parents[2]
EXAMPLE: Final = ROOT / "examples" / "chat_service.py"


class Service:
    def __init__(self, *options: str) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-I", str(EXAMPLE), "--port", "0", *options],
            stdout=subprocess.PIPE,
            text=True,
        )
        assert self.process.stdout is not None
        said = self.process.stdout.readline()
        found = re.search(r"port (\d+)", said)
        assert found, said
        self.port = int(found[1])

    def ask(self, method: str, path: str, body: str | None = None) -> tuple[int, Any]:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=60)
        connection.request(method, path, None if body is None else body.encode())
        answer = connection.getresponse()
        told = json.loads(answer.read())
        connection.close()
        return answer.status, told

    def listen(self, session: str, count: int, last_id: int | None = None) -> list[Any]:
        """So many server-sent events."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=60)
        headers = {} if last_id is None else {"Last-Event-ID": str(last_id)}
        connection.request("GET", f"/events/{session}", headers=headers)
        answer = connection.getresponse()
        assert answer.headers["Content-Type"] == "text/event-stream"
        heard: list[Any] = []
        number = -1
        while len(heard) < count:
            line = answer.readline().decode()
            if line.startswith("id: "):
                number = int(line[4:])
            if line.startswith("data: "):
                heard.append((number, json.loads(line[6:])))
        connection.close()
        return heard

    def close(self) -> int:
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(60)


@pytest.fixture
def service(request: pytest.FixtureRequest) -> Iterator[Service]:
    made = Service(*getattr(request, "param", ()))
    try:
        yield made
    finally:
        made.process.kill()
        made.process.wait(60)
        assert made.process.stdout is not None
        made.process.stdout.close()


def test_what_is_said_is_heard_from_the_beginning_and_from_where_one_was(service: Service) -> None:
    assert service.ask("POST", "/say/alice", "hello") == (200, {"events": 2})
    service.ask("POST", "/say/alice", "héllo again")
    heard = service.listen("alice", 4)
    assert [(number, event["who"]) for number, event in heard] == [
        (0, "user"),
        (1, "bot"),
        (2, "user"),
        (3, "bot"),
    ]
    assert heard[0][1]["text"] == "hello"
    assert service.listen("alice", 2, last_id=1) == heard[2:]
    assert service.close() == 0


def test_whoever_listens_hears_what_is_said_meanwhile(service: Service) -> None:
    with ThreadPoolExecutor(1) as listening:
        heard = listening.submit(service.listen, "alice", 6)
        for word in ("one", "two", "three"):
            service.ask("POST", "/say/alice", word)
        assert [event["text"] for _number, event in heard.result(60)][::2] == [
            "one",
            "two",
            "three",
        ]


@pytest.mark.parametrize("service", [("--store-mb", "1")], indirect=True)
def test_conversations_leave_when_their_budget_is_full_and_never_go_over_it(
    service: Service,
) -> None:
    for number in range(40):
        code, _ = service.ask("POST", f"/say/s{number}", Random(number).randbytes(25_000).hex())
        assert code == 200
    _, told = service.ask("GET", "/status")
    assert 0 < told["sessions_bytes"] <= 1 << 20
    assert told["evicted"]["memory_budget"] > 0
    assert told["sessions"] < 40
    assert service.listen("s39", 1)[0][0] == 0, "the newest is there"


@pytest.mark.parametrize("service", [("--process-mb", "5")], indirect=True)
def test_a_process_that_is_short_of_memory_refuses_and_says_when_to_come_again(
    service: Service,
) -> None:
    code, told = service.ask("POST", "/say/alice", "hello")
    assert (code, told) == (503, {"error": "short of memory"})
    assert service.ask("GET", "/status")[1]["pressure"] == "critical"


def test_the_page_shows_the_lines_that_matter_as_they_are_in_the_example() -> None:
    page = (ROOT / "docs" / "library.md").read_text()
    code = EXAMPLE.read_text()
    marked = [line for line in code.splitlines() if line.endswith("# holdfast")]
    assert len(marked) == 5
    for line in marked:
        assert line.strip().removesuffix("# holdfast").strip() in page, line


def test_every_python_block_of_the_page_runs(tmp_path: Path) -> None:
    page = (ROOT / "docs" / "library.md").read_text()
    blocks = re.findall(r"^```python\n(.*?)^```", page, re.MULTILINE | re.DOTALL)
    assert blocks
    for number, block in enumerate(blocks):
        program = tmp_path / f"block{number}.py"
        program.write_text(block)
        done = subprocess.run(
            [sys.executable, "-I", str(program)], capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stderr
