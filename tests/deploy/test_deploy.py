"""The files for container engines say what the settings, the limits and the program say.

No engine runs here, so what can be held against something else is: the figures against the rule,
the commands against the command line, the versions against the project, what is copied against what
is there; and the daemon is process 1 of a namespace of its own.
"""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import pytest
import yaml

import holdfast
from holdfast.cli.main import make_parser
from holdfast.service import limits_for
from holdfast.service.limits import DESCRIPTORS, OOM_SCORE_ADJUST, START_TIMEOUT_S
from holdfast.service.plan import ALLOCATOR
from holdfast.settings import Settings
from tests.support import processes
from tests.support.home import DAEMON, Home
from tests.support.waiting import until

ROOT: Final = Path(__file__).parents[2]
DEPLOY: Final = ROOT / "deploy"
SETTINGS: Final = Settings()
LIMITS: Final = limits_for(SETTINGS.daemon.max_memory_mb, SETTINGS.daemon.stop_deadline_ms)
PROBE: Final = ["holdfast", "health"]
UNSHARE: Final = ("unshare", "--user", "--map-root-user", "--pid", "--fork", "--mount-proc")


def dockerfile() -> list[tuple[str, str]]:
    """Its instructions, each in one line."""
    text = (DEPLOY / "Dockerfile").read_text().replace("\\\n", " ")
    lines = [line for line in text.splitlines() if line and not line.startswith("#")]
    return [(line.partition(" ")[0], line.partition(" ")[2].strip()) for line in lines]


def told(instruction: str) -> list[str]:
    return [rest for name, rest in dockerfile() if name == instruction]


def service() -> Any:
    return yaml.safe_load((DEPLOY / "compose.yaml").read_text())["services"]["holdfast"]


def manifests() -> dict[str, Any]:
    found = yaml.safe_load_all((DEPLOY / "kubernetes.yaml").read_text())
    return {each["kind"]: each for each in found}


def pod() -> Any:
    return manifests()["Deployment"]["spec"]["template"]["spec"]


def container() -> Any:
    (only,) = pod()["containers"]
    return only


def commands() -> Iterator[list[str]]:
    """Every holdfast command that a file for an engine runs."""
    yield json.loads(told("HEALTHCHECK")[0].partition("CMD ")[2])
    yield service()["healthcheck"]["test"][1:]
    for probe in ("startupProbe", "readinessProbe", "livenessProbe"):
        yield container()[probe]["exec"]["command"]


def megabytes(text: str) -> int:
    return int(re.sub(r"(m|Mi)$", "", text))


# Commands.


def test_every_probe_is_the_light_command_and_the_command_line_knows_it() -> None:
    assert list(commands()) == [PROBE] * 5
    assert make_parser().parse_args(PROBE[1:]).run


def test_the_image_runs_the_daemon_behind_something_that_reaps() -> None:
    assert json.loads(told("ENTRYPOINT")[0]) == ["tini", "--"]
    assert any("install" in line and "tini" in line for line in told("RUN"))
    assert json.loads(told("CMD")[0]) == ["python", *DAEMON[1:]]


def test_what_the_comments_tell_people_to_type_are_commands() -> None:
    for name in ("compose.yaml", "kubernetes.yaml"):
        typed = re.findall(r"(?:exec holdfast|--) holdfast (.+)", (DEPLOY / name).read_text())
        assert typed, name
        for line in typed:
            assert make_parser().parse_args(line.split()).run


# Limits.


def test_compose_holds_the_container_to_the_rule() -> None:
    compose = service()
    assert compose["environment"] == {
        "HOLDFAST_DAEMON__MAX_MEMORY_MB": str(SETTINGS.daemon.max_memory_mb)
    }
    assert megabytes(compose["mem_reservation"]) == LIMITS.memory_high_mb
    assert megabytes(compose["mem_limit"]) == LIMITS.memory_max_mb
    assert compose["memswap_limit"] == compose["mem_limit"], "no swap: what is counted is memory"
    assert compose["stop_grace_period"] == f"{LIMITS.stop_s}s"
    assert compose["oom_score_adj"] == OOM_SCORE_ADJUST
    assert compose["ulimits"] == {"nofile": DESCRIPTORS, "core": 0}


def test_kubernetes_holds_the_pod_to_the_rule() -> None:
    assert {each["name"]: each["value"] for each in container()["env"]} == {
        "HOLDFAST_DAEMON__MAX_MEMORY_MB": str(SETTINGS.daemon.max_memory_mb)
    }
    asked = container()["resources"]
    assert megabytes(asked["requests"]["memory"]) == LIMITS.memory_high_mb
    assert megabytes(asked["limits"]["memory"]) == LIMITS.memory_max_mb
    assert pod()["terminationGracePeriodSeconds"] == LIMITS.stop_s


