"""The command line as a whole: help for every command, and an exit code for every ending."""

from __future__ import annotations

import argparse
from collections.abc import Iterator

import pytest

import holdfast
from holdfast.cli.main import make_parser, run
from holdfast.errors import Exit
from tests.support.home import Home, talk


def commands(
    parser: argparse.ArgumentParser, name: tuple[str, ...] = ()
) -> Iterator[tuple[tuple[str, ...], argparse.ArgumentParser]]:
    """Every command and action with its parser."""
    for action in parser._actions:
        if isinstance(action, argparse._SubParsersAction):
            for word, below in action.choices.items():
                yield (*name, word), below
                yield from commands(below, (*name, word))


COMMANDS = dict(commands(make_parser()))


def here(home: Home, monkeypatch: pytest.MonkeyPatch) -> Home:
    for name in ("HOME", "HOLDFAST_HOME", "CLAUDE_CONFIG_DIR"):
        monkeypatch.setenv(name, home.env[name])
    return home


def test_every_promised_command_is_there() -> None:
    wanted = (
        "init up start stop restart status demo import sources sessions show search export record "
        "capture recordings blobs config redact clean completion "
        "health service debug metrics alerts doctor drill hooks "
        "stream tasks checkpoints intents"
    )
    assert {name[0] for name in COMMANDS} == set(wanted.split())
    actions = {name[1] for name in COMMANDS if name[0] == "config" and len(name) > 1}
    assert actions == {"init", "show", "validate", "schema"}


@pytest.mark.parametrize("name", COMMANDS, ids=" ".join)
def test_every_command_explains_itself(
    name: tuple[str, ...], capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as ended:
        run([*name, "--help"])
    assert ended.value.code == 0
    said = capsys.readouterr().out
    assert said.startswith(f"usage: holdfast {' '.join(name)}")
    description = COMMANDS[name].description or ""
    assert description.partition("\n")[0][-1] in ".?"
    assert description in said


@pytest.mark.parametrize("name", COMMANDS, ids=" ".join)
def test_every_option_says_what_it_does(name: tuple[str, ...]) -> None:
    for action in COMMANDS[name]._actions:
        if action.option_strings:
            assert action.help, f"{' '.join(name)} {action.option_strings[0]}"


def test_every_command_is_listed_with_a_line_about_it(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        run(["--help"])
    lines = capsys.readouterr().out.splitlines()
    for name in {name[0] for name in COMMANDS}:
        (line,) = [line for line in lines if line.split()[:1] == [name]]
        assert len(line.split()) > 2, line


@pytest.mark.parametrize("option", ["--version", "-V"])
def test_the_version_is_printed(option: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        run([option])
    assert ended.value.code == 0
    assert capsys.readouterr().out == f"holdfast {holdfast.__version__}\n"


def test_without_a_command_the_help_goes_to_stderr(capsys: pytest.CaptureFixture[str]) -> None:
    assert run([]) == Exit.USAGE
    out, err = capsys.readouterr()
    assert not out
    assert "commands:" in err


@pytest.mark.parametrize(
    "arguments",
    [
        ["no-such-command"],
        ["show"],
        ["search"],
        ["search", "x", "--since", "yesterday"],
        ["sessions", "-n", "0"],
        ["sessions", "--resident", "--not-resident"],
        ["export", "x", "-f", "pdf"],
        ["completion", "fish"],
        ["demo", "--sessions", "0"],
    ],
    ids=" ".join,
)
def test_a_wrong_command_line_ends_with_2(arguments: list[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        run(arguments)
    assert ended.value.code == Exit.USAGE


@pytest.mark.parametrize(
    ("arguments", "wanted"),
    [
        (["record", "a1", "--json", "notes.md"], {"path": "notes.md", "json": True}),
        (["capture", "--json", "a1", "notes.md"], {"path": "notes.md", "json": True}),
        (["capture", "a1", "notes.md", "--json"], {"path": "notes.md", "json": True}),
        (["search", "why", "-n", "3", "so", "slow"], {"words": ["why", "so", "slow"], "limit": 3}),
        (["export", "a1", "-f", "html", "b2"], {"session": ["a1", "b2"], "format": "html"}),
        (["search", "--", "-O2", "--json"], {"words": ["-O2", "--json"], "json": False}),
        (["config", "show", "--json", "--origin"], {"json": True, "origin": True}),
    ],
    ids=" ".join,
)
def test_options_may_stand_anywhere(arguments: list[str], wanted: dict[str, object]) -> None:
    parsed = make_parser().parse_args(arguments)
    assert {name: getattr(parsed, name) for name in wanted} == wanted


def test_an_option_that_does_not_exist_is_named(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        run(["record", "a1", "--jsn", "notes.md"])
    assert ended.value.code == Exit.USAGE
    assert "--jsn" in capsys.readouterr().err


def test_config_without_an_action_ends_with_2_and_lists_the_actions(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert run(["config"]) == Exit.USAGE
    assert "validate" in capsys.readouterr().out


def test_each_ending_has_its_exit_code(
    home: Home, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    here(home, monkeypatch)
    assert run(["sessions"]) == Exit.JOURNAL  # there is none yet
    assert "holdfast up" in capsys.readouterr().err
    home.write_log("one-1", *talk(2, session="one-1"))
    home.write_log("one-2", *talk(2, session="one-2"))
    assert run(["import", "--quiet"]) == Exit.OK
    assert run(["show", "one-1"]) == Exit.OK
    assert run(["show", "nothing"]) == Exit.NOT_FOUND
    assert run(["show", "one"]) == Exit.AMBIGUOUS
    assert run(["stop"]) == Exit.NOT_RUNNING
    assert run(["clean", "--all"]) == Exit.USAGE
    home.config("[recording]\nallowed_write_roots = []\n")
    assert run(["export", "one-1", "-o", f"{home.folder}/out.md"]) == Exit.REFUSED
    home.config("[daemon]\nmax_memory_mb = 0\n")
    assert run(["config", "validate"]) == Exit.CONFIG


def test_an_error_is_one_message_and_no_trace(
    home: Home, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    here(home, monkeypatch)
    assert run(["show", "x"]) == Exit.JOURNAL
    out, err = capsys.readouterr()
    assert not out
    assert err.startswith("holdfast: there is no journal at ")
    assert "Traceback" not in err


def test_an_ambiguous_name_is_refused_with_the_candidates(
    home: Home, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    here(home, monkeypatch)
    for name in ("twin-a", "twin-b"):
        home.write_log(name, *talk(1, session=name))
    assert run(["import", "--quiet"]) == Exit.OK
    capsys.readouterr()
    assert run(["export", "claude/twin"]) == Exit.AMBIGUOUS
    err = capsys.readouterr().err
    assert "claude/twin-a" in err
    assert "claude/twin-b" in err


def test_an_interrupted_command_ends_with_130(monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(*_arguments: object) -> int:
        raise KeyboardInterrupt

    monkeypatch.setattr("holdfast.cli.status.run_status", interrupted)
    assert run(["status"]) == Exit.INTERRUPTED


def test_a_reader_that_had_enough_is_no_failure(home: Home) -> None:
    """`holdfast export … | head -c 1`."""
    home.write_log("long", *talk(3_000, session="long", words="word " * 40))
    home.ok("import", "--quiet")
    export = home.spawn("export", "long", "-f", "jsonl")
    assert export.stdout is not None
    assert export.stderr is not None
    export.stdout.read(1)
    export.stdout.close()
    said = export.stderr.read()
    export.stderr.close()
    assert export.wait(60) == Exit.OK
    assert said == b""
