"""Folders, the socket, the configuration: who may look in, and what holds."""

from __future__ import annotations

import os
import socket
from pathlib import Path

import pytest

from tests.support import doctors
from tests.support.home import Home, talk


@pytest.fixture
def kept(home: Home) -> Home:
    home.write_log("alpha", *talk(3))
    home.ok("import", "--quiet")
    return home


def test_a_folder_that_others_may_look_into_is_told_with_how_to_close_it(kept: Home) -> None:
    os.chmod(kept.paths.data_dir, 0o755)
    os.chmod(kept.paths.journal, 0o644)
    found = doctors.look(kept)["permissions"]
    assert found.verdict == "warning"
    assert set(found.remedies) == {
        f"chmod 700 '{kept.paths.data_dir}'",
        f"chmod 600 '{kept.paths.journal}'",
    }
    for remedy in found.remedies:
        assert os.system(remedy) == 0
    assert doctors.look(kept)["permissions"].verdict == "ok"


def listening(path: str) -> socket.socket:
    made = socket.socket(socket.AF_UNIX)
    made.bind(path)
    return made


def test_a_socket_of_a_run_that_is_gone_is_no_trouble(kept: Home) -> None:
    with listening(kept.paths.socket):
        os.chmod(kept.paths.socket, 0o600)
        found = doctors.look(kept)["socket"]
    assert found.verdict == "ok"
    assert "replaces it" in found.said


def test_a_socket_that_others_may_use_is_a_problem(kept: Home) -> None:
    with listening(kept.paths.socket):
        os.chmod(kept.paths.socket, 0o666)
        assert doctors.look(kept)["socket"].verdict == "problem"


def test_something_else_in_the_sockets_place_is_a_problem(kept: Home) -> None:
    Path(kept.paths.socket).write_text("x")
    assert doctors.look(kept)["socket"].verdict == "problem"


def test_each_mistake_in_the_configuration_is_named_and_the_rest_is_looked_at(kept: Home) -> None:
    kept.config('[daemon]\nmax_memory_mb = "much"\n[snapshot]\nx = 1\n')
    found = doctors.look(kept)
    assert found["config"].verdict == "problem"
    assert len(found["config"].particulars) == 2
    assert found["overrides"].verdict == "unknown"
    assert found["integrity"].verdict == "ok"
    done = kept.run("doctor")
    assert done.code == 12
    assert "max_memory_mb" in done.text


def test_a_config_file_that_others_may_change_is_told(kept: Home) -> None:
    os.chmod(kept.config("[daemon]\nmax_memory_mb = 100\n"), 0o666)
    assert doctors.look(kept)["config"].verdict == "warning"


def test_a_variable_that_hides_what_the_file_says_is_told(kept: Home) -> None:
    kept.config("[daemon]\nmax_memory_mb = 100\n")
    assert doctors.look(kept)["overrides"].verdict == "ok"
    other = doctors.look(kept, {"HOLDFAST_DAEMON__HEARTBEAT_MS": "300"})["overrides"]
    assert other.verdict == "ok"
    assert other.evidence["from_environment"] == "daemon.heartbeat_ms"
    hidden = doctors.look(kept, {"HOLDFAST_DAEMON__MAX_MEMORY_MB": "300"})["overrides"]
    assert hidden.verdict == "warning"
    assert hidden.evidence["hidden_in_file"] == "daemon.max_memory_mb"
