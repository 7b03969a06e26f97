"""How tests are run, and the fixtures that many share.

Every fixture cleans up after itself, whatever the test did.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import Final

import pytest
from hypothesis import HealthCheck, settings

from tests.support.home import Home, temporary_folder

# Most of a test's time is spent waiting for the programs that it started.
WORKERS_PER_CORE: Final = 2
WORKERS_MAX: Final = 16  # each takes some 200 MB

# A property holds however busy the machine is: no example has to be found or tried in a given time.
settings.register_profile(
    "patient", settings(), deadline=None, suppress_health_check=[HealthCheck.too_slow]
)
settings.load_profile("patient")


def pytest_xdist_auto_num_workers(config: pytest.Config) -> int:
    """For `-n auto`. Single files and tests are done before workers would have begun: none then."""
    if all(os.path.isfile(argument.partition("::")[0]) for argument in config.args):
        return 0
    return min((os.cpu_count() or 1) * WORKERS_PER_CORE, WORKERS_MAX)


@pytest.fixture
def home() -> Iterator[Home]:
    """A private HOLDFAST_HOME and CLAUDE_CONFIG_DIR, and the programs to use on them."""
    made = Home(temporary_folder())
    try:
        yield made
    finally:
        made.close()
