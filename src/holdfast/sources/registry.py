"""Which sources there are. Adding an agent is one module and one line here."""

from __future__ import annotations

from collections.abc import Mapping

from holdfast.settings import Settings
from holdfast.sources.base import Source
from holdfast.sources.claude import ClaudeSource


def enabled_sources(settings: Settings, environ: Mapping[str, str]) -> list[Source]:
    sources: list[Source] = []
    claude = settings.sources.claude
    if claude.enabled:
        sources.append(ClaudeSource.from_environment(claude.roots, environ))
    return sources


def source_by_agent(agent: str) -> Source:
    """A source that parses but does not search: for import children, who are told what to read."""
    known: dict[str, Source] = {"claude": ClaudeSource([])}
    return known[agent]
