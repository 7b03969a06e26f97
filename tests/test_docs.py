"""The documentation is held to the program: what can be said of both must be said in both."""

from __future__ import annotations

import argparse
import ast
import json
import re
import shlex
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any, Final

import pytest

import holdfast
from holdfast.cli.main import make_parser
from holdfast.errors import Exit
from holdfast.events import KINDS
from holdfast.settings import describe
from holdfast.sources.agents import copilot, pi, qwen
from holdfast.sources.agents.claude import parser as claude
from holdfast.sources.agents.cline import parser as cline
from holdfast.sources.agents.cline import words as cline_words
from holdfast.sources.agents.codex import parser as codex
from holdfast.sources.agents.codex import records as codex_records
from holdfast.sources.agents.gemini import parser as gemini
from holdfast.status import status_schema

ROOT: Final = Path(__file__).parents[1]
SOURCE: Final = ROOT / "src" / "holdfast"
PAGES: Final = sorted(
    [*ROOT.glob("*.md"), *(ROOT / "docs").glob("*.md"), *(ROOT / "docs" / "decisions").glob("*.md")]
)
FILE_ENDINGS: Final = frozenset({"db", "lock", "py", "stderr"})
SCHEMA_FILE: Final = ROOT / "docs" / "status.schema.json"
MAKE_SCHEMA: Final = (
    "import json; from holdfast.status import status_schema; "
    "print(json.dumps(status_schema(), indent=2))"
)


@cache
def text_of(page: str) -> str:
    return (ROOT / page).read_text("utf-8")


def rows(page: str, heading: str) -> list[list[str]]:
    """The cells of the tables below a heading, up to the next one of its rank."""
    rank = heading.partition(" ")[0]
    _, found, rest = text_of(page).partition(f"\n{heading}\n")
    assert found, f"{page} has no heading {heading!r}"
    part = re.split(rf"\n{rank} ", rest, maxsplit=1)[0]
    lines = [line for line in part.splitlines() if line.startswith("|")]
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]


def name(page: Path) -> str:
    return str(page.relative_to(ROOT))


# The command line.


def commands(
    parser: argparse.ArgumentParser, above: tuple[str, ...] = ("holdfast",)
) -> Iterator[tuple[str, argparse.ArgumentParser]]:
    for action in parser._actions:
        if isinstance(action, argparse._SubParsersAction):
            for word, below in action.choices.items():
                if "parser" not in below._defaults:  # a group of actions, no command by itself
                    yield " ".join([*above, word]), below
                yield from commands(below, (*above, word))


COMMANDS: Final = dict(commands(make_parser()))


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_and_option_is_in_the_operations_page(command: str) -> None:
    found = [row for row in rows("docs/operations.md", "## Commands") if row[0] == f"`{command}`"]
    assert found, f"docs/operations.md has no row for `{command}`"
    named = re.findall(r"`(-[\w-]+)", re.sub(r"\([^)]*\)", "", found[0][2]))
    assert len(named) == len(set(named)), "an option is listed twice"
    options = {option for row in found for option in re.findall(r"`?(-[\w-]+)", row[2])}
    wanted = {
        option
        for action in COMMANDS[command]._actions
        if not isinstance(action, argparse._HelpAction)
        for option in action.option_strings
    }
    assert options == wanted


@pytest.mark.parametrize("command", COMMANDS)
def test_no_command_has_two_rows(command: str) -> None:
    listed = [row[0] for row in rows("docs/operations.md", "## Commands")]
    assert listed.count(f"`{command}`") == 1


@pytest.mark.parametrize("page", PAGES, ids=name)
def test_no_table_is_cut_in_two(page: Path) -> None:
    """Behind an empty line a table begins anew, with a head and a line under it."""
    for part in re.split(r"\n\n+", re.sub(r"(?ms)^```.*?^```", "", text_of(name(page)))):
        lines = part.strip().splitlines()
        if lines and lines[0].startswith("|"):
            assert len(lines) > 1, part
            assert set(lines[1]) <= set("|- :"), part


def test_every_command_is_in_the_readme() -> None:
    listed = {row[0].strip("`").split(" ")[1] for row in rows("README.md", "## Commands")[2:]}
    assert listed == {command.split(" ")[1] for command in COMMANDS}


def shell_lines() -> Iterator[tuple[str, str]]:
    """Every line of a documented shell session or script that calls holdfast."""
    for page in PAGES:
        blocks = re.findall(
            r"^```(sh|console)\n(.*?)^```", text_of(name(page)), re.MULTILINE | re.DOTALL
        )
        for kind, block in blocks:
            prompt = "" if kind == "sh" else "$ "
            for line in block.splitlines():
                if line.startswith(f"{prompt}holdfast "):
                    yield name(page), line.removeprefix(prompt)


