"""Asking the doctor in this process, of a home that a test has made."""

from __future__ import annotations

from typing import Any

import msgspec

from holdfast.checks import Check
from holdfast.cli.context import Context
from holdfast.cli.doctor import gather
from holdfast.doctor import Evidence, examine
from tests.support.home import Home


def evidence(home: Home, env: dict[str, str] | None = None, **other: Any) -> Evidence:
    return msgspec.structs.replace(gather(Context({**home.env, **(env or {})})), **other)


def checks(found: Evidence) -> dict[str, Check]:
    by_id = {check.id: check for check in examine(found).checks}
    assert len(by_id) == len(examine(found).checks), "an id names one check"
    return by_id


def look(home: Home, env: dict[str, str] | None = None, **other: Any) -> dict[str, Check]:
    return checks(evidence(home, env, **other))


def bad(found: dict[str, Check]) -> dict[str, str]:
    """What is not well, without what the machine of the tests is short of."""
    return {
        name: check.verdict
        for name, check in found.items()
        if not check.is_well and check.group not in ("limits", "memory")
    }
