"""The bundle: for this user alone, nothing replaced, and nothing in it of what people wrote."""

from __future__ import annotations

import json
import os
import stat
import tarfile
from pathlib import Path
from typing import Any, Final

import pytest

from holdfast.clock import instant
from holdfast.demo import lines
from tests.support.home import Home, sid, talk
from tests.support.waiting import until

CANARIES: Final = (
    "zebracanary",  # a message
    "quaggacanary",  # a title
    "okapicanary",  # a project's folder
    "tapircanary",  # a recording's name
    "lemurcanary",  # a record type that no rule knows
    "ibexcanary",  # a log that cannot be read
    "gnucanary",  # a setting that is free text
    "dodocanary",  # a command that is refused
    "mothcanary",  # a line that is no record
)
PROJECT: Final = "-home-hana-okapicanary"


def unpacked(path: str) -> dict[str, bytes]:
    with tarfile.open(path) as archive:
        found = {}
        for member in archive.getmembers():
            file = archive.extractfile(member)
            assert file is not None
            assert member.mode == 0o600
            found[member.name.removeprefix("holdfast-doctor/")] = file.read()
        return found


@pytest.fixture
def secretive(home: Home) -> Home:
    cwd = os.path.join(home.folder, "okapicanary")
    os.makedirs(cwd)
    home.config(
        f'[recording]\ndefault_folder = "{home.folder}/gnucanary"\n'
        '[privacy]\nextra = ["gnucanary=gnucanary[0-9]+"]\n[daemon]\nmax_memory_mb = 180\n'
        '[sources.claude]\nexclude_projects = ["/gnucanary/**"]\n'
    )
    home.write_log(
        "talk",
        *talk(3, words="zebracanary", session="talk"),
        lines.title_line("quaggacanary", session="talk"),
        json.dumps({"type": "lemurcanary", "lemurcanary": 1}).encode() + b"\n",
        b"{mothcanary\n",
        project=PROJECT,
    )
    os.makedirs(home.log_path("ibexcanary", PROJECT))  # a folder where a log should be
    home.ok("import", "--quiet")
    return home


def disturb(home: Home) -> None:
    """What is written to the logs of holdfast while it runs."""
    name = sid("talk")
    home.ok("capture", name, os.path.join(home.folder, "tapircanary.md"))
    home.run("capture", name, "/etc/dodocanary.md")
    home.append_log(
        "talk",
        lines.user_line("::capture /etc/dodocanary.md", session="talk", at=instant()),
        lines.user_line(f"::export {home.folder}/tapircanary-2.md", session="talk", at=instant()),
        project=PROJECT,
    )
    until(
        lambda: home.ok("status", "--json").json["recordings"]["commands_refused"] >= 2,
        "the commands have had their turn",
    )
    os.unlink(os.path.join(home.folder, "tapircanary.md"))


@pytest.mark.parametrize("with_daemon", [True, False], ids=["with a daemon", "without a daemon"])
def test_nothing_that_people_wrote_is_in_it(secretive: Home, *, with_daemon: bool) -> None:
    home, target = secretive, os.path.join(secretive.folder, "bundle.tar.gz")
    with home.daemon() as daemon:
        disturb(home)
        with open(home.paths.crash_file, "w", encoding="utf-8") as file:
            file.write(
                'Traceback\n  File "/okapicanary/x.py", line 1, in f\nValueError: zebracanary'
            )
        if not with_daemon:
            daemon.kill()
        done = home.run("doctor", "--bundle", target)
    assert "Wrote " in done.err
    members = unpacked(target)
    assert set(members) >= {
        "README.txt", "doctor.json", "status.json", "settings.json", "logs/holdfast.log.jsonl",
        "logs/audit.jsonl", "crash.txt",
    }  # fmt: skip
    for name, content in members.items():
        for canary in CANARIES:
            assert canary.encode() not in content.lower(), f"{canary} in {name}"
        assert home.folder.encode() not in content, name
    kept = b"".join(each.read_bytes() for each in Path(home.paths.logs).iterdir())
    for canary in ("tapircanary", "dodocanary"):
        assert canary.encode() in kept, "else this test shows nothing"


def test_what_a_report_needs_is_in_it(secretive: Home) -> None:
    target = os.path.join(secretive.folder, "bundle.tar.gz")
    with secretive.daemon():
        secretive.run("doctor", "--bundle", target)
    members = unpacked(target)

    def told(name: str) -> Any:
        return json.loads(members[name])

    settings = told("settings.json")
    assert settings["daemon.max_memory_mb"] == {"value": 180, "origin": "file"}
    assert settings["daemon.heartbeat_ms"]["origin"] == "default"
    assert settings["privacy.extra"] == {"value": "(set, 1 items)", "origin": "file"}
    assert settings["recording.default_folder"]["value"].startswith("(set, ")
    assert settings["recording.format"]["value"] == "markdown"
    status = told("status.json")
    assert status["memory"]["budget_bytes"] == 180 << 20
    assert status["sessions"]["newest"][0]["id"] == sid("talk")
    assert {each["agent"]: each["files"] for each in status["sources"]}["claude"] >= 1
    checks = {each["id"]: each for each in told("doctor.json")["checks"]}
    assert checks["versions"]["evidence"]["python"]
    assert not any(each["particulars"] for each in checks.values())
    events = [json.loads(line)["event"] for line in members["logs/holdfast.log.jsonl"].splitlines()]
    assert "daemon.starting" in events


def test_it_is_for_this_user_alone_and_replaces_nothing_unless_told(home: Home) -> None:
    target = os.path.join(home.folder, "bundle.tar.gz")
    os.umask(0o022)
    home.ok("doctor", "--bundle", target)
    assert stat.S_IMODE(os.stat(target).st_mode) == 0o600
    with open(target, "wb") as file:
        file.write(b"mine")
    refused = home.run("doctor", "--bundle", target)
    assert refused.code == 9
    assert "--force" in refused.err
    with open(target, "rb") as file:
        assert file.read() == b"mine"
    home.ok("doctor", "--bundle", target, "--force")
    assert "README.txt" in unpacked(target)
    assert [each for each in os.listdir(home.folder) if "partial" in each] == []


def test_a_place_that_cannot_be_written_is_told_and_leaves_nothing(home: Home) -> None:
    done = home.run("doctor", "--bundle", os.path.join(home.folder, "not/there.tar.gz"))
    assert done.code == 1
    assert "No such file or directory" in done.err
    assert home.run("doctor", "--force").code == 2


def test_with_a_wrong_configuration_there_is_a_bundle_all_the_same(home: Home) -> None:
    home.config('[daemon]\nmax_memory_mb = "gnucanary"\n')
    target = os.path.join(home.folder, "bundle.tar.gz")
    assert home.run("doctor", "--bundle", target).code == 12
    members = unpacked(target)
    assert not any(b"gnucanary" in content for content in members.values())
    assert json.loads(members["settings.json"]) == {"wrong": True}
