"""`metrics`: the daemon's figures, as Prometheus reads them."""

from __future__ import annotations

import argparse

from holdfast.cli.context import Context
from holdfast.cli.output import put_bytes
from holdfast.cli.parsing import Commands, add_command, add_json
from holdfast.errors import Exit


def add_commands(commands: Commands) -> None:
    parser = add_command(
        commands,
        "metrics",
        run_metrics,
        "the daemon's figures, as Prometheus reads them",
        "What each of them means is in docs/metrics.md. Prometheus itself can fetch the same from\n"
        "the port of server.loopback_port.",
    )
    add_json(parser)


def run_metrics(context: Context, arguments: argparse.Namespace) -> int:
    path = "/v1/figures" if arguments.json else "/metrics"
    put_bytes(context.client.stream("GET", path))
    if arguments.json:
        put_bytes([b"\n"])
    return Exit.OK
