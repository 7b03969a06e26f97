"""Queues through the running daemon: the command line, a worker's client, whoever hangs up."""

from __future__ import annotations

import argparse
import json
import subprocess
import threading
import time
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from holdfast import Holdfast
from holdfast.cli.context import Context
from holdfast.cli.queues import run_add
from holdfast.client import Client, PutOff, Refused, UnixConnection
from holdfast.errors import Exit
from holdfast.remote import Item, Queue, VoidClaim
from tests.support.home import HOLDFAST, Home
from tests.support.waiting import until

SECRET = "sk-ant-api03-" + "abcdefghijklmnopqrstuvwxyz0123456789"


def post(home: Home, path: str, body: object, **query: object) -> Any:
    pieces = home.client.stream("POST", f"/v1/queues/{path}", body=body, **query)
    return json.loads(b"".join(pieces))


def test_the_command_line_puts_in_takes_out_and_settles(home: Home) -> None:
    with home.daemon():
        assert home.ok("queue").text == ""
        added = home.ok("queue", "add", "index", '{"n": 1}', "a text", "--json").json
        assert added == {"ids": [1, 2], "repeated": 0}
        claimed = home.ok("queue", "claim", "index", "-n", "5").text.splitlines()
        assert claimed == ['1.1\t1/5\t{"n": 1}', '2.1\t1/5\t"a text"']
        assert home.ok("queue", "confirm", "index", "1.1").err == "1 item confirmed.\n"
        done = home.run("queue", "confirm", "index", "1.1", "2.7")
        assert done.code == Exit.CONFLICT
        assert done.err.splitlines()[:2] == ["0 items confirmed.", "Done before: 1.1."]
        assert "Refused: 2.7" in done.err
        home.ok("queue", "release", "index", "2.1", "--delay", "1h")
        [listed] = home.ok("queue", "list", "--json").json
        assert (listed["queue"], listed["pending"], listed["delayed"]) == ("index", 1, 1)
        assert home.ok("queue").text.split()[:6] == [
            "READY",
            "DELAYED",
            "WAITING",
            "CLAIMED",
            "DEAD",
            "OLDEST",
        ]
        nothing = home.run("queue", "claim", "index")
        assert (nothing.code, nothing.err) == (Exit.NOT_FOUND, "Nothing is ready in index.\n")
        status = home.ok("status", "--json").json["queues"]
        assert (status["queues"], status["pending"], status["delayed"]) == (1, 1, 1)
        assert "Queued    1 of 10,000 pending: 1 delayed" in home.ok("status").text
        figures = home.ok("metrics").text
        assert 'holdfast_queue_items{state="delayed"} 1' in figures
        memory = home.ok("status", "--json").json["memory"]["components"]
        [ours] = [each for each in memory if each["name"] == "work queue"]
        assert (ours["items"], ours["limit_items"]) == (1, 10_000)


def test_what_an_item_may_say_on_the_command_line(home: Home) -> None:
    with home.daemon():
        home.ok("queue", "add", "q", '"low"', "--priority", "-1", "--key", "low")
        home.ok("queue", "add", "q", '"high"', "--priority", "1", "--attempts", "2")
        home.ok("queue", "add", "q", '"waits"', "--after", "low", "--after", "2")
        home.ok("queue", "add", "q", '"later"', "--delay", "1h", "--subject", "s")
        again = home.ok("queue", "add", "q", '"low"', "--key", "low")
        assert (again.text, again.err) == ("1\n", "1 item in q, 1 known already.\n")
        first, second = home.ok("queue", "claim", "q", "-n", "9", "--lease", "5m", "--json").json
        assert (first["payload"], first["max_attempts"]) == ("high", 2)
        assert second["payload"] == "low"
        assert 299_000 < first["lease_ends_ms"] - time.time() * 1_000 < 301_000
        [listed] = home.ok("queue", "--json").json
        assert (listed["waiting"], listed["delayed"]) == (1, 1)
        home.ok("queue", "confirm", "q", "1.1", "2.1")
        assert home.ok("queue", "claim", "q", "--json").json[0]["payload"] == "waits"
        expiring = home.run("queue", "add", "q", "1", "--ttl", "0")
        assert (expiring.code, "ttl_secs" in expiring.err) == (Exit.USAGE, True)


def test_payloads_come_from_standard_input_in_batches(home: Home) -> None:
    with home.daemon():
        lines = "".join(f'{{"n": {number}}}\n' for number in range(250))
        done = subprocess.run(
            [*HOLDFAST, "queue", "add", "q", "-", "--json"],
            input=lines.encode(),
            env=home.env,
            capture_output=True,
            check=True,
            timeout=60,
        )
        assert len(json.loads(done.stdout)["ids"]) == 250
        [listed] = home.ok("queue", "--json").json
        assert listed["ready"] == 250


