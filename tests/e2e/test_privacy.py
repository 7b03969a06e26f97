"""Private parts and secrets, planted everywhere and looked for in every byte that is kept."""

from __future__ import annotations

import json
import os
from random import Random
from typing import Any, Final

import pytest

from holdfast.demo import lines as demo
from tests.support import planted
from tests.support.home import Home, moment, sid, talk
from tests.support.kept import where
from tests.support.waiting import until

SECRETS: Final = planted.tokens(Random(21))
SEEN: Final = "lighthouse"  # stands in each line beside what is hidden
NAME: Final = "s"
GROWN: Final = 300_000


class Plant:
    """Lines with something hidden in each, and what that was."""

    def __init__(self, seed: int) -> None:
        self._dice = Random(seed)
        self._number = 0
        self.hidden: list[str] = []
        self.lines: list[bytes] = []

    def secret(self) -> str:
        """Another one each time; some are marked and some are found by what they are."""
        self._number += 1
        if self._number % 2:
            word = "hid" + planted.body(self._dice, planted.ALNUM.lower(), 14)
            self.hidden.append(word)
            return f"<private>{word}</private>"
        each = planted.tokens(self._dice)[self._dice.randrange(100)]
        self.hidden.append(each.secret)
        return each.secret

    def text(self) -> str:
        return f"{SEEN} {self.secret()} {SEEN}"

    def marked(self) -> str:
        word = "hid" + planted.body(self._dice, planted.ALNUM.lower(), 14)
        self.hidden.append(word)
        return word

    def add(self, *lines: bytes) -> None:
        self.lines += lines

    def everywhere(self) -> Plant:
        """One in each place of a record that anything reads."""
        text = self.text
        self.add(
            demo.user_line(text()),
            demo.assistant_line(text()),
            demo.thinking_line(text()),
            demo.tool_use_line("Bash", {"command": text(), text(): [text(), {"deep": text()}]}),
            demo.tool_use_line("Write", {"file_path": text(), "content": text()}),
            demo.tool_result_line(text(), result={"stdout": text(), "stderr": text()}),
            demo.tool_result_line(text(), error=True),
            demo.system_line("informational", {"content": text(), "more": {"x": [text()]}}),
            demo.system_line("never_seen_" + "x", {"content": text()}),
            demo.summary_line(text()),
            demo.title_line(text()),
            demo.title_line(text(), custom=True),
            demo.queue_line(text()),
            *demo.compaction_lines(text()),
            demo.user_line(f"<system-reminder>{text()}</system-reminder>{text()}"),
            demo.user_line(text(), cwd=f"/home/hana/{self.secret()}", branch=self.secret()),
            demo.user_line("x", extra={"unknownField": text()}),
            _line({"type": self.secret(), "uuid": "u", "text": text()}),
            _line({"type": "attachment", "attachment": {"type": text(), "content": text()}}),
            b"no json " + text().encode() + b"\n",
            b'{"type":"user","half":"' + text().encode() + b"\n",
        )
        self._split()
        self._escaped()
        return self

    def _split(self) -> None:
        """Marks that are open over parts, never closed, nested."""
        first, second, third, fourth = (self.marked() for _ in range(4))
        parts = [f"{SEEN} <private>{first}", second, f"{third}</private> {SEEN}"]
        self.add(
            _message([{"type": "text", "text": each} for each in parts]),
            _message(
                [
                    {"type": "text", "text": f"{SEEN} <private>{self.marked()}"},
                    {"type": "tool_use", "id": "t", "name": "Bash", "input": {"command": fourth}},
                ]
            ),
            demo.user_line(f"{SEEN} <private>{self.marked()}<private>{self.marked()}</private>"),
            demo.user_line(f"{SEEN} <private {self.marked()}"),
        )

    def _escaped(self) -> None:
        word, key = self.marked(), planted.tokens(self._dice)[12].secret
        self.hidden.append(key)
        spelled = "".join(f"\\u{ord(char):04x}" for char in key)
        line = demo.user_line("PLACE").replace(
            b"PLACE",
            f"{SEEN} \\u003cprivate\\u003e{word}\\u003c\\/private\\u003e {spelled}".encode(),
        )
        self.add(line, b"\xef\xbb\xbf" + demo.user_line(f"{SEEN} {self.secret()}"))
        self.add(demo.user_line(f"{SEEN} {self.secret()}").replace(b"\n", b"\r\n"))
        self.add(demo.user_line(f"{SEEN} {self.secret()}").replace(SEEN.encode(), b"\xff\xfe", 1))

    def large(self) -> Plant:
        """A payload beside the journal, and a line that goes there by streaming."""
        text = f"{SEEN} {self.secret()} " + "filler " * 2_000
        source = {"type": "text", "media_type": "text/plain", "data": text}
        self.add(_message([{"type": "document", "source": source}]))
        self.add(demo.user_line("word " * 20_000 + self.secret() + " word" * 20_000))
        self.add(demo.user_line(self.secret() + " word" * 40_000))
        return self


