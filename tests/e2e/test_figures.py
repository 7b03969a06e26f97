"""Figures of the running daemon: scraped, sent, remembered; and what they cost."""

from __future__ import annotations

import http.client
import json
import os
import signal
import socket
from contextlib import suppress
from typing import Any

import pytest
from prometheus_client.openmetrics.parser import text_string_to_metric_families as read_open
from prometheus_client.parser import text_string_to_metric_families as read_plain

from holdfast.metrics import FIGURES
from holdfast.observe import tail
from tests.support import processes
from tests.support.collector import collecting
from tests.support.home import Home, RunningDaemon, talk
from tests.support.waiting import until

PORT = "HOLDFAST_SERVER__LOOPBACK_PORT"
ENDPOINT = "HOLDFAST_TELEMETRY__OTLP_ENDPOINT"
INTERVAL = "HOLDFAST_TELEMETRY__OTLP_INTERVAL_SECS"
SECRET_WORDS = "zanzibar"


def free_port() -> int:
    with socket.socket() as asked:
        asked.bind(("127.0.0.1", 0))
        port: int = asked.getsockname()[1]
        return port


def ask(
    port: int, path: str, *, host: str = "", method: str = "GET", accept: str = "*/*"
) -> tuple[int, str, str]:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
    try:
        headers = {"Host": host or f"127.0.0.1:{port}", "Accept": accept}
        connection.request(method, path, headers=headers)
        answer = connection.getresponse()
        return answer.status, answer.getheader("content-type", ""), answer.read().decode()
    finally:
        connection.close()


def value(text: str, name: str, **labels: str) -> float:
    for family in read_plain(text):
        for sample in family.samples:
            if (sample.name, sample.labels) == (name, labels):
                return float(sample.value)
    raise AssertionError(f"no {name} {labels}")


def operational(home: Home) -> list[dict[str, Any]]:
    from pathlib import Path

    return tail(Path(home.paths.logs) / "holdfast.log.jsonl", 1_000)


def test_prometheus_can_fetch_the_figures(home: Home) -> None:
    home.write_log("one", *talk(5, words=SECRET_WORDS))
    port = free_port()
    with home.daemon({PORT: str(port)}) as daemon:
        daemon.wait_for("one", 5)
        text = ""

        def has_arrived() -> bool:
            nonlocal text
            text = ask(port, "/metrics")[2]
            return value(text, "holdfast_events") == 5

        until(has_arrived, "a scrape with the events")
        status, kind, _text = ask(port, "/metrics")
        assert (status, kind) == (200, "text/plain; version=0.0.4; charset=utf-8")
        assert value(text, "holdfast_memory_budget_bytes") == 200 << 20
        assert value(text, "holdfast_source_bytes", agent="claude", outcome="parsed") > 0
        assert value(text, "holdfast_state", state="running") == 1
        status, kind, other = ask(port, "/metrics", accept="application/openmetrics-text")
        assert (status, kind.partition(";")[0]) == (200, "application/openmetrics-text")
        assert {family.name for family in read_open(other)}  # type: ignore[no-untyped-call]  # untyped
        assert json.loads(ask(port, "/v1/health")[2]) == {"state": "running"}
        for secret in (SECRET_WORDS, "tidepool", home.folder, "one.jsonl"):
            assert secret not in text


def test_the_port_gives_figures_to_this_machine_and_nothing_else(home: Home) -> None:
    port = free_port()
    with home.daemon({PORT: str(port)}):
        assert ask(port, "/metrics", host="localhost:1")[0] == 200
        for host in ("evil.example", f"evil.example:{port}", "127.0.0.1.evil.example", "[::1]"):
            assert ask(port, "/metrics", host=host)[0] == 400
        for path in ("/v1/status", "/v1/sessions", "/v1/figures", "/v1/history", "/"):
            assert ask(port, path)[0] == 404
        for method in ("POST", "PUT", "DELETE"):
            assert ask(port, "/metrics", method=method)[0] == 405


