"""What other rooms may use of the alerts, and what naming it loads."""

from __future__ import annotations

import subprocess
import sys

import pytest

from holdfast import alerts


def test_all_that_is_offered_is_there_and_nothing_else() -> None:
    for name in alerts.__all__:
        assert getattr(alerts, name) is not None
    with pytest.raises(AttributeError, match="no attribute 'figure'"):
        alerts.__getattr__("figure")


def test_settings_load_the_rules_and_nothing_that_a_daemon_needs() -> None:
    program = (
        "import sys, holdfast.settings as s; s.load(None, {});"
        "print(*(name for name in sys.modules if name.startswith('holdfast.alerts.')))"
    )
    ran = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )
    assert set(ran.stdout.split()) == {
        "holdfast.alerts.conditions",
        "holdfast.alerts.names",
        "holdfast.alerts.rules",
    }
