"""Mistakes that are planted for a test, and must be found within so many seeds."""

from __future__ import annotations

from typing import Final

import pytest

from holdfast.simulation import Scenario, hunt

SEEDS_MAX: Final = 200


def found(scenario: Scenario, planted: pytest.MonkeyPatch) -> BaseException:
    """How the first run ended that met the mistake."""
    failed = hunt(scenario, range(SEEDS_MAX)).failed
    planted.undo()
    assert failed, "nobody noticed"
    error = failed[0].error
    assert error is not None
    return error