def test_probes_wait_as_long_as_a_start_may_take_and_longer_than_the_command_does() -> None:
    startup = container()["startupProbe"]
    assert startup["periodSeconds"] * startup["failureThreshold"] == START_TIMEOUT_S
    assert f"--start-period={START_TIMEOUT_S}s" in told("HEALTHCHECK")[0]
    assert service()["healthcheck"]["start_period"] == f"{START_TIMEOUT_S}s"
    for probe in ("startupProbe", "readinessProbe", "livenessProbe"):
        assert container()[probe]["timeoutSeconds"] > 3


# Rights.


def test_nothing_runs_as_root_or_may_become_it() -> None:
    assert told("USER") == ["1000:1000"]
    assert pod()["securityContext"]["runAsNonRoot"]
    assert str(pod()["securityContext"]["runAsUser"]) in told("USER")[0]
    assert container()["securityContext"] == {
        "allowPrivilegeEscalation": False,
        "readOnlyRootFilesystem": True,
        "capabilities": {"drop": ["ALL"]},
    }
    assert service()["read_only"]
    assert service()["cap_drop"] == ["ALL"]
    assert service()["security_opt"] == ["no-new-privileges:true"]


def test_the_agents_own_folders_are_for_reading_only() -> None:
    agents = [each for each in service()["volumes"] if "${HOME}" in each]
    assert agents
    assert all(each.endswith(":ro") for each in agents)
    mounts = {each["name"]: each for each in container()["volumeMounts"]}
    assert mounts["agents"]["readOnly"]


def test_what_is_mounted_is_declared_and_the_journal_has_one_writer() -> None:
    volumes = {each["name"] for each in pod()["volumes"]}
    assert {each["name"] for each in container()["volumeMounts"]} == volumes
    claims = {
        each["persistentVolumeClaim"]["claimName"]
        for each in pod()["volumes"]
        if "persistentVolumeClaim" in each
    }
    assert manifests()["PersistentVolumeClaim"]["metadata"]["name"] in claims
    assert manifests()["PersistentVolumeClaim"]["spec"]["accessModes"] == ["ReadWriteOncePod"]
    assert manifests()["Deployment"]["spec"]["replicas"] == 1
    assert manifests()["Deployment"]["spec"]["strategy"] == {"type": "Recreate"}
    home = next(each for each in told("ENV") if "HOLDFAST_HOME" in each)
    assert "HOLDFAST_HOME=/data" in home
    assert "data:/data" in service()["volumes"]


# Versions and files.


def test_versions_are_those_of_the_project() -> None:
    version = holdfast.__version__
    assert f'image.version="{version}"' in told("LABEL")[0]
    assert service()["image"] == container()["image"] == f"holdfast:{version}"
    labels = manifests()["Deployment"]["metadata"]["labels"]
    assert labels["app.kubernetes.io/version"] == version
    assert f"-t holdfast:{version} ." in (DEPLOY / "Dockerfile").read_text()


def test_the_base_image_is_a_python_that_the_project_supports() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    oldest = project["requires-python"].removeprefix(">=")
    bases = {each.partition(" ")[0] for each in told("FROM")}
    assert bases == {f"python:{oldest}-slim"}


def test_what_the_image_is_made_from_is_there_and_is_sent() -> None:
    sent = (DEPLOY / "Dockerfile.dockerignore").read_text().splitlines()
    assert "*" in sent
    for line in told("COPY"):
        if not line.startswith("--from"):
            for name in line.split()[:-1]:
                assert (ROOT / name).exists(), name
                assert f"!{name}" in sent, name


def test_the_image_gives_freed_memory_back_as_a_start_by_hand_does() -> None:
    words = dict(word.split("=", 1) for each in told("ENV") for word in each.split())
    assert {name: words[name] for name in ALLOCATOR} == ALLOCATOR


# Process 1.


def test_the_daemon_as_process_1_answers_and_stops_in_order(home: Home) -> None:
    """Process 1 gets no signal that it does not ask for; the daemon asks for the ones it needs."""
    if (
        shutil.which("unshare") is None
        or subprocess.run([*UNSHARE, "true"], check=False).returncode
    ):
        pytest.skip("this machine does not let us make a process namespace")
    with home.daemon(program=(*UNSHARE, "--kill-child", *DAEMON)) as daemon:
        assert home.client.get("/v1/status")["daemon"]["pid"] == 1
        assert home.run("health").code == 0
        (inner,) = processes.children(daemon.pid)
        subprocess.run(["kill", "-TERM", str(inner)], check=True)
        assert daemon.process.wait(60) == 0
    until(lambda: not processes.is_alive(inner), "it is gone")
    assert home.ok("status", "--json").json["daemon"]["last_run"]["ending"] == "stopped"
