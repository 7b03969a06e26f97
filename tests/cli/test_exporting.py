"""`export`: one session or many, whole or in part, and what it says of what went wrong."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest

from holdfast.demo import lines
from tests.support.home import Home, moment, sid, talk

REEF = "/home/hana/src/reef"


@pytest.fixture
def kept(home: Home) -> Home:
    home.write_log(
        "alpha",
        lines.user_line("why is the zebra asleep", session="alpha", at=moment(1)),
        lines.thinking_line("deep thoughts", session="alpha", at=moment(2)),
        lines.assistant_line("I look first.", session="alpha", at=moment(3)),
        lines.tool_use_line("Bash", {"command": "ls"}, session="alpha", use="t", at=moment(4)),
        lines.tool_result_line("zebra.txt", session="alpha", use="t", at=moment(5)),
        lines.assistant_line("It is night.", session="alpha", at=moment(6)),
    )
    home.write_log(
        "beta",
        lines.user_line("about kelp", session="beta", cwd=REEF, at=moment(86_400 * 3)),
        project="-reef",
    )
    home.ok("import", "--quiet")
    return home


def files(home: Home, folder: str) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in Path(home.folder, folder).iterdir()}


def kinds(exported: bytes) -> list[str]:
    return [json.loads(line)["kind"] for line in exported.splitlines()]


# What is shown.


def test_lines_have_everything_unless_told_otherwise(kept: Home) -> None:
    assert "thinking" in kinds(kept.ok("export", "alpha", "-f", "jsonl").out)
    fewer = kinds(kept.ok("export", "alpha", "-f", "jsonl", "--no-thinking", "--no-tools").out)
    assert fewer == ["message.user", "message.assistant", "message.assistant"]


@pytest.mark.parametrize("form", ["markdown", "html"])
def test_documents_have_what_the_settings_say_unless_told_otherwise(kept: Home, form: str) -> None:
    def text(*options: str) -> str:
        exported = kept.ok("export", "alpha", "-f", form, *options).text
        return exported.partition("<main")[2] if form == "html" else exported

    assert "deep thoughts" not in text()
    assert "deep thoughts" in text("--thinking")
    assert "zebra.txt" not in text("--no-tools")
    assert "I look first." not in text("--no-commentary")
    kept.config("[recording]\ninclude_commentary = false\ninclude_thinking = true\n")
    assert "I look first." not in text()
    assert "I look first." in text("--commentary")
    assert "deep thoughts" in text()


def test_kinds_can_be_named(kept: Home) -> None:
    asked = kept.ok("export", "alpha", "-f", "jsonl", "--kind", "message.*", "--kind", "thinking")
    assert kinds(asked.out) == [
        "message.user",
        "thinking",
        "message.assistant",
        "message.assistant",
    ]
    assert "deep thoughts" in kept.ok("export", "alpha", "--kind", "thinking").text
    wrong = kept.run("export", "alpha", "--kind", "message.usr")
    assert wrong.code == 2
    assert "message.user" in wrong.err


def test_a_stretch_of_time_can_be_named(kept: Home) -> None:
    def texts(*options: str) -> list[str]:
        out = kept.ok("export", "alpha", "-f", "jsonl", *options).out
        return [json.loads(line)["text"] for line in out.splitlines()]

    assert texts("--since", moment(6)) == ["It is night."]
    assert texts("--until", moment(2)) == ["why is the zebra asleep"]
    assert texts("--since", "1m") == []


def test_an_export_is_the_same_with_and_without_a_daemon(kept: Home) -> None:
    def exports() -> list[bytes]:
        return [kept.ok("export", "alpha", "-f", f).out for f in ("markdown", "html", "jsonl")]

    without = exports()
    with kept.daemon():
        assert exports() == without


# Where it goes.


def test_one_session_goes_into_a_folder_that_need_not_be_there(kept: Home) -> None:
    kept.ok("export", "beta", "-o", "new/", "-f", "html")
    (name,) = files(kept, "new")
    assert name == f"2026-01-04-claude-about-kelp-{sid('beta')}.html"


def test_all_sessions_go_into_a_folder_with_an_index(kept: Home) -> None:
    for form, ending in (("markdown", "md"), ("html", "html"), ("jsonl", "jsonl")):
        done = kept.ok("export", "--all", "-f", form, "-o", f"{form}/", "--json").json
        written = files(kept, form)
        assert len(written) == 3
        assert done["problems"] == []
        assert done["index"] == f"{form}/index.{ending}"
        for each in done["written"]:
            assert os.path.getsize(os.path.join(kept.folder, each["file"])) == each["bytes"]
            single = kept.ok("export", each["session"], "-f", form).out
            assert written[os.path.basename(each["file"])] == single
        kept.ok("export", "--all", "-f", form, "-o", form)
        assert files(kept, form) == written, "again, and nothing changes"
    (first, second) = [
        json.loads(line) for line in files(kept, "jsonl")["index.jsonl"].splitlines()
    ]
    assert [first["agent_session_id"], second["agent_session_id"]] == ["beta", "alpha"]
    assert first["file"] in files(kept, "jsonl")


def test_the_index_counts_what_a_fork_begins_with(home: Home) -> None:
    home.write_log("origin", *talk(3))
    home.ok("import", "--quiet")
    os.rename(home.log_path("origin"), home.log_path("fork"))
    home.append_log("fork", *talk(1, start=3))
    home.ok("import", "--quiet")
    home.ok("export", sid("fork"), sid("origin"), "-f", "jsonl", "-o", "out/")
    written = files(home, "out")
    for row in map(json.loads, written.pop("index.jsonl").splitlines()):
        assert row["events"] == len(written[row["file"]].splitlines())


@pytest.mark.parametrize(
    ("options", "wanted"),
    [
        (("--project", "reef"), {"beta"}),
        (("--agent", "claude"), {"alpha", "beta"}),
        (("--since", moment(86_400)), {"beta"}),
        (("--all", "--until", moment(86_400)), {"alpha"}),
        (("alpha", "beta", "alpha"), {"alpha", "beta"}),
    ],
)
def test_sessions_are_chosen(kept: Home, options: tuple[str, ...], wanted: set[str]) -> None:
    done: Any = kept.ok("export", *options, "-o", "some/", "--json").json
    assert {each["session"] for each in done["written"]} == {sid(name) for name in wanted}


def test_when_none_fits_nothing_is_written(kept: Home) -> None:
    nothing = kept.ok("export", "--project", "nowhere", "-o", "some/")
    assert "No session fits" in nothing.err
    assert not Path(kept.folder, "some").exists()


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ((), "nothing to export"),
        (("--all",), "-o FOLDER/"),
        (("a", "b"), "-o FOLDER/"),
        (("a", "--all", "-o", "x/"), "or choose"),
        (("a", "--json"), "-o PATH"),
    ],
)
def test_options_that_do_not_go_together_are_refused(
    kept: Home, options: tuple[str, ...], said: str
) -> None:
    refused = kept.run("export", *options)
    assert refused.code == 2
    assert said in refused.err


# What goes wrong.


def test_one_that_is_not_there_does_not_keep_the_others(kept: Home) -> None:
    done = kept.run("export", "alpha", "nobody", "beta", "-o", "some/", "--json")
    assert done.code == 4
    assert len(done.json["written"]) == 2
    (problem,) = done.json["problems"]
    assert (problem["session"], problem["exit"]) == ("nobody", 4)
    assert "Not exported: nobody" in done.err
    assert len(files(kept, "some")) == 3


def test_one_that_cannot_be_written_does_not_keep_the_others(kept: Home) -> None:
    name = f"2026-01-04-claude-about-kelp-{sid('beta')}.md"
    os.makedirs(os.path.join(kept.folder, "some", name))
    done = kept.run("export", "--all", "-o", "some/")
    assert done.code == 1
    assert f"Not exported: {sid('beta')}" in done.err
    index = Path(kept.folder, "some", "index.md").read_text("utf-8")
    assert sid("alpha") in index
    assert sid("beta") not in index


def test_a_folder_that_is_not_allowed_is_refused_before_the_work(kept: Home) -> None:
    elsewhere = os.path.join(kept.folder, "elsewhere")
    kept.config(f'[recording]\nallowed_write_roots = ["{kept.folder}/here"]\n')
    refused = kept.run("export", "--all", "-o", elsewhere)
    assert refused.code == 9
    assert refused.err.count("refused to write") == 1
    assert not os.path.exists(elsewhere)


def test_no_draft_is_left_behind(kept: Home) -> None:
    kept.ok("export", "--all", "-o", "some/")
    assert [name for name in files(kept, "some") if name.startswith(".")] == []


def test_a_file_that_is_there_is_replaced_only_by_force(kept: Home) -> None:
    diary = Path(kept.folder, "diary.md")
    diary.write_text("my diary")
    refused = kept.run("export", "alpha", "-o", str(diary))
    assert refused.code == 9
    assert "--force" in refused.err
    assert diary.read_text() == "my diary"
    kept.ok("export", "alpha", "-o", str(diary), "--force")
    assert "zebra" in diary.read_text()


def test_what_holdfast_keeps_and_reads_is_never_written_over(kept: Home) -> None:
    places = [kept.paths.journal, kept.paths.config_file, kept.log_path("alpha")]
    for place in places:
        before = Path(place).read_bytes() if os.path.exists(place) else None
        refused = kept.run("export", "beta", "-f", "jsonl", "-o", place, "--force")
        assert refused.code == 9, place
        assert before == (Path(place).read_bytes() if os.path.exists(place) else None)


def test_the_ending_says_the_format_and_must_not_contradict_it(kept: Home) -> None:
    page = Path(kept.folder, "talk.html")
    kept.ok("export", "alpha", "-o", str(page))
    assert page.read_bytes().startswith(b"<!doctype html>")
    refused = kept.run("export", "alpha", "-f", "jsonl", "-o", str(page))
    assert refused.code == 2


def test_secrets_that_are_stored_are_left_out_on_request(home: Home) -> None:
    key = "AKIA" + "Z7Q2" * 4
    home.write_log("s", lines.user_line(f"it is {key} here", session="s", at=moment(1)))
    home.ok("import", "--quiet", env={"HOLDFAST_PRIVACY__SECRETS": "false"})
    assert key.encode() in home.ok("export", "s", "-f", "jsonl").out
    for form in ("jsonl", "markdown", "html"):
        for switched in ({}, {"HOLDFAST_PRIVACY__SECRETS": "false"}):
            told = home.ok("export", "s", "-f", form, "--redact", env=switched).out
            assert key.encode() not in told
            assert b"redacted:" in told


def test_redact_says_what_it_does_not_look_for(home: Home) -> None:
    key = "AKIA" + "Z7Q2" * 4
    home.write_log("s", lines.user_line(f"it is {key} here", session="s", at=moment(1)))
    off = {"HOLDFAST_PRIVACY__SECRETS": "false"}
    home.ok("import", "--quiet", env=off)
    told = home.ok("redact", "s", env=off).err
    assert "Nothing to take out of 1 session." in told
    assert "since privacy.secrets is off: secrets." in told
    assert home.ok("redact", "s", "--json", env=off).json["switched_off"] == ["secrets"]
    assert "is off" not in home.ok("redact", "s").err