def test_dead_letters_are_looked_at_retried_and_dropped(home: Home) -> None:
    with home.daemon():
        home.ok("queue", "add", "q", '{"file": "a.py"}', '{"file": "b.py"}', "--attempts", "1")
        home.ok("queue", "claim", "q", "-n", "2")
        home.ok("queue", "release", "q", "1.1", "2.1", "--error", "no such file")
        assert home.ok("queue", "dead", "other").text == ""
        rows = home.ok("queue", "dead", "q").text.splitlines()
        assert rows[0].split() == ["ID", "REASON", "ATTEMPTS", "SINCE", "PAYLOAD", "ERROR"]
        assert '{"file": "a.py"}' in rows[1]
        assert rows[1].endswith("no such file")
        [second] = home.ok("queue", "dead", "q", "--after", "1", "--json").json
        assert (second["id"], second["preview"]) == (2, '{"file": "b.py"}')
        whole = home.ok("queue", "dead", "q", "2", "--json").json
        assert (whole["payload"], whole["reason"]) == ({"file": "b.py"}, "attempts")
        assert '"file": "b.py"' in home.ok("queue", "dead", "q", "2").text
        assert home.ok("queue", "retry", "q", "1").err == "1 item pending again.\n"
        assert home.run("queue", "retry", "q", "1").code == Exit.NOT_FOUND
        for left_open in ((), ("2", "--all")):
            slip = home.run("queue", "drop", "q", *left_open)
            assert slip.code == Exit.USAGE
            assert "`holdfast queue drop q ID …`, or --all" in slip.err
        assert home.ok("queue", "drop", "q", "--all").err == "1 item dropped.\n"
        [listed] = home.ok("queue", "--json").json
        assert (listed["ready"], listed["dead"]) == (1, 0)
        told = home.ok("stream", "read", "holdfast/queues").text
        assert "item 1 of queue q is a dead letter (attempts): no such file" in told


def test_a_worker_over_the_socket_confirms_releases_and_waits(home: Home) -> None:
    seen: list[object] = []

    def work() -> None:
        with Holdfast(home.env, patience_s=60) as holdfast:
            for item in Queue(holdfast, "q").work(batch=2):
                with item:
                    seen.append(item.payload)
                    if item.payload == "bad":
                        raise ValueError("boom")
                if item.payload == "last":
                    return

    with home.daemon(), Holdfast(home.env) as holdfast:
        worker = threading.Thread(target=work)
        worker.start()
        queue = Queue(holdfast, "q")
        queue.add("good")
        queue.add("bad", max_attempts=1)
        until(lambda: queue.counts().dead == 1, "the bad one is a dead letter")
        queue.add("last")
        worker.join(60)
        assert seen == ["good", "bad", "last"]
        until(lambda: queue.counts().pending == 0, "all is confirmed")
        [letter] = home.ok("queue", "dead", "q", "--json").json
        assert letter["error"] == "ValueError('boom')"


def test_a_worker_goes_on_when_the_daemon_was_restarted(home: Home) -> None:
    seen: list[object] = []

    def work() -> None:
        with Holdfast(home.env, patience_s=60) as holdfast:
            for item in Queue(holdfast, "q").work():
                seen.append(item.payload)
                if item.payload == "last":
                    item.confirm()
                    return

    worker = threading.Thread(target=work)
    with home.daemon() as daemon:
        worker.start()
        home.ok("queue", "add", "q", '"first"')
        until(lambda: seen == ["first"] and waiting(home) == 1, "it waits for the next")
        assert daemon.terminate() == 0
    with home.daemon():
        home.ok("queue", "add", "q", '"last"')
        worker.join(60)
    assert seen == ["first", "last"]


def test_a_claim_is_void_in_another_queue(home: Home) -> None:
    with home.daemon(), Holdfast(home.env) as holdfast:
        here, there = Queue(holdfast, "here"), Queue(holdfast, "there")
        here.add("mine")
        [item] = here.claim()
        for how in ("confirm", "release"):
            mixed = home.run("queue", how, "there", item.told.claim)
            assert mixed.code == Exit.CONFLICT
        with pytest.raises(VoidClaim):
            there.extend(item.told.claim, lease_secs=60)
        assert here.counts().claimed == 1
        item.confirm()


