"""The report as a whole: order, verdict, shape, and that no part takes the others with it."""

from __future__ import annotations

import json
from pathlib import Path

import jsonschema
import msgspec
import pytest

from holdfast.checks import Check, size, worst
from holdfast.doctor import examine, feeds, report_schema
from holdfast.doctor.report import GROUPS
from tests.support import doctors
from tests.support.home import Home, talk


@pytest.fixture
def kept(home: Home) -> Home:
    home.write_log("alpha", *talk(3))
    home.ok("import", "--quiet")
    return home


def test_a_sound_home_has_nothing_to_mend(kept: Home) -> None:
    found = doctors.look(kept)
    assert doctors.bad(found) == {}
    assert [GROUPS.index(check.group) for check in found.values()] == sorted(
        GROUPS.index(check.group) for check in found.values()
    )
    assert {check.group for check in found.values()} == set(GROUPS)


def test_a_home_without_anything_is_no_problem(home: Home) -> None:
    found = doctors.look(home)
    assert doctors.bad(found) == {}
    assert "no journal yet" in found["journal"].said


def test_what_is_not_well_comes_with_a_remedy(kept: Home) -> None:
    kept.config("daemon = 5\n")
    found = doctors.look(kept)
    assert not found["config"].is_well
    for check in found.values():
        assert check.is_well or check.remedies, check.id


def test_the_report_has_the_published_shape(kept: Home) -> None:
    told = json.loads(msgspec.json.encode(examine(doctors.evidence(kept))))
    jsonschema.validate(told, report_schema())
    assert told["verdict"] in ("ok", "warning", "unknown")
    assert sum(told["counts"].values()) == len(told["checks"])


def test_the_published_schema_is_the_one_of_the_code() -> None:
    page = Path(__file__).parents[2] / "docs" / "doctor.schema.json"
    schema = json.loads(json.dumps(report_schema()))
    assert json.loads(page.read_text("utf-8")) == schema, (
        "run: .venv/bin/python -c 'import json; from holdfast.doctor import report_schema; "
        "print(json.dumps(report_schema(), indent=2))' > docs/doctor.schema.json"
    )


def test_a_part_that_fails_says_so_and_the_others_are_asked(
    kept: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(_report: object, _evidence: object) -> Check:
        raise ZeroDivisionError("secret words")

    monkeypatch.setattr(feeds, "_log_of", fail)
    found = doctors.look(kept)
    assert found["doctor-feeds"].verdict == "problem"
    assert "ZeroDivisionError" in found["doctor-feeds"].said
    assert "secret words" not in found["doctor-feeds"].said
    assert {"integrity", "permissions", "daemon"} <= set(found)


def test_the_worst_verdict_is_that_of_all() -> None:
    assert worst([]) == "ok"
    assert worst(["ok", "unknown"]) == "unknown"
    assert worst(["warning", "unknown", "ok"]) == "warning"
    assert worst(["warning", "problem"]) == "problem"


def test_sizes_are_written_as_the_command_line_writes_them() -> None:
    assert [size(count) for count in (0, 1_023, 2_048, 200 << 20, 3 << 30)] == [
        "0 B", "1,023 B", "2.0 KiB", "200.0 MiB", "3.0 GiB",
    ]  # fmt: skip