def test_without_the_setting_there_is_no_port(home: Home) -> None:
    with home.daemon() as daemon, open(f"/proc/{daemon.pid}/net/tcp") as file:
        listening = {line.split()[9] for line in file.readlines()[1:] if line.split()[3] == "0A"}
        own = set()
        for name in os.listdir(f"/proc/{daemon.pid}/fd"):
            with suppress(FileNotFoundError):  # it opens and closes files meanwhile
                target = os.readlink(f"/proc/{daemon.pid}/fd/{name}")
                own.add(target.removeprefix("socket:[").removesuffix("]"))
        assert own
        assert not listening & own


def test_a_port_that_is_taken_is_told_and_the_daemon_goes_on(home: Home) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        home.write_log("one", *talk(2))
        with home.daemon({PORT: str(port)}) as daemon:
            daemon.wait_for("one", 2)
            problems = daemon.status()["problems"]
            assert [each for each in problems if f"127.0.0.1:{port}" in each]
            assert daemon.terminate() == 0


def test_the_command_prints_the_same_figures(home: Home) -> None:
    with home.daemon():
        text = home.ok("metrics").text
        named = {family.name for family in read_plain(text)}
        listed = home.ok("metrics", "--json").json
        assert {figure["name"].removesuffix("_total") for figure in listed["figures"]} == named
        assert named <= {figure.name.removesuffix("_total") for figure in FIGURES}
    assert home.run("metrics").code == 6


def test_of_what_should_be_few_there_are_few_after_many_requests(home: Home) -> None:
    home.write_log("one", *talk(5))

    def counts(daemon: RunningDaemon) -> dict[str, int]:
        status = daemon.status()
        return {**status["health"], **status["memory"]["tasks"]}

    with home.daemon() as daemon:
        daemon.wait_for("one", 5)
        before = counts(daemon)
        assert before["timers"] >= 2
        for _ in range(100):
            home.client.get("/v1/figures")
            home.client.get("/v1/search", words="word")
        until(lambda: counts(daemon)["http_connections"] == 1, "closed connections are gone")
        after = counts(daemon)
        assert after["timers"] == before["timers"]
        assert after["active"] == before["active"]
        assert (after["pending_captures"], after["waiting_logs"]) == (0, 0)
        assert after["log_records"] >= before["log_records"] >= 1
        assert after["log_records_dropped"] == 0


def test_the_history_goes_on_after_a_restart(home: Home) -> None:
    name = "holdfast_memory_tree_bytes"

    def seen(daemon: RunningDaemon) -> list[Any]:
        found = daemon.home.client.get("/v1/history", figure=name)
        return [each for each in found["lines"][0]["values"] if each is not None]

    fast = {"HOLDFAST_DAEMON__HEARTBEAT_MS": "200"}
    with home.daemon(fast) as daemon:
        until(lambda: seen(daemon), "a point")
        assert daemon.terminate() == 0
    with home.daemon(fast) as daemon:
        first = seen(daemon)
        assert first  # before there was time for a new one, or beside it
        status = daemon.status()
        assert status["health"]["history_points"] >= 2
        history = next(c for c in status["memory"]["components"] if c["name"] == "history")
        assert history["bytes"] == history["limit_bytes"]
        result = home.client.get("/v1/history")
        assert {line["name"] for line in result["lines"]} == {f.name for f in FIGURES if f.kept}


def test_a_damaged_history_is_told_and_begun_anew(home: Home) -> None:
    home.paths.ensure_dirs()
    with open(home.paths.history_file, "wb") as file:
        file.write(b"nonsense")
    with home.daemon():
        assert "history.not_read" in [record["event"] for record in operational(home)]
        assert home.client.get("/v1/history")["lines"]


