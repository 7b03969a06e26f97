"""The journal and its payloads, damaged in every way that has a check."""

from __future__ import annotations

import base64
import os
from pathlib import Path

import pytest

from holdfast.demo import lines
from tests.support import damage, doctors
from tests.support.home import Home, talk

PICTURES = [b"\x89PNG\r\n\x1a\n" + bytes([number]) * 9_000 for number in range(3)]


@pytest.fixture
def kept(home: Home) -> Home:
    home.write_log("alpha", *talk(300, words="barnacle " + "reef " * 40))
    for number, picture in enumerate(PICTURES):
        home.write_log(f"p{number}", lines.image_line("x", base64.b64encode(picture).decode()))
    home.ok("import", "--quiet", env={"HOLDFAST_SNAPSHOTS__BLOCK_BYTES": "16384"})
    return home


def payloads(home: Home) -> list[Path]:
    return sorted(Path(home.paths.blobs).glob("??/*.zst"))


def test_a_sound_journal_is_looked_at_and_said_to_be_sound(kept: Home) -> None:
    found = doctors.look(kept)
    assert doctors.bad(found) == {}
    facts = found["integrity"].evidence
    assert facts["structure_finished"] is True
    assert facts["blocks"] == facts["blocks_checked"] != 0
    assert found["payload-content"].evidence["checked"] == 3
    assert found["index"].evidence["index_lag_events"] == 0


def test_a_damaged_block_is_a_problem_and_names_its_place(kept: Home) -> None:
    position = damage.turn_a_bit(kept.paths.journal)
    found = doctors.look(kept)
    assert doctors.bad(found) == {"integrity": "problem"}
    assert f"position {position}:" in found["integrity"].particulars[0]


def test_a_damaged_index_is_a_problem(kept: Home) -> None:
    damage.blank_words(kept.paths.journal)
    assert doctors.look(kept)["integrity"].verdict == "problem"


def test_a_file_that_is_no_database_is_a_problem_and_the_rest_is_looked_at(kept: Home) -> None:
    Path(kept.paths.journal).write_bytes(b"no database at all " * 1_000)
    for end in ("-wal", "-shm"):
        Path(kept.paths.journal + end).unlink(missing_ok=True)
    found = doctors.look(kept)
    assert found["journal"].verdict == "problem"
    assert "permissions" in found
    assert kept.run("doctor").code == 12


def test_a_search_that_takes_too_long_is_given_up_and_full_is_not(kept: Home) -> None:
    found = doctors.look(kept, limit_s=-1.0)
    assert found["integrity"].verdict == "unknown"
    assert "--full" in found["integrity"].remedies[0]
    assert doctors.look(kept, limit_s=-1.0, full=True)["integrity"].verdict == "ok"


def test_payloads_that_are_missing_or_cut_short_are_problems(kept: Home) -> None:
    first, second, _third = payloads(kept)
    first.unlink()
    os.truncate(second, second.stat().st_size - 1)
    found = doctors.look(kept)
    assert doctors.bad(found)["payloads"] == "problem"
    assert found["payloads"].evidence["missing"] == 1
    assert found["payloads"].evidence["other_size"] == 1
    assert set(found["payloads"].particulars) == {first.stem, second.stem}


def test_a_payload_of_other_content_is_found(kept: Home) -> None:
    first, second, _third = payloads(kept)
    content = bytearray(first.read_bytes())
    other = second.read_bytes()
    if len(other) == len(content):
        first.write_bytes(other)
    else:
        content[len(content) // 2] ^= 1
        first.write_bytes(bytes(content))
    found = doctors.look(kept)
    assert found["payload-content"].verdict == "problem"
    assert first.stem in found["payload-content"].particulars[0]


def test_what_an_import_that_was_killed_has_left_is_counted(kept: Home) -> None:
    stray = Path(kept.paths.blobs) / "ab" / ("ab" + "0" * 38 + ".zst")
    stray.parent.mkdir(exist_ok=True)
    stray.write_bytes(b"x")
    half = Path(kept.paths.blobs) / ".partial-1"
    half.write_bytes(b"x")
    assert doctors.look(kept)["payload-leftovers"].evidence["unreferenced"] == 0, "it is too young"
    for path in (stray, half):
        os.utime(path, (1e9, 1e9))
    found = doctors.look(kept)["payload-leftovers"]
    assert (found.evidence["unreferenced"], found.evidence["unfinished"]) == (1, 1)
    assert found.verdict == "ok", "it costs a byte"
    os.truncate(stray, 65 << 20)
    os.utime(stray, (1e9, 1e9))
    assert doctors.look(kept)["payload-leftovers"].verdict == "warning"


def test_a_write_ahead_log_that_cannot_be_emptied_is_told(kept: Home) -> None:
    """It may be as long as its bound, and a commit longer."""
    with open(f"{kept.paths.journal}-wal", "ab") as file:
        file.truncate(100 << 20)
        assert doctors.look(kept)["write-ahead-log"].verdict == "ok"
        file.truncate(129 << 20)
    assert doctors.look(kept)["write-ahead-log"].verdict == "warning"
    kept.env["HOLDFAST_JOURNAL__WAL_MAX_BYTES"] = str(128 << 20)
    assert doctors.look(kept)["write-ahead-log"].verdict == "ok"


def test_copies_of_the_journal_are_counted_and_unfinished_ones_told(kept: Home) -> None:
    assert doctors.look(kept)["backups"].evidence["copies"] == 0
    copy = Path(f"{kept.paths.journal}.schema-3.backup")
    copy.write_bytes(b"x" * 10)
    found = doctors.look(kept)["backups"]
    assert (found.verdict, found.evidence["copies"], found.evidence["bytes"]) == ("ok", 1, 10)
    copy.rename(f"{copy}.partial")
    assert doctors.look(kept)["backups"].verdict == "warning"


def test_a_journal_that_was_emptied_is_not_told_as_if_there_were_none(home: Home) -> None:
    home.ok("import", "--quiet")
    Path(home.paths.journal).write_bytes(b"")
    found = doctors.look(home)["journal"]
    assert (found.verdict, found.said) == ("problem", "the journal is an empty file")
    status = home.ok("status", "--json").json
    assert "is an empty file" in status["problems"][0]
    refused = home.run("sessions")
    assert "put a backup in its place" in refused.err
