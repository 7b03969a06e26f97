"""Which projects nothing is kept of: patterns of paths, and how a project fits one.

A project is known by its whole path, or, while no record has named it, by the name of a folder that
was made of the path with other characters in place of its slashes. Of such a name nobody can tell
what it stood for; so it is held against the pattern made into a name in the same way, and what may
be meant is left alone until the path is known.
"""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from functools import lru_cache
from typing import Final

from holdfast.settings import Settings
from holdfast.sources.agents import NAMES
from holdfast.sources.base import folded

_PARTS: Final = re.compile(r"(/\*\*/|\*\*/|/\*\*$|\*\*|\*|\?)")
_IN_PATHS: Final = {
    "/**/": "/(?:.*/)?",
    "**/": "(?:.*/)?",
    "/**": "(?:/.*)?",
    "**": ".*",
    "*": "[^/]*",
    "?": "[^/]",
}


def excluded_projects(settings: Settings) -> dict[str, tuple[str, ...]]:
    """Of each agent that can be set, its patterns."""
    return {agent: settings.source(agent).exclude_projects for agent in NAMES}


def is_excluded(project: str, patterns: Sequence[str]) -> bool:
    """Whether a project, or a folder above it, fits one of the patterns."""
    as_path = project.startswith("/")
    return any(
        (_path_pattern(each) if as_path else _name_pattern(each)).fullmatch(project)
        for each in patterns
    )


def path_expression(pattern: str) -> str:
    """What a whole path fits, with a dot for any character; JavaScript reads it alike."""
    inside = "".join(_IN_PATHS.get(part) or re.escape(part) for part in _split(pattern))
    return f"{inside}(?:/.*)?"


@lru_cache
def _path_pattern(pattern: str) -> re.Pattern[str]:
    return re.compile(path_expression(pattern), re.DOTALL)


@lru_cache
def _name_pattern(pattern: str) -> re.Pattern[str]:
    """The same for a path that was made into a name: what a wildcard stood for may be anything."""
    inside = "".join(
        ".*" if part in _IN_PATHS else re.escape(folded(part)) for part in _split(pattern)
    )
    return re.compile(f"{inside}(?:-.*)?", re.DOTALL)


def _split(pattern: str) -> list[str]:
    whole = os.path.expanduser(pattern)
    return [part for part in _PARTS.split(whole.rstrip("/")) if part]