@pytest.mark.parametrize(("page", "line"), list(shell_lines()))
def test_every_documented_command_line_is_one(page: str, line: str) -> None:
    words = shlex.split(line, comments=True)
    words = words[: words.index("|")] if "|" in words else words
    assert make_parser().parse_args(words[1:]).run, page


def test_there_are_documented_command_lines() -> None:
    pages = {page for page, _line in shell_lines()}
    assert {"README.md", "docs/operations.md"} <= pages


def test_documented_make_targets_exist() -> None:
    targets = set(re.findall(r"^([a-z]+):", text_of("Makefile"), re.MULTILINE))
    for page in PAGES:
        said = re.findall(
            r"(?:^    |`)make (?:[A-Z]+=\S+ )?([a-z]+)", text_of(name(page)), re.MULTILINE
        )
        assert set(said) <= targets, name(page)


# Exit codes, settings, variables.


def test_every_exit_code_is_in_the_operations_page() -> None:
    listed = {row[0]: row[1] for row in rows("docs/operations.md", "## Exit codes")[2:]}
    assert listed == {str(code.value): code.name for code in Exit}


@pytest.mark.parametrize("setting", describe(), ids=lambda doc: str(doc.key))
def test_every_setting_is_in_the_settings_page(setting: Any) -> None:
    page = text_of("docs/settings.md")
    assert f"## `[{setting.section}]`" in page
    assert f"`{setting.name}`<br>`{setting.env}`" in page


def test_settings_that_the_pages_name_exist() -> None:
    schema = status_schema()
    known = {doc.key for doc in describe()}
    others = {*paths_of(schema, schema), *events_logged()}
    sections = {doc.section for doc in describe()}
    for page in PAGES:
        for key in re.findall(r"`([a-z]+(?:\.[a-z_]+)+)(?: = [^`]*)?`", text_of(name(page))):
            section, _, last = key.rpartition(".")
            if section in sections and last not in FILE_ENDINGS and key not in others:
                assert key in known, f"{name(page)}: {key}"


def variables() -> set[str]:
    """The names that the program asks the environment for."""
    asked = re.compile(r'environ(?:\.get\(|\[|, )"([A-Z][A-Z_]+)"')
    return {
        variable
        for module in SOURCE.rglob("*.py")
        for variable in asked.findall(module.read_text())
    }


def test_every_environment_variable_is_in_the_operations_page() -> None:
    listed = " ".join(row[0] for row in rows("docs/operations.md", "## Environment variables"))
    assert variables() >= {"HOLDFAST_HOME", "CLAUDE_CONFIG_DIR", "XDG_STATE_HOME", "NO_COLOR"}
    for variable in variables():
        assert f"`{variable}`" in listed


# The status and the logs.


def paths_of(schema: Any, node: Any, above: str = "") -> Iterator[str]:
    """Every key path of a JSON Schema, as docs/operations.md writes it."""
    if "$ref" in node:
        node = schema["$defs"][node["$ref"].rpartition("/")[2]]
    for other in node.get("anyOf", ()):
        yield from paths_of(schema, other, above)
    if "items" in node:
        yield from paths_of(schema, node["items"], f"{above}[]")
    if isinstance(node.get("additionalProperties"), dict):
        yield f"{above}.<reason>"
    for key, below in node.get("properties", {}).items():
        path = f"{above}.{key}".lstrip(".")
        yield path
        yield from paths_of(schema, below, path)


def test_every_status_field_is_in_the_operations_page_and_no_other() -> None:
    listed = [row[0].strip("`") for row in rows("docs/operations.md", "## Status")[2:]]
    schema = status_schema()
    wanted = list(paths_of(schema, schema))
    assert len(wanted) > 80
    assert set(wanted) - set(listed) == set()
    assert set(listed) - set(wanted) == set()


def test_the_published_schema_is_the_one_of_the_code() -> None:
    assert json.loads(SCHEMA_FILE.read_text("utf-8")) == status_schema(), (
        f"run: .venv/bin/python -c '{MAKE_SCHEMA}' > docs/status.schema.json"
    )


def events_logged() -> set[str]:
    """The names of records that the program writes to its logs."""
    said = re.compile(r'(?<!\w)(?:info|warning|error|debug)\)?\(\s*"([a-z]+(?:[._][a-z]+)*)"')
    return {
        event
        for module in SOURCE.rglob("*.py")
        if module.parts[-2:] != ("observe", "logs.py")
        for event in said.findall(module.read_text("utf-8"))
    }


