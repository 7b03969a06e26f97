"""`config`: the file is written once, shown with its origins, and checked."""

from __future__ import annotations

import os
import stat
import tomllib
from pathlib import Path

import pytest

from holdfast.errors import Exit
from holdfast.settings import describe, render_default_config
from tests.support.home import Home
from tests.support.processes import obey_modes


def test_init_writes_a_file_that_changes_nothing(home: Home) -> None:
    said = home.ok("config", "init")
    path = Path(home.paths.config_file)
    assert str(path) in said.err
    assert path.read_text("utf-8") == render_default_config()
    values = tomllib.loads(path.read_text("utf-8"))
    assert not any(isinstance(value, dict) and value for value in values["daemon"].values())
    assert home.ok("config", "validate").err == f"{path} is sound.\n"
    origins = home.ok("config", "show", "--origin", "--json").json
    assert {each["origin"] for each in origins.values()} == {"default"}


def test_init_keeps_a_file_that_is_there_unless_forced(home: Home) -> None:
    path = home.config("[daemon]\nmax_memory_mb = 300\n")
    refused = home.run("config", "init")
    assert refused.code == Exit.CONFIG
    assert "--force" in refused.err
    assert "300" in Path(path).read_text("utf-8")
    home.ok("config", "init", "--force")
    assert Path(path).read_text("utf-8") == render_default_config()


def test_the_folder_of_the_config_is_for_its_owner_alone(home: Home) -> None:
    home.ok("config", "init")
    assert stat.S_IMODE(os.stat(home.home).st_mode) == 0o700


def test_init_says_what_to_do_where_nothing_can_be_written(home: Home) -> None:
    os.makedirs(home.home)
    os.chmod(home.home, 0o500)
    refused = home.run("config", "init", preexec_fn=obey_modes)
    os.chmod(home.home, 0o700)
    assert refused.code == Exit.CONFIG
    assert "HOLDFAST_HOME" in refused.err


def test_show_lists_every_setting_with_its_value(home: Home) -> None:
    home.config("[daemon]\nmax_memory_mb = 300\n")
    lines = home.ok("config", "show").text.splitlines()
    shown = dict(line.split(maxsplit=1) for line in lines[1:])
    assert list(dict.fromkeys(key.partition("[")[0] for key in shown)) == [
        doc.key for doc in describe()
    ]
    assert shown["alerts.rules[0]"].startswith('{name = "memory-high", condition = ')
    assert shown["daemon.max_memory_mb"] == "300"
    assert shown["snapshots.max_memory_mb"] == "(not set)"
    assert shown["snapshots.oversized"] == '"spill"'


def test_show_tells_where_each_value_comes_from(home: Home) -> None:
    path = home.config("# a comment\n[daemon]\nmax_memory_mb = 300\nheartbeat_ms = 500\n")
    env = {"HOLDFAST_DAEMON__HEARTBEAT_MS": "700"}
    rows = home.ok("config", "show", "--origin", "--json", env=env).json
    assert rows["daemon.max_memory_mb"] == {"value": 300, "origin": f"{path}:3"}
    assert rows["daemon.heartbeat_ms"] == {
        "value": 700,
        "origin": "HOLDFAST_DAEMON__HEARTBEAT_MS",
    }
    assert rows["journal.readers"]["origin"] == "default"
    assert rows["snapshots.idle_eviction_ms"]["value"] is None
    table = home.ok("config", "show", "--origin", env=env).text
    assert f"{path}:3" in table


def test_show_as_json_is_one_object_of_values(home: Home) -> None:
    values = home.ok("config", "show", "--json").json
    assert set(values) == {doc.key for doc in describe()}
    assert values["daemon.max_memory_mb"] == 200


@pytest.mark.parametrize("command", ["up", "start", "restart", "import"])
def test_a_wrong_config_stops_a_command_before_it_does_anything(home: Home, command: str) -> None:
    path = home.config('[daemon]\nmax_memory_mb = "many"\n')
    refused = home.run(command)
    assert refused.code == Exit.CONFIG
    assert f"{path}:2: daemon.max_memory_mb" in refused.err
    assert not os.path.exists(home.paths.journal)


def test_validate_names_every_mistake_at_once(home: Home) -> None:
    home.config("[daemon]\nmax_memory_mb = -1\n[snapshot]\nmax_sessions = 5\n")
    refused = home.run("config", "validate")
    assert refused.code == Exit.CONFIG
    assert "max_memory_mb" in refused.err
    assert 'did you mean "snapshots"' in refused.err


def test_validate_without_a_file_says_that_the_defaults_hold(home: Home) -> None:
    assert "the defaults hold" in home.ok("config", "validate").err


def test_the_schema_describes_the_config_file(home: Home) -> None:
    schema = home.ok("config", "schema").json
    assert schema["$schema"].startswith("https://json-schema.org/")
    assert "Settings" in schema["$defs"]