@pytest.mark.parametrize(
    ("query", "said"),
    [({"figure": "holdfast_threads"}, "has no history"), ({"since": "soon"}, "is no time")],
)
def test_a_question_about_history_that_has_no_answer_says_why(
    home: Home, query: dict[str, str], said: str
) -> None:
    from holdfast.client import Refused

    with home.daemon(), pytest.raises(Refused, match=said):
        home.client.get("/v1/history", **query)


def test_figures_and_log_are_sent_by_a_child_that_counts_and_ends_with_the_daemon(
    home: Home,
) -> None:
    home.write_log("one", *talk(5, words=SECRET_WORDS))
    with (
        collecting() as collector,
        home.daemon({ENDPOINT: collector.endpoint, INTERVAL: "1"}) as daemon,
    ):
        until(lambda: collector.exports, "figures")
        until(lambda: "daemon.starting" in collector.events(), "records")
        children = processes.children(daemon.pid)
        status = daemon.status()
        weights = {each["name"]: each["bytes"] for each in status["memory"]["components"]}
        found = status["memory"]["process"]["children"]
        assert {each["pid"] for each in found} == set(children)
        # What the tree says of the child and what its line says is one reading.
        assert weights["telemetry"] == sum(each["pss_bytes"] + each["swap_bytes"] for each in found)
        assert weights["other children"] == 0
        measured = {"mapped files", "free in allocators", "compression", "answers"}
        assert measured <= weights.keys()
        explained = status["memory"]["baseline_bytes"] + sum(weights.values())
        left_over = status["memory"]["process"]["tree_bytes"] - explained
        assert status["memory"]["unaccounted_bytes"] == left_over
        assert daemon.terminate() == 0
        assert not [pid for pid in children if processes.is_alive(pid)]
        assert "daemon.stopping" in collector.events()  # what came last was sent as well
        assert len(collector.events()) == len(set(map(str, collector.records)))
        sent = str(collector.records) + str(collector.exports)
        assert SECRET_WORDS not in sent


def test_the_exporter_comes_back_when_it_is_killed_and_goes_when_the_daemon_is(home: Home) -> None:
    with (
        collecting() as collector,
        home.daemon({ENDPOINT: collector.endpoint, INTERVAL: "1"}) as daemon,
    ):
        until(lambda: collector.exports, "figures")
        (first,) = processes.children(daemon.pid)
        processes.kill(first)
        until(lambda: set(processes.children(daemon.pid)) - {first}, "another one")
        sent = len(collector.exports)
        until(lambda: len(collector.exports) > sent, "it sends")
        until(lambda: not daemon.status()["problems"], "and all is well")
        (second,) = processes.children(daemon.pid)
        daemon.process.send_signal(signal.SIGKILL)
        until(lambda: not processes.is_alive(second), "it ends with its daemon")


def test_a_collector_that_is_not_there_is_a_problem_that_the_status_names(home: Home) -> None:
    nobody = f"http://127.0.0.1:{free_port()}"
    with home.daemon({ENDPOINT: nobody, INTERVAL: "1"}) as daemon:
        problems = until(lambda: daemon.status()["problems"], "a problem")
        assert "telemetry.otlp_endpoint" in problems[0]
        assert "Connection refused" in problems[0]
        assert " at 0x" not in problems[0]
        home.write_log("one", *talk(2))
        daemon.wait_for("one", 2)
        assert daemon.terminate() == 0


def test_a_collector_that_hangs_does_not_hold_up_the_stop(home: Home) -> None:
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        silent.listen()
        endpoint = f"http://127.0.0.1:{silent.getsockname()[1]}"
        with home.daemon({ENDPOINT: endpoint, INTERVAL: "1"}) as daemon:
            asking, _address = silent.accept()  # it sends, and nobody answers
            with asking:
                children = processes.children(daemon.pid)
                assert daemon.terminate() == 0
            assert not [pid for pid in children if processes.is_alive(pid)]
        last = operational(home)[-1]
        assert (last["event"], last["late"]) == ("daemon.stopped", [])