def test_every_log_event_is_in_the_operations_page() -> None:
    listed = {
        event
        for row in rows("docs/operations.md", "## Logs")
        for event in re.findall(r"`([a-z._]+)`", row[0])
    }
    assert len(events_logged()) > 15
    assert events_logged() <= listed
    assert listed - events_logged() <= {"log.healed", "log.uvicorn.error"}


def test_the_limits_of_the_plugin_of_opencode_are_in_the_hooks_page() -> None:
    listed = {row[0].strip("`"): row[1] for row in rows("docs/hooks.md", "## Limits")[2:]}
    text = (SOURCE / "hooks" / "opencode.js").read_text("utf-8")
    limits = re.findall(r"(?m)^  ([a-z_]+): ([\d_]+),", text)
    assert len(limits) > 15
    assert listed == {name: value.replace("_", ",") for name, value in limits}


# Sources.


def test_every_kind_of_event_is_in_the_sources_page() -> None:
    listed = {row[0].strip("`") for row in rows("docs/sources.md", "## What a record becomes")}
    assert listed >= KINDS


def test_every_record_type_that_has_a_rule_is_in_the_sources_page() -> None:
    page = text_of("docs/sources.md")
    known = {
        *claude.SKIPPED_TYPES,
        *claude.SKIPPED_PROGRESS,
        *claude.INFO_TYPES,
        *claude.INFO_SUBTYPES,
        *claude.COMPACTED_SUBTYPES,
        *claude.TITLE_FIELDS,
        *copilot.SKIPPED_TYPES,
        *copilot.INFO_TYPES,
        *qwen.SKIPPED_SUBTYPES,
        *qwen.INFO_SUBTYPES,
        *qwen.PROGRAMS_SUBTYPES,
        *pi.INFO_TYPES,
        *pi.SUMMARY_ROLES,
        *pi.PROGRAMS_ROLES,
        *gemini.SPEAKING_TYPES,
        *gemini.NOTE_TYPES,
        *gemini.KNOWN_MEMBERS,
        *gemini.INFO_MEMBERS,
        *cline.KNOWN_MEMBERS,
        *cline.INFO_MEMBERS,
        *cline.SKIPPED_MEMBERS,
        *cline.INFO_SHOWN,
        *cline_words.SPOKEN,
    }
    assert {record for record in known if f"`{record}`" not in page} == set()


def test_every_record_type_of_codex_that_has_a_rule_is_in_its_section() -> None:
    _, found, behind = text_of("docs/sources.md").partition("\n### Codex CLI\n")
    assert found
    section = behind.partition("\n### ")[0]
    known = {
        *codex.CALLS,
        *codex.INFO_EVENTS,
        *codex.INFO_ITEMS,
        *codex.INFO_RESPONSES,
        *codex.INFO_TYPES,
        *codex.OUTPUTS,
        *codex.SKIPPED_EVENTS,
        *codex.SKIPPED_TYPES,
        *codex.TURN_ENDS,
        *codex_records.ASKING_EVENTS,
        *codex_records.ENDED_EVENTS,
        *codex_records.ENDED_ITEMS,
        *codex_records.SAYING_ITEMS,
    }
    assert {record for record in known if f"`{record}`" not in section} == set()


# The house.


def imports() -> dict[str, set[str]]:
    """Which rooms each room imports."""
    found: dict[str, set[str]] = {}
    for module in SOURCE.rglob("*.py"):
        room = module.relative_to(SOURCE).parts[0].removesuffix(".py")
        for node in ast.walk(ast.parse(module.read_text("utf-8"))):
            if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("holdfast"):
                names = (node.module or "").split(".")[1:2] or [each.name for each in node.names]
                found.setdefault(room, set()).update(names)
    return {room: names - {room, "__version__"} for room, names in found.items()}


def test_no_room_imports_what_the_architecture_page_does_not_allow() -> None:
    allowed: dict[str, set[str]] = {}
    for row in rows("docs/architecture.md", "## The rooms")[2:]:
        for room in re.findall(r"`(\w+)`", row[0]):
            allowed[room] = set(re.findall(r"`(\w+)`", row[2]))
    open_to_all = {"errors", "clock", "paths"}
    here = {path.stem for path in SOURCE.iterdir() if not path.stem.startswith(("_", "py"))}
    assert here - open_to_all <= set(allowed), "a room has no row in docs/architecture.md"
    for room, names in imports().items():
        if room not in ("__init__", "__main__"):
            assert names - open_to_all <= allowed.get(room, set()), room


