"""`health`: a probe's question. `holdfast health` itself is answered in `entry.py`."""

from __future__ import annotations

import argparse

from holdfast.cli.context import Context
from holdfast.cli.entry import check_health
from holdfast.cli.parsing import Commands, add_command


def add_commands(commands: Commands) -> None:
    add_command(
        commands,
        "health",
        run_health,
        "whether the daemon answers: 0 if it does, else 1",
        "For the probes of containers and of monitoring: it costs the daemon next to nothing.\n"
        "`holdfast status` tells more.",
    )


def run_health(_context: Context, _arguments: argparse.Namespace) -> int:
    return check_health()