def test_a_claim_is_void_when_its_lease_ended(home: Home) -> None:
    with home.daemon(), Holdfast(home.env) as holdfast:
        queue = Queue(holdfast, "q")
        queue.add(1)
        [late] = queue.claim(lease_secs=0.05)
        [item] = queue.claim(wait_secs=30)
        with pytest.raises(VoidClaim, match=r"void: 1\.1"):
            late.confirm()
        item.extend(600)
        item.confirm()
        assert queue.confirm(item.told.claim).gone == [item.told.claim]


def settle_and_raise(item: Item, how: str) -> None:
    with item:
        if how == "confirm":
            item.confirm()
        elif how == "release":
            item.release()
        raise ValueError("boom")


@pytest.mark.parametrize("how", ["confirm", "release", "lease"])
def test_what_a_block_raises_is_raised_when_no_item_keeps_it(home: Home, how: str) -> None:
    with home.daemon(), Holdfast(home.env) as holdfast:
        queue = Queue(holdfast, "q")
        queue.add(1)
        [item] = queue.claim(lease_secs=0.05 if how == "lease" else 600)
        if how == "lease":
            queue.claim(wait_secs=30)
        with pytest.raises(ValueError, match="boom"):
            settle_and_raise(item, how)


def test_who_is_interrupted_hands_its_item_back_once(home: Home) -> None:
    with home.daemon(), Holdfast(home.env) as holdfast:
        queue = Queue(holdfast, "q")
        queue.add(1)
        working = queue.work()
        with pytest.raises(KeyboardInterrupt), next(working):
            raise KeyboardInterrupt
        working.close()
        [again] = queue.claim()
        assert again.told.claim == "1.2"


def test_all_is_there_after_a_kill(home: Home) -> None:
    daemon = home.start()
    try:
        home.ok("queue", "add", "q", "1", "2", "--key", "")
        home.ok("queue", "add", "q", "3", "--key", "k")
        home.ok("queue", "claim", "q", "--lease", "1h")
        daemon.kill()
        daemon = home.start()
        [listed] = home.ok("queue", "--json").json
        assert (listed["ready"], listed["claimed"]) == (2, 1)
        assert home.ok("queue", "add", "q", "3", "--key", "k", "--json").json["repeated"] == 1
        home.ok("queue", "confirm", "q", "1.1")
        assert daemon.terminate() == 0
    finally:
        daemon.stop()


def test_who_hangs_up_while_waiting_is_given_nothing(home: Home) -> None:
    with home.daemon():
        connection = UnixConnection(home.paths.socket, 60)
        body = json.dumps({"wait_secs": 60, "lease_secs": 3_600})
        connection.request("POST", "/v1/queues/q/claim", body)
        until(lambda: waiting(home) == 1, "it waits")
        connection.close()
        until(lambda: waiting(home) == 0, "it is let go of", deadline_s=30)  # before its time
        home.ok("queue", "add", "q", "1")
        assert home.ok("queue", "claim", "q", "--json").json[0]["claim"] == "1.1"


def waiting(home: Home) -> int:
    return int(home.client.get("/v1/status")["queues"]["waiting_for_work"])


def test_a_full_queue_says_so_and_takes_in_again(home: Home) -> None:
    home.config("[resources]\nwork_queue_max = 2\n[daemon]\nheartbeat_ms = 200\n")
    with home.daemon():
        home.ok("queue", "add", "q", "1", "2")
        impatient = Client(home.paths, put_off_max_s=0)
        with pytest.raises(Refused, match="2 pending items") as refused:
            list(impatient.stream("POST", "/v1/queues/q/items", body={"payload": 3}))
        assert refused.value.code == Exit.BUSY
        full = home.run("queue", "add", "q", "3", "--wait", "0s")
        assert full.code == Exit.BUSY
        assert "2 pending items" in full.err
        alerts = home.client.get("/v1/status")["queues"]
        assert (alerts["pending"], alerts["pending_max"]) == (2, 2)
        until(lambda: queue_full(home) == {"work_queue_pct": 100}, "the alert knows")
        adding = home.spawn("queue", "add", "q", "3")
        try:
            until(lambda: home.client.get("/v1/status")["queues"]["waiting_for_room"] == 1, "waits")
            home.ok("queue", "claim", "q")
            home.ok("queue", "confirm", "q", "1.1")
            assert adding.wait(60) == 0
        finally:
            adding.kill()
            adding.communicate()


