"""`holdfast debug memory` on a running daemon."""

from __future__ import annotations

import json
import os
import stat
import subprocess
import sys
from pathlib import Path
from typing import Any, Final

import pytest

from holdfast.cli.debugging import difference
from holdfast.client import Refused
from holdfast.errors import Exit
from tests.support.home import Home, talk
from tests.support.waiting import until

# As the daemon comes up, and then serves its routes: made, not asked.
LOADED: Final = (
    "import sys; from types import SimpleNamespace; import holdfast.daemon; "
    "from holdfast.server.app import make_app; make_app(SimpleNamespace(library=None)); "
    "print([name in sys.modules for name in ('holdfast.profiling', 'tracemalloc')])"
)


def test_the_lines_add_up_to_what_the_process_takes(home: Home) -> None:
    home.write_log("a", *talk(20))
    with home.daemon() as daemon:
        daemon.wait_for("a", 20)
        profile = home.ok("debug", "memory", "--json").json
    parts = profile["components"]
    explained = parts["baseline_bytes"] + sum(each["bytes"] for each in parts["parts"])
    assert explained + parts["unaccounted_bytes"] == parts["footprint_bytes"]
    assert {"snapshots", "journal"} <= {each["name"] for each in parts["parts"]}
    assert profile["types"]["objects"] > 0
    assert profile["types"]["frozen_objects"] > 10_000
    assert profile["sites"] is None


def test_lines_of_code_are_traced_for_a_while_and_no_longer(home: Home) -> None:
    with home.daemon():
        profile = home.ok("debug", "memory", "--sites", "--seconds", "1", "--json").json
        after = home.client.post("/v1/debug/memory/trace")
    sites = profile["sites"]
    assert sites["traced_s"] >= 1
    assert sites["tracer_bytes"] > 0
    assert sites["largest"]
    assert all(each["line"] >= 0 and each["file"] for each in sites["largest"])
    assert not after["on"]
    assert after["tracer_bytes"] < 10_000, "an empty table is left"


def test_people_see_tables(home: Home) -> None:
    with home.daemon():
        shown = home.ok("debug", "memory", "--sites", "--seconds", "1", "-n", "3")
    for told in ("COMPONENT", "not accounted for", "TYPE", "LINE", "the tracing itself took"):
        assert told in shown.text
    assert "Tracing allocations for 1 s." in shown.err


def test_two_moments_are_compared(home: Home) -> None:
    kept = os.path.join(home.folder, "before.json")
    with home.daemon() as daemon:
        home.ok("debug", "memory", "--save", kept)
        assert stat.S_IMODE(os.stat(kept).st_mode) == 0o600
        home.write_log("a", *talk(500, words="barnacle " * 100))
        daemon.wait_for("a", 500)
        changed = home.ok("debug", "memory", "--diff", kept, "--json").json
        shown = home.ok("debug", "memory", "--diff", kept).text
    (snapshots,) = [each for each in changed["components"]["parts"] if each["name"] == "snapshots"]
    assert snapshots["bytes"] > 0
    assert snapshots["items"] == 1
    assert changed["from"] < changed["to"]
    assert "all of it" in shown
    assert "snapshots" in shown


def test_nothing_of_it_is_loaded_until_somebody_asks() -> None:
    done = subprocess.run(
        [sys.executable, "-I", "-c", LOADED], capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == "[False, False]"


def test_without_a_daemon_it_says_so(home: Home) -> None:
    assert home.run("debug", "memory").code == Exit.NOT_RUNNING


@pytest.mark.parametrize("content", [None, "", "{}", "[]", '{"format": "another"}'])
def test_a_file_that_is_no_profile_is_refused_before_anything_is_asked(
    home: Home, content: str | None
) -> None:
    path = Path(home.folder, "before.json")
    if content is not None:
        path.write_text(content)
    refused = home.run("debug", "memory", "--diff", str(path))
    assert refused.code == Exit.USAGE
    assert str(path) in refused.err


def test_questions_that_make_no_sense_are_refused(home: Home) -> None:
    with home.daemon():
        ask = home.client.post
        for asked in ({"on": "true", "seconds": "0"}, {"on": "true", "seconds": "601"}):
            with pytest.raises(Refused, match="seconds must be"):
                ask("/v1/debug/memory/trace", **asked)
        with pytest.raises(Refused, match="not both"):
            ask("/v1/debug/memory/trace", on="true", off="true")
        with pytest.raises(Refused, match="not traced"):
            home.client.get("/v1/debug/memory", sites="true")
        assert ask("/v1/debug/memory/trace", on="true", seconds="5")["on"]
        assert not ask("/v1/debug/memory/trace", off="true")["on"]


def test_short_of_memory_one_may_look_but_not_trace(home: Home) -> None:
    short = {
        "HOLDFAST_DAEMON__MAX_MEMORY_MB": "20",
        "HOLDFAST_RESOURCES__CRITICAL_EXIT_SECS": "3600",
    }
    with home.daemon(short) as daemon:
        until(
            lambda: daemon.status()["memory"]["pressure"]["own_level"] == "critical",
            "it is critical",
        )
        assert home.ok("debug", "memory", "--json").json["components"]["parts"]
        refused = home.run("debug", "memory", "--sites", "--seconds", "1")
        assert refused.code != 0
        assert "Tracing" not in refused.err
        assert not home.client.post("/v1/debug/memory/trace", off="true")["on"]


def a_profile(**types: int) -> dict[str, Any]:
    return {
        "at": "2026-01-01T00:00:00.000Z",
        "components": {
            "footprint_bytes": 0,
            "baseline_bytes": 0,
            "unaccounted_bytes": 0,
            "python_blocks": 0,
            "parts": [],
        },
        "types": {
            "largest": [{"name": name, "count": 1, "bytes": size} for name, size in types.items()]
        },
        "sites": None,
    }


def test_what_grew_and_what_shrank_is_told_the_largest_change_first() -> None:
    changed = difference(a_profile(dict=500, list=90, str=7), a_profile(dict=100, list=100, str=7))
    assert [(each["name"], each["bytes"]) for each in changed["types"]] == [
        ("dict", -400),
        ("list", 10),
    ]
    assert changed["sites"] is None


def test_what_was_not_among_the_largest_before_counts_as_nothing() -> None:
    changed = difference(a_profile(), json.loads(json.dumps(a_profile(set=40))))
    assert changed["types"] == [{"name": "set", "count": 1, "bytes": 40}]


def test_a_file_that_is_there_is_replaced_only_when_that_is_asked_for(home: Home) -> None:
    path = os.path.join(home.folder, "precious")
    with open(path, "w", encoding="utf-8") as file:
        file.write("hello")
    with home.daemon():
        refused = home.run("debug", "memory", "--save", path)
        assert refused.code == Exit.REFUSED
        assert "--force" in refused.err
        with open(path, encoding="utf-8") as file:
            assert file.read() == "hello"
        home.ok("debug", "memory", "--save", path, "--force")
        home.ok("debug", "memory", "--diff", path)


def test_seconds_without_sites_are_refused(home: Home) -> None:
    refused = home.run("debug", "memory", "--seconds", "3")
    assert refused.code == Exit.USAGE
    assert "--seconds goes with --sites" in refused.err
