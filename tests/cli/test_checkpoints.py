"""`holdfast checkpoints`, as an agent's hook asks and a person answers."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from holdfast.errors import Exit
from tests.support.home import HOLDFAST, Home
from tests.support.waiting import DEADLINE_S, until


@contextmanager
def asking(home: Home, *arguments: str) -> Iterator[subprocess.Popen[str]]:
    """A command that waits, in a process of its own."""
    with subprocess.Popen(
        [*HOLDFAST, "checkpoints", *arguments],
        env=home.env,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        try:
            yield process
        finally:
            process.kill()


def pending(home: Home) -> str:
    """The one that is waited for."""

    def waited_for() -> str:
        client = home.client
        if not client.get("/v1/status")["work"]["checkpoints"]["waiting"]:
            return ""
        [checkpoint] = client.get("/v1/checkpoints", state="pending")
        return str(checkpoint["id"])

    return until(waited_for, "somebody waits for an answer")


@pytest.mark.parametrize(
    ("action", "word", "code"),
    [
        ("approve", "approved", Exit.OK),
        ("reject", "rejected", Exit.REJECTED),
        ("cancel", "cancelled", Exit.EXPIRED),
    ],
)
def test_who_waits_is_told_and_ends_with_its_own_code(
    home: Home, action: str, word: str, code: Exit
) -> None:
    with home.daemon(), asking(home, "ask", "Delete it?", "--wait") as agent:
        checkpoint = pending(home)
        told = home.ok("checkpoints", action, checkpoint[:5], "--comment", "so be it", "--by", "h")
        assert f"Delete it?: {word}." in told.err
        out, err = agent.communicate(timeout=DEADLINE_S)
        assert (out, agent.returncode) == (f"{word}\n", code)
        assert f"holdfast checkpoints approve {checkpoint}" in err
        assert f"{word.capitalize()} by h: so be it" in err
        again = home.run("checkpoints", "approve", checkpoint)
        assert again.code == Exit.CONFLICT
        assert f"was {word} by h at 20" in again.err


def test_one_that_expires_ends_with_a_code_of_its_own(home: Home) -> None:
    with home.daemon():
        late = home.run("checkpoints", "ask", "Now?", "--wait", "--expires", "1s", "--json")
        assert late.code == Exit.EXPIRED
        assert late.json["state"] == "expired"
        waited = home.run("checkpoints", "wait", late.json["id"][:5])
        assert (waited.code, waited.text) == (Exit.EXPIRED, "expired\n")


def test_without_waiting_the_id_is_told_and_the_answer_can_be_waited_for(home: Home) -> None:
    with home.daemon():
        options = ("--option", "once", "--option", "always")
        about = ("--question", "It is old.\nIt is large.", "--task", "t", "--session", "s")
        ask = ("checkpoints", "ask", "Delete it?", *options, *about, "--expires", "0")
        checkpoint = home.ok(*ask, "--key", "k").text.strip()
        assert home.ok(*ask, "--key", "k").text.strip() == checkpoint
        shown = home.ok("checkpoints", "show", checkpoint).text
        for part in ("Delete it?", "never", "once, always", "It is old.\nIt is large."):
            assert part in shown
        assert "never" in home.ok("checkpoints").text
        wrong = home.run("checkpoints", "approve", checkpoint, "--option", "twice")
        assert wrong.code == Exit.USAGE
        assert "once, always" in wrong.err
        with asking(home, "wait", checkpoint) as waiting:
            pending(home)
            home.ok("checkpoints", "approve", checkpoint, "--option", "always")
            waiting.communicate(timeout=DEADLINE_S)
            assert waiting.returncode == Exit.OK
        [decided] = home.ok("checkpoints", "list", "--session", "s", "--json").json
        assert (decided["state"], decided["option"]) == ("approved", "always")
        assert "(always)" in home.ok("checkpoints", "show", checkpoint).text


def test_templates_are_shown_with_their_fields_and_asked_with_them(home: Home) -> None:
    with home.daemon():
        assert "goal, steps" in home.ok("checkpoints", "templates").text
        names = [each["name"] for each in home.ok("checkpoints", "templates", "--json").json]
        assert names == ["plan", "command", "design", "completion"]
        ask = ("checkpoints", "ask", "--template", "plan", "--field", "goal=a pool")
        refused = home.run(*ask)
        assert refused.code == Exit.USAGE
        assert "steps is missing" in refused.err
        checkpoint = home.ok(*ask, "--field", "steps=1. dig = deep").text.strip()
        assert "1. dig = deep" in home.ok("checkpoints", "show", checkpoint).text


def test_slips_are_told(home: Home) -> None:
    with home.daemon():
        assert "holdfast checkpoints ask" in home.ok("checkpoints").err
        for slip, code, word in (
            (("ask",), Exit.USAGE, "needs a title"),
            (("ask", " "), Exit.USAGE, "needs a title"),
            (("ask", "?", "--field", "goal"), Exit.USAGE, "NAME=TEXT"),
            (("ask", "?", "--field", "a=b"), Exit.USAGE, "belong to a template"),
            (("ask", "--template", "plann"), Exit.NOT_FOUND, "there are plan"),
            (("list", "--state", "lost"), Exit.USAGE, "pending"),
            (("wait", "zzz"), Exit.NOT_FOUND, "no checkpoint 'zzz'"),
        ):
            found = home.run("checkpoints", *slip)
            assert (found.code, word in found.err) == (code, True), (slip, found)


def test_a_daemon_that_dies_meanwhile_keeps_the_question_and_who_asked_waits_on(
    home: Home,
) -> None:
    with home.daemon() as daemon:
        agent = asking(home, "ask", "Delete it?", "--wait")
        with agent as process:
            checkpoint = pending(home)
            before = home.client.get(f"/v1/checkpoints/{checkpoint}")
            daemon.kill()
            assert process.stderr is not None
            lines = iter(process.stderr.readline, "")
            assert any("is away and keeps the question" in line for line in lines)
            with home.daemon():
                assert home.client.get(f"/v1/checkpoints/{checkpoint}") == before
                assert pending(home) == checkpoint
                home.ok("checkpoints", "approve", checkpoint)
                out, _err = process.communicate(timeout=DEADLINE_S)
                assert (out, process.returncode) == ("approved\n", Exit.OK)
