"""What a stranger must not see does not stay, whatever it looks like."""

from __future__ import annotations

import errno
import os
import traceback
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from holdfast.doctor import clean
from holdfast.doctor.clean import SENTENCES, TRACES, WORDS, Places, cleaned, error, trace
from holdfast.paths import Paths

LETTERS = "zqxjkvwy"  # words that neither holdfast nor a system says
SECRETS = st.text(LETTERS, min_size=6, max_size=30)


def test_figures_and_our_own_words_stay() -> None:
    record = {
        "at": "2026-01-01T00:00:00.000Z", "level": "info", "event": "memory", "pressure": "normal",
        "footprint_bytes": 5, "share": 0.5, "late": [], "ok": True, "none": None,
        "cause": "the tree takes 86 % of the budget",
    }  # fmt: skip
    assert cleaned(record) == record


def test_of_other_strings_the_length_stays() -> None:
    assert cleaned({"path": "/home/hana/secret.jsonl", "n": ["a", "bc"]}) == {
        "path": "(23 characters)",
        "n": ["(1 characters)", "(2 characters)"],
    }
    assert cleaned({"session": "a sentence, with more than a word"})["session"] == "(33 characters)"


def test_of_an_error_the_words_of_the_system_stay() -> None:
    text = f"/secret/x.md: {os.strerror(errno.ENOSPC)} (FileNotFoundError of SecretError)"
    said = error(text)
    assert os.strerror(errno.ENOSPC) in said
    assert "FileNotFoundError" in said
    assert "ecret" not in said
    assert "JournalFull" in error("JournalFull('no room')")


def test_what_the_system_may_say_is_gathered_once_and_not_for_each_string(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A bundle has thousands of strings, and a system two hundred errors."""
    error("whatever gathers it")
    asked: list[int] = []
    monkeypatch.setattr(os, "strerror", asked.append)
    assert error("KeyError of nobody") == "(KeyError, 18 characters)"
    assert asked == []
    assert clean._class_names() is clean._class_names()


@given(st.lists(SECRETS, min_size=1, max_size=4), st.sampled_from([" ", "/", "\n", ": ", "'"]))
def test_no_secret_passes_in_any_field_that_is_not_ours(secrets: list[str], between: str) -> None:
    text = between.join(["/home", *secrets, "No such file or directory"])
    fields: dict[str, Any] = {"path": text, "error": text, "why": [text], "trace": text}
    fields["deep"] = [{"problem": text}, (text,)]
    told = repr(cleaned(fields))
    for secret in secrets:
        assert secret not in told


def test_a_trace_tells_where_it_happened_and_not_what_the_error_says() -> None:
    def fail(secret: str) -> None:
        raise KeyError(secret)

    try:
        fail("zebra words")
    except KeyError as failed:
        text = "".join(traceback.format_exception(failed))
    told = trace(text)
    assert "zebra" not in told
    assert 'File "(elsewhere)", line ' in told
    assert "in fail" in told
    assert "KeyError" in told
    assert "secret)" not in told, "lines of source are left out"


def test_a_trace_of_a_fault_stays_but_for_folders() -> None:
    text = (
        "Fatal Python error: Segmentation fault\n\nCurrent thread 0x01 (most recent call first):\n"
        '  File "/home/hana/secret/src/holdfast/daemon.py", line 7 in run\n'
        '  File "/home/hana/secret/lib/python3.11/site-packages/uvloop/x.py", line 8 in go\n'
        '  File "/home/hana/secret/y.py", line 9 in it\n'
    )
    assert trace(text) == (
        "Fatal Python error: Segmentation fault\nCurrent thread 0x01 (most recent call first):\n"
        '  File "…/src/holdfast/daemon.py", line 7 in run\n'
        '  File "…/site-packages/uvloop/x.py", line 8 in go\n'
        '  File "(elsewhere)", line 9 in it'
    )


def test_our_own_places_are_told_by_their_names() -> None:
    paths = Paths("/x/secret/config.toml", "/x/secret/data", "/x/secret/state", "/x/secret/run")
    places = Places(paths, {"HOME": "/home/hana"})
    said = places.hidden(f"chmod 600 '{paths.journal}' '{paths.socket}' /home/hana/y /x/secret/run")
    assert said == "chmod 600 '<data>/journal.db' '<socket>' ~/y <run>"


def test_fields_that_pass_hold_none_of_what_people_write() -> None:
    """A name that is added here must be one that never holds text, titles or paths."""
    assert (WORDS | SENTENCES | TRACES).isdisjoint(
        {"title", "text", "path", "project", "cwd", "error", "problem", "outcome", "reason", "why"}
    )
