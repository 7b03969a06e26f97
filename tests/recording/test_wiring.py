"""What the settings make of the recorder."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from holdfast import wiring
from holdfast.paths import Paths
from holdfast.recording.conduct import Limits
from holdfast.recording.destinations import Rules
from holdfast.settings import load
from holdfast.sources.registry import enabled_sources


def made(monkeypatch: pytest.MonkeyPatch, home: Path, **settings: str) -> tuple[Rules, Limits]:
    environ = {"HOME": str(home), "CLAUDE_CONFIG_DIR": str(home / "claude")} | {
        f"HOLDFAST_{name}": value for name, value in settings.items()
    }
    told: list[Any] = []
    monkeypatch.setattr(wiring, "Recorder", lambda *about, **_: told.extend(about))
    chosen = load(None, environ).settings
    nothing: Any = None
    logs: Any = type("Logs", (), {"operational": None, "audit": None})
    sources = enabled_sources(chosen.source, environ).values()
    paths = Paths.from_env(environ)
    wiring.make_recorder(chosen, paths, environ, nothing, nothing, sources, logs)
    _journal, rules, limits = told
    return rules, limits


@pytest.mark.parametrize("part", ["thinking", "tools", "system", "commentary"])
@pytest.mark.parametrize("wanted", [True, False])
def test_what_an_export_shows_is_what_is_set(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, part: str, wanted: bool
) -> None:
    name = f"RECORDING__INCLUDE_{part.upper()}"
    _, limits = made(monkeypatch, tmp_path, **{name: str(wanted).lower()})
    assert getattr(limits.options, part) is wanted


@pytest.mark.parametrize("enabled", ["true", "false"])
def test_the_logs_of_an_agent_are_guarded_whether_they_are_read_or_not(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, enabled: str
) -> None:
    rules, _ = made(monkeypatch, tmp_path, SOURCES__CLAUDE__ENABLED=enabled)
    assert str(tmp_path.resolve() / "claude" / "projects") in rules.guarded
    assert len(set(rules.guarded)) == len(rules.guarded)