def _line(record: Any) -> bytes:
    return json.dumps(record, ensure_ascii=False).encode() + b"\n"


def _message(content: list[Any]) -> bytes:
    message = {"role": "user", "content": content}
    return _line({"type": "user", "uuid": "u", "timestamp": moment(1), "message": message})


def assert_gone(home: Home, hidden: list[str]) -> None:
    found = {secret: places for secret in hidden if (places := where(home, secret))}
    assert not found


SMALL_LINES: Final = {"HOLDFAST_INGEST__MAX_LINE_BYTES": "65536"}


def test_nothing_of_it_is_kept_by_an_import(home: Home) -> None:
    plant = Plant(1).everywhere().large()
    home.write_log(NAME, *plant.lines)
    report = home.ok("import", "--json", env=SMALL_LINES).json
    assert report["bytes"]["seen"] == sum(map(len, plant.lines))  # of the log, not of what is left
    assert not report["problems"]
    assert len(where(home, SEEN)) > 1  # the search finds what is there
    assert_gone(home, plant.hidden)
    assert report["bytes"]["bad"] == sum(
        len(line) for line in plant.lines if line.startswith((b"no json", b'{"type":"user","half"'))
    )


def test_nothing_of_it_is_kept_by_a_tail(home: Home) -> None:
    first, second = Plant(2).everywhere(), Plant(3).everywhere().large()
    home.write_log(NAME, *first.lines)
    with home.daemon(env=SMALL_LINES) as daemon:
        daemon.wait_for(NAME, 20)
        events = daemon.events(NAME)
        content = b"".join(second.lines) + talk(1, words="the end")[0]
        for at in range(0, len(content), 5_000):  # torn wherever it may be
            home.append_log(NAME, content[at : at + 5_000])
        until(lambda: home.ok("search", "the end", "--json").json, "the last line is there")
        assert daemon.events(NAME) > events
        status = daemon.status()
        assert status["privacy"]["redactions"]["private"] > 10
        assert sum(status["privacy"]["redactions"].values()) > 20
        assert_gone(home, first.hidden + second.hidden)
        for secret in first.hidden + second.hidden:
            assert secret not in home.export(NAME).decode()
    assert_gone(home, first.hidden + second.hidden)


def test_a_log_that_is_written_anew_brings_nothing_back(home: Home) -> None:
    plant = Plant(4).everywhere()
    home.write_log(NAME, *plant.lines)
    home.ok("import")
    before = home.sessions()[NAME]["events"]
    home.write_log(NAME, *talk(1, words="before all"), *plant.lines)
    home.ok("import")
    assert home.sessions()[NAME]["events"] == before + 1
    assert_gone(home, plant.hidden)


# What was stored before the door was there.


def imported_open(home: Home, *lines: bytes) -> None:
    """As an older holdfast stored it."""
    off = {"HOLDFAST_PRIVACY__SECRETS": "false", "HOLDFAST_PRIVACY__PRIVATE_TAGS": "false"}
    home.write_log(NAME, *lines, *talk(3, start=5, words=SEEN))
    home.write_log("t", *talk(2, words=SEEN))
    home.ok("import", env={**off, **SMALL_LINES})


def broken_free(plant: Plant) -> list[bytes]:
    """Without the lines that nothing is kept of."""
    return [line for line in plant.lines if not line.startswith((b"no json", b'{"type":"user","h'))]


