"""The SQL of the journal: statements by name from `queries.sql`, migrations by number."""

from __future__ import annotations

from functools import cache
from importlib import resources
from types import SimpleNamespace

_NAME = "-- name: "


def _read(name: str) -> str:
    return resources.files(__package__).joinpath(name).read_text("utf-8")


@cache
def queries() -> SimpleNamespace:
    """The statements of `queries.sql`, each under its name."""
    named: dict[str, str] = {}
    for part in _read("queries.sql").split(_NAME)[1:]:
        name, _, statement = part.partition("\n")
        named[name.strip()] = statement.strip()
    return SimpleNamespace(**named)


@cache
def migrations() -> tuple[str, ...]:
    """Migration scripts in order; the schema version is how many were applied."""
    names = sorted(
        entry.name
        for entry in resources.files(__package__).iterdir()
        if entry.name[:4].isdigit() and entry.name.endswith(".sql")
    )
    return tuple(_read(name) for name in names)
