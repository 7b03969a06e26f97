"""Many seeds: what fails is told with how to see it again."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from holdfast.errors import Exit
from holdfast.simulation import Faults, SeedFailed, Simulation, check, hunt, simulate
from holdfast.simulation.__main__ import main
from holdfast.simulation.hunt import name_of, scenario_of

HERE = "tests.simulation.test_hunt"
ROOT = Path(__file__).parents[2]


async def scenario(world: Simulation) -> None:
    """What `MODULE` without a name means: it is always well."""
    await world.pause(1)


async def unlucky(world: Simulation) -> None:
    await world.pause(1)
    world.note(f"number {world.seed}")
    assert world.seed % 250 != 249, "an unlucky number"


def test_the_first_seed_that_fails_is_told_with_the_command_that_shows_it() -> None:
    assert hunt(scenario, range(20)).failed == []
    assert check(scenario, range(20)).seeds == 20
    found = hunt(unlucky, range(1_000))
    assert found.seeds == 250
    assert [outcome.seed for outcome in found.failed] == [249]
    with pytest.raises(SeedFailed, match=r"seed 249 of .*: an unlucky number") as caught:
        check(unlucky, range(200, 300))
    message = str(caught.value)
    assert f"-m holdfast.simulation {name_of(unlucky)} --seed 249" in message
    assert "number 249" in message
    assert isinstance(caught.value.__cause__, AssertionError)


def test_a_hunt_goes_on_to_as_many_failures_as_are_wanted() -> None:
    found = hunt(unlucky, range(2_000), failures_max=3)
    assert [outcome.seed for outcome in found.failed] == [249, 499, 749]


def test_seeds_draw_what_goes_wrong_and_some_have_nothing_of_it() -> None:
    outcomes = [simulate(scenario, seed) for seed in range(100)]
    assert len({outcome.faults for outcome in outcomes}) > 80
    for fault in ("stall=", "lost=", "crash_steps=", "disk_full=", "disk_error="):
        there = sum(fault in outcome.faults for outcome in outcomes)
        assert 10 < there < 90, fault
    assert simulate(scenario, 1, faults=Faults()).faults == ""


def test_a_scenario_is_named_by_its_module() -> None:
    assert name_of(scenario_of(HERE)) == f"{HERE}:scenario"
    assert name_of(scenario_of(f"{HERE}:unlucky")) == f"{HERE}:unlucky"


@pytest.mark.parametrize(
    ("name", "why"),
    [
        ("nosuch", "no module 'nosuch'"),
        ("tests.simulation.nosuch", "no module 'tests.simulation.nosuch'"),
        ("nosuch.stream", "no module 'nosuch.stream'"),
        (f"{HERE}.scenario", f"no module '{HERE}.scenario'"),
        (":scenario", "no module ''"),
        (".scenario", "no module '.scenario'"),
        ("tests/simulation/stream.py", "no module 'tests/simulation/stream.py'"),
        (f"{HERE}:nosuch", f"module '{HERE}' has no function 'nosuch'"),
        (f"{HERE}:ROOT", "no function 'ROOT'"),
    ],
)
def test_a_scenario_that_is_not_there_is_told_before_any_is_tried(
    capsys: pytest.CaptureFixture[str], name: str, why: str
) -> None:
    with pytest.raises(SystemExit) as ended:
        main([HERE, name, "--seeds", "5", "--jobs", "1"])
    assert ended.value.code == Exit.USAGE
    told = capsys.readouterr()
    assert why in told.err
    assert told.out == ""


def test_a_scenario_whose_own_import_is_wrong_shows_where(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "broken_scenario.py").write_text("import nosuch_dependency\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    with pytest.raises(ModuleNotFoundError, match="nosuch_dependency"):
        main(["broken_scenario"])


def test_the_command_tries_seeds_and_shows_one(capsys: pytest.CaptureFixture[str]) -> None:
    assert main([HERE, "--seeds", "50", "--jobs", "1"]) == 0
    assert f"{HERE}: 50 seeds, " in capsys.readouterr().out
    assert main([f"{HERE}:unlucky", "--first", "200", "--seeds", "100", "--jobs", "1"]) == 1
    out = capsys.readouterr().out
    assert "seed 249 of " in out
    assert "50 seeds, " in out
    assert main([f"{HERE}:unlucky", "--seed", "249"]) == 1
    out = capsys.readouterr().out
    assert "- number 249" in out
    assert "an unlucky number" in out
    assert main([f"{HERE}:unlucky", "--seed", "248"]) == 0
    assert f"digest {simulate(unlucky, 248).digest}" in capsys.readouterr().out


def test_the_command_tries_seeds_in_several_processes() -> None:
    def tried(name: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-m", "holdfast.simulation", name, "--seeds", "400", "--jobs", "2"],
            cwd=ROOT,
            env=os.environ,
            capture_output=True,
            check=False,
            text=True,
        )

    well = tried(HERE)
    assert well.returncode == 0, well.stderr
    assert "400 seeds, " in well.stdout
    failing = tried(f"{HERE}:unlucky")
    assert failing.returncode == 1, failing.stderr
    assert "seed 249 of " in failing.stdout