@pytest.fixture
def stored(home: Home) -> tuple[Home, Plant]:
    plant = Plant(5).everywhere().large()
    plant.add(*talk(2_000, words=planted.tokens(Random(1))[9].text + " lantern"))
    plant.hidden.append(planted.tokens(Random(1))[9].secret)
    imported_open(home, *broken_free(plant))
    kept = [secret for secret in plant.hidden if where(home, secret)]
    assert len(kept) > 40  # the search would find what is there
    return home, plant


def test_redact_takes_out_what_is_stored(stored: tuple[Home, Plant]) -> None:
    home, plant = stored
    before = home.sessions()
    home.ok("search", plant.hidden[0], "--json")
    would = home.ok("redact", "--all", "--dry-run", "--json").json
    assert would["dry_run"]
    assert any(where(home, secret) for secret in plant.hidden)
    report = home.ok("redact", "--all", "--json").json
    assert_gone(home, plant.hidden)
    assert [each["session"] for each in report["sessions"]] == [sid(NAME)]
    assert report["found"]["private"] > 10
    assert report["blobs"] >= 3
    for key in ("events", "found", "sessions", "blobs"):
        assert would[key] == report[key]
    after = home.sessions()
    for name, row in before.items():
        assert after[name]["events"] == row["events"]
    again = home.ok("redact", "--all", "--json").json
    assert (again["found"], again["events"], again["blobs"]) == ({}, 0, 0)
    with home.reader() as reader:
        assert reader.check() == []
        assert [event.seq for event in reader.events(sid(NAME))] == list(range(row_count(after)))
        for blob in reader.blobs():
            assert os.path.exists(
                os.path.join(home.paths.blobs, blob.digest[:2], f"{blob.digest}.zst")
            )
    assert home.ok("search", SEEN, "--json").json
    assert not home.run("search", plant.hidden[-1], "--json").json


def row_count(sessions: dict[str, dict[str, Any]]) -> int:
    count: int = sessions[NAME]["events"]
    return count


def test_redact_through_the_daemon_while_the_session_goes_on(stored: tuple[Home, Plant]) -> None:
    home, plant = stored
    with home.daemon() as daemon:
        home.append_log(NAME, *talk(5, start=50_000, words="resident"))
        until(lambda: home.ok("search", "resident", "--json").json, "the session is resident")
        home.ok("redact", sid(NAME), "--json")
        home.append_log(NAME, *talk(5, start=60_000, words="afterwards"))
        until(lambda: home.ok("search", "afterwards", "--json").json, "it goes on")
        assert_gone(home, plant.hidden)
        export = home.export(NAME).decode()
        for secret in plant.hidden:
            assert secret not in export
        for row in home.client.get("/v1/sessions"):
            assert not any(secret in json.dumps(row) for secret in plant.hidden)
        assert daemon.status()["privacy"]["redactions"]["private"] > 10
        assert not daemon.status()["problems"]
    assert_gone(home, plant.hidden)


def test_what_was_redacted_does_not_come_back(stored: tuple[Home, Plant]) -> None:
    home, plant = stored
    home.ok("redact", "--all")
    events = home.sessions()[NAME]["events"]
    home.ok("import")
    with open(home.log_path(NAME), "rb") as file:
        content = file.read()
    home.write_log(NAME, *talk(1, words="before all"), content)  # every line is read again
    home.ok("import", env=SMALL_LINES)
    assert_gone(home, plant.hidden)
    # Tags that were open over the parts of one record were cut part by part when it was stored.
    assert events < home.sessions()[NAME]["events"] <= events + 10


def test_redact_by_a_pattern_of_the_moment(home: Home) -> None:
    home.write_log(NAME, *talk(3, words="the Nautilus project"))
    home.ok("import")
    assert where(home, "nautilus")
    told = home.ok("redact", NAME, "--pattern", "Nautilus [a-z]+")
    assert "extra = ['internal=Nautilus [a-z]+']" in told.err
    assert not where(home, "nautilus")
    assert "the [redacted:pattern] 1" in home.export(NAME).decode()
    assert home.run("redact", NAME, "--pattern", "^x").code == 2
    assert home.run("redact", NAME, "--pattern", "(").code == 2
    assert home.run("redact").code == 2
    assert home.run("redact", "--all", NAME).code == 2
    assert home.run("redact", "nobody").code == 4
