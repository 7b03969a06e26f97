"""From what was typed to the file that it means."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from holdfast.errors import HoldfastError
from holdfast.journal.model import SessionRow
from holdfast.recording.destinations import Destination, Destinations, Rules
from holdfast.recording.naming import NAME_BYTES_MAX, file_name, numbered
from holdfast.recording.policy import WriteFailed, WriteRefused

AT = "2026-11-20T14:05:06.000Z"


def row(**fields: Any) -> SessionRow:
    about = {
        "id": "4fz2",
        "agent": "claude",
        "agent_session_id": "s",
        "title": "Flaky: ../nightly export?",
        "project": "/home/hana/src/tidepool",
    }
    return SessionRow(**{**about, **fields})


class Machine:
    def __init__(self, folder: Path) -> None:
        self.home = folder / "home"
        self.cwd = self.home / "proj"
        self.logs = self.home / ".claude" / "projects"
        for each in (self.cwd, self.logs):
            each.mkdir(parents=True)

    def choose(self, typed: str, cwd: str | None = None, **how: Any) -> Destination:
        rules = Rules(
            allowed_write_roots=("~", "."),
            default_folder="~/talks",
            filename_template="{date}-{title}-{session}",
            form=how.pop("form", "markdown"),
            home=str(self.home),
            config_file="config.toml",
            guarded=(str(self.logs),),
        )
        about: dict[str, Any] = {
            "cwd": str(self.cwd) if cwd is None else cwd,
            "row": row(),
            "at": AT,
            "forms": ("markdown", "jsonl"),
            "is_taken": lambda _path: False,
        }
        return Destinations(rules).choose(typed, **{**about, **how})


@pytest.fixture
def machine(tmp_path: Path) -> Machine:
    return Machine(tmp_path.resolve())


NAME = "2026-11-20-flaky-nightly-export-4fz2.md"


@pytest.mark.parametrize(
    ("typed", "path", "form"),
    [
        ("notes.md", "proj/notes.md", "markdown"),
        ("a/b.MARKDOWN", "proj/a/b.MARKDOWN", "markdown"),
        ("../x.jsonl", "x.jsonl", "jsonl"),
        ("~/x.jsonl", "x.jsonl", "jsonl"),
        ("notes", "proj/notes.md", "markdown"),
        ("cost-$5 100%.md", "proj/cost-$5 100%.md", "markdown"),
        ("a:b.md", "proj/a:b.md", "markdown"),
        ("run.sh", "proj/run.sh.md", "markdown"),
        ("~/.bashrc", ".bashrc.md", "markdown"),
        ("v1.2 notes", "proj/v1.2 notes.md", "markdown"),
        ("", f"talks/{NAME}", "markdown"),
        (".", f"proj/{NAME}", "markdown"),
        ("..", NAME, "markdown"),
        ("~", NAME, "markdown"),
        ("new folder/", f"proj/new folder/{NAME}", "markdown"),
        ("../proj", f"proj/{NAME}", "markdown"),
    ],
)
def test_what_was_typed_becomes_a_file(machine: Machine, typed: str, path: str, form: str) -> None:
    assert machine.choose(typed) == Destination(str(machine.home / path), form)


def test_the_format_of_the_settings_is_for_names_without_one(machine: Machine) -> None:
    assert machine.choose("notes", form="jsonl").path.endswith("notes.jsonl")
    assert machine.choose("", form="jsonl").path.endswith("4fz2.jsonl")
    assert machine.choose("notes.md", form="jsonl").form == "markdown"


def test_a_generated_name_that_is_taken_gets_a_number(machine: Machine) -> None:
    (machine.cwd / NAME).touch()
    second = machine.choose("./").path
    assert second.endswith("-4fz2-2.md")
    assert machine.choose("./", is_taken=lambda path: path == second).path.endswith("-3.md")


@pytest.mark.parametrize(
    ("typed", "error", "says"),
    [
        ("/etc/x.md", WriteRefused, "allowed_write_roots"),
        ("../../x.md", WriteRefused, "allowed_write_roots"),
        ("~/.claude/projects/p/s.jsonl", WriteRefused, "itself reads"),
        ("~/.claude/projects/", WriteRefused, "itself reads"),
        ("~bob/x.md", WriteFailed, "only ~/"),
        ("x.html", WriteFailed, ".jsonl"),
        ("https://example.org/a.md", WriteFailed, "address"),
        ("$HOME/x.md", WriteFailed, "variables"),
        ("${HOME}/x.md", WriteFailed, "variables"),
        ("/srv/$USER/x.md", WriteFailed, "variables"),
        ("%USERPROFILE%/x.md", WriteFailed, "variables"),
        ("C:\\notes\\x.md", WriteFailed, "told apart by /"),
        ("C:/notes/x.md", WriteFailed, "told apart by /"),
        ("\\\\server\\x.md", WriteFailed, "told apart by /"),
        ("notes\\x.md", WriteFailed, "told apart by /"),
        ("a\0b.md", WriteFailed, "not a path"),
    ],
)
def test_where_nothing_is_written(
    machine: Machine, typed: str, error: type[HoldfastError], says: str
) -> None:
    with pytest.raises(error, match=says):
        machine.choose(typed)


def test_a_link_into_the_logs_leads_nowhere(machine: Machine) -> None:
    os.symlink(machine.logs, machine.cwd / "way")
    with pytest.raises(WriteRefused, match="itself reads"):
        machine.choose("way/s.jsonl")


@pytest.mark.parametrize("cwd", ["", "relative", "/gone/for/good"])
def test_a_relative_path_needs_a_folder_to_start_from(machine: Machine, cwd: str) -> None:
    with pytest.raises(WriteFailed, match="begins with /"):
        machine.choose("notes.md", cwd)
    assert machine.choose("~/notes.md", cwd).path == str(machine.home / "notes.md")
    assert machine.choose("", cwd).path == str(machine.home / "talks" / NAME)


@pytest.mark.parametrize(
    ("template", "name"),
    [
        ("{date}", "2026-11-20.md"),
        ("{date}_{time} {agent} {project}", "2026-11-20_140506 claude tidepool.md"),
        ("talk-{session}", "talk-4fz2.md"),
        ("../{title}", "flaky-nightly-export.md"),
    ],
)
def test_templates(template: str, name: str) -> None:
    assert file_name(template, row(), AT, ".md") == name


def test_what_is_empty_leaves_no_gap() -> None:
    bare = row(title="", project="")
    assert file_name("{date}-{title}-{session}", bare, AT, ".md") == "2026-11-20-4fz2.md"
    assert file_name("{title}", bare, AT, ".md") == "4fz2.md"


@given(st.text(), st.text())
def test_a_generated_name_is_a_plain_name(title: str, project: str) -> None:
    name = file_name("{title}-{project}", row(title=title, project=project), AT, ".md")
    assert "/" not in name
    assert not name.startswith((".", "-"))
    assert all(char.isprintable() for char in name)
    assert len(name.encode()) <= NAME_BYTES_MAX + 3


def test_numbers_end_somewhere() -> None:
    assert numbered("a.md", lambda _path: True) == "a-1001.md"
