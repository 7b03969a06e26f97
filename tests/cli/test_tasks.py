"""`holdfast tasks`, as a person or a script types it."""

from __future__ import annotations

from holdfast.errors import Exit
from tests.support.home import Home


def test_a_task_from_its_beginning_to_its_end(home: Home) -> None:
    with home.daemon():
        assert "holdfast tasks create" in home.ok("tasks").err
        task = home.ok("tasks", "create", "Build the docs", "--by", "ann").text.strip()
        waits = home.ok("tasks", "create", "Publish", "--after", task[:5]).text.strip()
        assert "running" in home.ok("tasks", "start", task, "--by", "bob").err
        home.ok("tasks", "heartbeat", task)
        home.ok("tasks", "progress", task, "--pct", "30", "--note", "half of it")
        early = home.run("tasks", "start", waits)
        assert early.code == Exit.CONFLICT
        assert f"waits for {task}" in early.err
        listed = home.ok("tasks").text
        assert "30 %" in listed
        assert "bob" in listed
        shown = home.ok("tasks", "show", task[:5]).text
        assert "half of it" in shown
        assert "stale after 5 min" in shown
        assert "completed" in home.ok("tasks", "complete", task, "all pages").err
        assert "all pages" in home.ok("tasks", "show", task).text
        known = home.ok("tasks", "show", waits, "--json").json
        assert (known["state"], known["after"]) == ("pending", [task])
        assert "to be tried again (2 more)" in home.ok("tasks", "fail", waits, "no key").err
        assert "no key" in home.ok("tasks", "show", waits).text
        home.ok("tasks", "block", waits, "rain")
        home.ok("tasks", "unblock", waits)
        assert home.ok("tasks", "cancel", waits, "--json").json["state"] == "cancelled"
        states = {each["id"]: each["state"] for each in home.ok("tasks", "--json").json}
        assert states == {task: "completed", waits: "cancelled"}


def test_how_a_task_came_about_is_shown_as_a_session_is(home: Home) -> None:
    with home.daemon():
        home.ok("tasks", "create", "Dig a pond")
        assert "Dig a pond" in home.ok("show", "stream/holdfast/tasks", "--all").text
        lines = home.ok("export", "stream/holdfast/tasks", "-f", "jsonl", "-o", "-").text
        assert '"kind":"task.created"' in lines


def test_limits_of_its_own_parts_and_sessions(home: Home) -> None:
    with home.daemon():
        whole = home.ok("tasks", "create", "Whole", "--session", "s").text.strip()
        spans = ("--timeout", "90s", "--heartbeat", "0", "--retries", "0")
        made = home.ok("tasks", "create", "Part", "--parent", whole[:6], *spans, "--json").json
        assert (made["timeout_s"], made.get("heartbeat_s", 0), made.get("retries", 0)) == (90, 0, 0)
        part = made["id"]
        refused = home.run("tasks", "complete", whole)
        assert refused.code == Exit.CONFLICT
        assert part in refused.err
        assert "failed" in home.ok("tasks", "fail", part).err
        listed = home.ok("tasks", "list", "--parent", whole, "--state", "failed", "--json").json
        assert [each["id"] for each in listed] == [part]
        [ours] = home.ok("tasks", "list", "--session", "s", "--json").json
        assert ours["id"] == whole
        assert "may be more" in home.ok("tasks", "list", "--limit", "1").err


def test_slips_are_told(home: Home) -> None:
    with home.daemon():
        task = home.ok("tasks", "create", "T", "--key", "k").text.strip()
        assert home.ok("tasks", "create", "T", "--key", "k").text.strip() == task
        for slip, code, word in (
            (("show", "zzzz"), Exit.NOT_FOUND, "no task 'zzzz'"),
            (("show", ""), Exit.USAGE, "no id"),
            (("show", "a/b"), Exit.USAGE, "no id"),
            (("create", "T", "--timeout", "soon"), Exit.USAGE, "90s"),
            (("create", "T", "--retries", "-1"), Exit.USAGE, "retries"),
            (("create", ""), Exit.USAGE, "a task needs a title: what is to be done"),
            (("list", "--state", "lost"), Exit.USAGE, "cancelled"),
            (("progress", task), Exit.USAGE, "pct, note"),
            (("progress", task, "--pct", "1"), Exit.CONFLICT, f"holdfast tasks start {task}"),
            (("progress", task, "--pct", "x"), Exit.USAGE, "pct"),
            (("unblock", task), Exit.CONFLICT, "nobody has blocked"),
        ):
            found = home.run("tasks", *slip)
            assert (found.code, word in found.err) == (code, True), (slip, found)
    assert home.run("tasks").code == Exit.NOT_RUNNING
