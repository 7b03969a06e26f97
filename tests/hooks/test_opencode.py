"""Putting the plugin where OpenCode finds it, and taking it back."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest

from holdfast import __version__
from holdfast.hooks import NoHooks, Where, hooks_of
from tests.support.home import Home, Result


def plugin_of(home: Home, *below: str) -> Path:
    return Path(home.folder, *(below or (".config", "opencode", "plugin")), "holdfast.js")


def status(home: Home, **env: str) -> Any:
    return home.run("hooks", "status", "opencode", "--json", env=env).json[0]


def refused(result: Result) -> bool:
    return result.code == 9 and "edited, or was not written by holdfast" in result.err


def test_it_is_installed_shown_and_removed(home: Home) -> None:
    path = plugin_of(home)
    assert home.run("hooks", "status").code == 4
    assert status(home)["installed"] is False
    done = home.ok("hooks", "install", "opencode")
    assert f"Wrote {path}" in done.err
    assert "restart OpenCode" in done.err
    assert "no daemon runs" in done.err
    found = home.ok("hooks", "status", "--json").json[0]
    assert (found["path"], found["up_to_date"]) == (str(path), True)
    assert found["version"] == __version__
    written = path.read_text("utf-8")
    assert f'const SOCKET = "{home.paths.socket}";' in written
    assert f'const BUFFER = "{found["buffer"]}";' in written
    assert os.listdir(path.parent) == ["holdfast.js"]
    again = home.ok("hooks", "install", "opencode", "--json").json
    assert again["changed"] is False
    assert "restart" not in str(again["notes"])
    assert path.read_text("utf-8") == written
    removed = home.ok("hooks", "uninstall", "opencode", "--json").json
    assert removed["changed"] is True
    assert not path.exists()
    assert home.ok("hooks", "uninstall", "opencode", "--json").json["changed"] is False


def test_an_older_one_is_told_and_written_anew(home: Home) -> None:
    """Ours, and no person changed it: the digest in it is that of its text."""
    path = plugin_of(home)
    home.ok("hooks", "install", "opencode", env={"HOLDFAST_HOME": os.path.join(home.folder, "o")})
    assert status(home)["up_to_date"] is False
    assert "outdated" in home.run("hooks", "status").text
    home.ok("hooks", "install", "opencode")
    assert home.paths.socket in path.read_text("utf-8")


def test_the_version_that_was_there_is_named(home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    hooks, where = hooks_of("opencode"), Where(paths=home.paths, environ={"HOME": home.folder})
    with monkeypatch.context() as older:
        older.setattr("holdfast.hooks.opencode.__version__", "0.0.9")
        hooks.install(where, force=False)
    assert hooks.status(where).version == "0.0.9"
    assert "0.0.9" in hooks.install(where, force=False).steps[0]
    assert hooks.status(where).version == __version__


@pytest.mark.parametrize("edited", [True, False])
def test_a_file_of_somebody_else_is_left_alone(home: Home, edited: bool) -> None:
    path = plugin_of(home)
    path.parent.mkdir(parents=True)
    content = "export const Mine = async () => ({})\n"
    if edited:
        home.ok("hooks", "install", "opencode")
        content = path.read_text("utf-8").replace("10_000", "20_000")
    path.write_text(content, "utf-8")
    assert status(home)["edited"] is True
    assert refused(home.run("hooks", "install", "opencode"))
    assert refused(home.run("hooks", "uninstall", "opencode"))
    assert path.read_text("utf-8") == content
    home.ok("hooks", "install", "opencode", "--force")
    assert status(home)["up_to_date"] is True


def test_a_dry_run_prints_the_file_and_writes_nothing(home: Home) -> None:
    shown = home.ok("hooks", "install", "opencode", "--dry-run")
    assert not plugin_of(home).exists()
    told = home.ok("hooks", "install", "opencode", "-n", "--json").json
    home.ok("hooks", "install", "opencode")
    assert plugin_of(home).read_text("utf-8") == told["text"] == shown.text
    assert told["path"] == str(plugin_of(home))


def test_it_goes_where_opencode_looks(home: Home) -> None:
    chosen = os.path.join(home.folder, "chosen")
    config = os.path.join(home.folder, "xdg")
    home.ok("hooks", "install", "opencode", env={"XDG_CONFIG_HOME": config})
    assert plugin_of(home, "xdg", "opencode", "plugin").exists()
    env = {"XDG_CONFIG_HOME": config, "OPENCODE_CONFIG_DIR": chosen}
    done = home.ok("hooks", "install", "opencode", "--json", env=env).json
    assert done["path"] == str(plugin_of(home, "chosen", "plugin"))
    other = str(plugin_of(home, "xdg", "opencode", "plugin"))
    assert other in str(done["notes"])
    assert status(home, **env)["elsewhere"] == [other]
    home.ok("hooks", "uninstall", "opencode", env=env)
    assert not os.path.exists(other)
    assert not os.path.exists(done["path"])


def test_one_in_the_newer_folder_is_found(home: Home) -> None:
    newer = plugin_of(home, ".config", "opencode", "plugins")
    home.ok("hooks", "install", "opencode")
    newer.parent.mkdir(parents=True)
    plugin_of(home).rename(newer)
    assert status(home)["elsewhere"] == [str(newer)]
    home.ok("hooks", "uninstall", "opencode")
    assert not newer.exists()


def test_what_waits_is_told(home: Home) -> None:
    home.ok("hooks", "install", "opencode")
    folder = Path(status(home)["buffer"])
    folder.mkdir(parents=True)
    (folder / "0-1-00000000-000000001.jsonl").write_bytes(b"x" * 2_048)
    found = status(home)
    assert (found["buffer_files"], found["buffer_bytes"]) == (1, 2_048)
    assert "2.0 KiB wait to be sent, in 1 file" in home.ok("hooks", "status").text
    assert str(folder) in home.ok("hooks", "uninstall", "opencode").err


def test_an_agent_without_hooks_is_a_mistake_that_names_the_others(home: Home) -> None:
    result = home.run("hooks", "install", "aider")
    assert result.code == 2
    assert "choose from opencode" in result.err
    with pytest.raises(NoHooks):
        hooks_of("")


def test_paths_are_written_as_javascript_reads_them(home: Home) -> None:
    odd = os.path.join(home.folder, 'o"dd \\ ü')
    home.ok("hooks", "install", "opencode", env={"HOLDFAST_HOME": odd})
    text = plugin_of(home).read_text("utf-8")
    assert r'/o\"dd \\ \u00fc/state/hooks/opencode";' in text


def test_other_projects_to_exclude_make_it_outdated(home: Home) -> None:
    home.ok("hooks", "install", "opencode")
    home.config('[sources.opencode]\nexclude_projects = ["~/clients/**"]\n')
    assert status(home)["up_to_date"] is False
    home.ok("hooks", "install", "opencode")
    assert '/clients(?:/.*)?(?:/.*)?"];' in plugin_of(home).read_text("utf-8")