def test_the_rooms_of_the_architecture_page_are_in_no_circle() -> None:
    left = imports()
    while left:
        leaves = [room for room, names in left.items() if not names & set(left)]
        assert leaves, f"these import each other in a circle: {', '.join(sorted(left))}"
        for room in leaves:
            del left[room]


@pytest.mark.parametrize("page", ["docs/architecture.md", "docs/sources.md"])
def test_modules_that_a_page_names_exist(page: str) -> None:
    for path in re.findall(
        r"`((?:src/holdfast/)?[a-z_]+(?:/[a-z_0-9]+)*(?:\.py|\.sql|/))`", text_of(page)
    ):
        relative = path.removeprefix("src/holdfast/")
        found = [
            SOURCE / relative,
            SOURCE / "sources" / relative,
            SOURCE / "journal" / "sql" / relative,
        ]
        if path not in ("archived_sessions/", "workflows/", "subagents/", "projects/"):
            assert any(each.exists() for each in found), f"{page}: {path}"


def test_functions_that_the_architecture_page_names_exist() -> None:
    defined: set[str] = set()
    for module in SOURCE.rglob("*.py"):
        for node in ast.walk(ast.parse(module.read_text("utf-8"))):
            if isinstance(node, ast.ClassDef):
                defined.add(node.name)
                defined |= {
                    f"{node.name}.{each.name}"
                    for each in node.body
                    if isinstance(each, ast.FunctionDef | ast.AsyncFunctionDef)
                }
            elif isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                defined |= {node.name, f"{module.stem}.{node.name}"}
    said = re.findall(r"`((?:[A-Z]\w+\.)\w+)`", text_of("docs/architecture.md"))
    assert len(said) > 10
    assert [each for each in said if each not in defined] == []


def test_every_table_of_the_journal_is_in_the_architecture_page() -> None:
    listed = {row[0].strip("`") for row in rows("docs/architecture.md", "## The journal")[2:]}
    made: set[str] = set()
    for script in (SOURCE / "journal" / "sql").glob("0*.sql"):
        made |= set(re.findall(r"CREATE (?:VIRTUAL )?TABLE (\w+)", script.read_text("utf-8")))
    assert listed == made


# Requirements.


def test_every_test_that_the_requirements_name_exists() -> None:
    named = re.findall(r"`(tests/[\w/]+\.py)(?:::(\w+))?`", text_of("docs/requirements.md"))
    assert len(named) > 20
    for path, test in named:
        assert (ROOT / path).exists(), path
        if test:
            assert re.search(
                rf"^(?:\s*async )?\s*(?:def|class) {test}\b", text_of(path), re.MULTILINE
            ), f"{path}::{test}"


# All pages.


def links(page: Path) -> Iterator[str]:
    for target in re.findall(r"\]\(([^)\s]+)\)", text_of(name(page))):
        if not re.match(r"[a-z]+:", target):
            yield target


@pytest.mark.parametrize("page", PAGES, ids=name)
def test_links_lead_somewhere(page: Path) -> None:
    for target in links(page):
        file, _, anchor = target.partition("#")
        path = (page.parent / file).resolve() if file else page
        assert path.exists(), target
        if anchor:
            headings = re.findall(r"^#+ (.*)$", path.read_text("utf-8"), re.MULTILINE)
            slugs = {re.sub(r"[^\w\- ]", "", each.lower()).replace(" ", "-") for each in headings}
            assert anchor in slugs, target


def test_every_page_can_be_reached_from_the_readme() -> None:
    reached: set[Path] = set()
    waiting = [ROOT / "README.md"]
    while waiting:
        page = waiting.pop()
        if page in reached or page.suffix != ".md":
            continue
        reached.add(page)
        for target in links(page):
            path = (page.parent / target.partition("#")[0]).resolve()
            waiting += sorted(path.glob("*.md")) if path.is_dir() else [path]
        named = re.findall(r"`(docs/[\w/-]+\.md)`", text_of(name(page)))
        waiting += [ROOT / each for each in named if (ROOT / each).exists()]
    assert {page for page in PAGES if page not in reached} == set()


def test_the_changelog_has_the_current_version() -> None:
    headings = re.findall(r"^## \[(.*?)\]", text_of("CHANGELOG.md"), re.MULTILINE)
    assert headings[0] == "Unreleased"
    assert holdfast.__version__ in headings


@pytest.mark.parametrize("page", PAGES, ids=name)
def test_a_page_names_no_place_of_a_machine(page: Path) -> None:
    found = re.findall(r"(?<![\w/.])/(?:work|root|Users|tmp/tmp|opt)/\S*", text_of(name(page)))
    assert found == []
