"""What was spent, from the totals that Codex repeats."""

from __future__ import annotations

from holdfast.events import Usage
from holdfast.journal.model import NO_USAGE
from holdfast.sources.agents.codex.records import TokenCount, TokenUsage

Total = tuple[int, int, int, int]  # in the order of `Usage`


def spent(count: TokenCount, before: Total | None) -> tuple[Usage, Total | None]:
    """What was spent since the last totals, and the totals now.

    Totals that did not grow are told again; between totals that grew, counts may be missing.
    Totals that are smaller than before started again, as the first ones do, and then only the
    last request is new for sure.
    """
    info = count.info
    if info is None or info.total_token_usage is None:
        return NO_USAGE, before
    total = _counts(info.total_token_usage)
    if before is not None and all(map(int.__ge__, total, before)):
        return Usage(*map(int.__sub__, total, before)), total
    return Usage(*_counts(info.last_token_usage or info.total_token_usage)), total


def _counts(usage: TokenUsage) -> Total:
    """Codex counts what came from a cache among the input too."""
    cached, written = usage.cached_input_tokens or 0, usage.cache_write_input_tokens or 0
    fresh = max(0, (usage.input_tokens or 0) - cached - written)
    return fresh, usage.output_tokens or 0, cached, written
