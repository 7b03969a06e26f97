"""What can be done about the hooks of any agent, and what is told of it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Protocol

import msgspec

from holdfast.paths import Paths


class Where(msgspec.Struct, frozen=True, kw_only=True):
    """What is written into hooks, and where they are looked for."""

    paths: Paths
    environ: Mapping[str, str]
    excluded: Sequence[str] = ()  # expressions for the paths of projects of which nothing is kept


class Done(msgspec.Struct, kw_only=True):
    """What was done, in the order in which it was, and what is left to say."""

    agent: str
    path: str
    changed: bool = False
    steps: list[str] = []
    notes: list[str] = []


class Status(msgspec.Struct, kw_only=True):
    agent: str
    path: str  # where they are, or would be
    installed: bool
    up_to_date: bool  # they are what `install` would write now
    edited: bool  # by a person, or written by one
    version: str  # of the holdfast that wrote them
    elsewhere: list[str]  # further places where they are installed
    buffer: str  # where events wait while no daemon takes them
    buffer_files: int
    buffer_bytes: int


class AgentHooks(Protocol):
    @property
    def agent(self) -> str: ...
    def text(self, where: Where) -> str:
        """What `install` writes."""
        ...

    def path(self, where: Where) -> str: ...
    def install(self, where: Where, *, force: bool) -> Done: ...
    def uninstall(self, where: Where, *, force: bool) -> Done: ...
    def status(self, where: Where) -> Status: ...