def test_who_will_not_wait_for_room_is_not_made_to(
    home: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = argparse.Namespace(
        queue="q", payloads=["2"], key="", priority=0, subject="", after=[], delay=0, attempts=0
    )
    asked.ttl, asked.wait, asked.json = None, 0, False
    home.config("[resources]\nwork_queue_max = 1\n")
    with home.daemon():
        home.ok("queue", "add", "q", "1")
        with monkeypatch.context() as patched:
            patched.setattr(time, "sleep", lambda _: pytest.fail("it waits"))
            with pytest.raises(PutOff, match="1 pending item"):
                run_add(Context(home.env), asked)


def queue_full(home: Home) -> object:
    """What the rule about a full queue saw last."""
    rules = home.client.get("/v1/alerts")["rules"]
    return next(each["values"] for each in rules if each["name"] == "work-queue-full")


@pytest.mark.parametrize("wait", ["50s", "10m"])  # in one request, and in several
def test_a_stop_does_not_wait_for_who_waits_for_work(home: Home, wait: str) -> None:
    daemon = home.start()
    claiming = home.spawn("queue", "claim", "q", "--wait", wait)
    try:
        until(lambda: waiting(home) == 1, "it waits")
        assert daemon.terminate() == 0
        assert not home.client.is_running()
        with home.daemon():  # who waits goes on waiting, and is given what comes
            home.ok("queue", "add", "q", "1")
            assert claiming.wait(60) == 0
    finally:
        claiming.kill()
        claiming.communicate()
        daemon.stop()


def test_secrets_are_taken_out_at_the_door_and_by_redact(home: Home) -> None:
    with home.daemon():
        post(home, "q/items", {"payload": {"note": SECRET, "n": 1}, "subject": "walnut"})
        post(home, "q/items", {"payload": ["<private>mine</private> yours"]})
        home.ok("queue", "add", "q", "a walnut")
        first, second, third = post(home, "q/claim", {"count": 9})["items"]
        assert first["payload"] == {"note": "[redacted:anthropic-key]", "n": 1}
        assert "mine" not in json.dumps(second["payload"])
        assert third["payload"] == "a walnut"
        assert home.ok("status", "--json").json["privacy"]["redactions"]["anthropic-key"] == 1
        home.ok("redact", "--all", "--pattern", "walnut")
        claims = [each["claim"] for each in (first, second, third)]
        post(home, "q/release", {"claims": claims, "failed": False})
        again = post(home, "q/claim", {"count": 9})["items"]
        assert "walnut" not in json.dumps(again)
    assert SECRET.encode() not in Path(home.paths.journal).read_bytes()


def test_a_slip_is_explained(home: Home) -> None:
    with home.daemon():
        for path, body, words in (
            ("q/items", {"payload": 1, "prio": 1}, "prio"),
            ("q/items", {"items": []}, "0 items at a time"),
            ("q/items", [], "is no item"),
            ("q/claim", {"count": 0}, "0 items at a time"),
            ("q/claim", {"wait_secs": 3_600}, "between 0 and 60"),
            ("q/confirm", {"claims": ["x"]}, "is no claim"),
            ("q/confirm", {"claim": "1.1"}, "not as this route wants it"),
            ("q/dead/retry", {}, "name dead letters"),
            ("q/extend", {"claims": ["1.1"], "lease_secs": 0}, "lease"),
        ):
            with pytest.raises(Refused, match=words) as refused:
                post(home, path, body)
            assert refused.value.code == Exit.USAGE, path
        with pytest.raises(Refused, match="no name of a queue"):
            post(home, "a b/items", {"payload": 1})
        for name in ("a/b", "", "a b"):
            slip = home.run("queue", "add", name, "1")
            assert slip.code == Exit.USAGE
            assert "no name of a queue" in slip.err


@pytest.mark.parametrize("name", ["a/b", "a b", "a%2Fb", "ä?#", "", "/"])
def test_a_name_that_cannot_be_one_is_told_as_such_and_not_as_another_path(
    home: Home, name: str
) -> None:
    with home.daemon(), Holdfast(home.env) as holdfast:
        queue = Queue(holdfast, name)
        for ask in (partial(queue.add, 1), queue.claim, queue.counts):
            with pytest.raises(Refused, match="no name of a queue") as refused:
                ask()
            assert refused.value.code == Exit.USAGE


def test_without_a_daemon_the_status_tells_of_queues_all_the_same(home: Home) -> None:
    with home.daemon():
        home.ok("queue", "add", "q", "1")
    work = home.ok("status", "--json").json["queues"]
    assert (work["pending"], work["waiting_for_room"]) == (1, 0)
    assert home.run("queue", "list").code == Exit.NOT_RUNNING
