"""`holdfast intents`, as a person or a script types it."""

from __future__ import annotations

from holdfast.errors import Exit
from tests.support.home import Home


def test_an_intent_outlives_the_daemon_with_its_memo(home: Home) -> None:
    with home.daemon():
        assert "holdfast intents create" in home.ok("intents").err
        intent = home.ok("intents", "create", "Move the tests", "--memo", "at the start").text
        intent = intent.strip()
        home.ok("intents", "progress", intent[:5], "--pct", "30", "--memo", "behind\nthe journal")
        home.ok("intents", "progress", intent, "--note", "slow")
    with home.daemon():
        resumed = home.ok("intents", "resume", intent, "--by", "bob")
        assert resumed.text == "behind\nthe journal\n"
        assert "Move the tests: active" in resumed.err
        shown = home.ok("intents", "show", intent).text
        assert "resumed    1 times, last by bob" in shown
        assert "30 % slow" in shown
        assert "failed" in home.ok("intents", "fail", intent, "no time").err
        assert "no time" in home.ok("intents", "show", intent).text
        [failed] = home.ok("intents", "list", "--state", "failed", "--json").json
        assert failed["id"] == intent
        assert home.ok("intents", "resume", intent, "--json").json["state"] == "active"
        assert "completed" in home.ok("intents", "complete", intent, "moved").err
        assert "moved" in home.ok("intents", "show", intent).text
        over = home.run("intents", "resume", intent)
        assert over.code == Exit.CONFLICT
        assert "was completed at" in over.err
        assert "completed" in home.ok("intents").text
