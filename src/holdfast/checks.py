"""One thing that was looked at: what came of it, what that rests on, and what to do about it.

What a check says, and its evidence, are figures, words of our own and holdfast's own places: they
may be shown to a stranger. What names somebody's logs, projects or recordings goes into
`particulars`, which only the person at the terminal sees.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Final, Literal

import msgspec

Verdict = Literal["ok", "unknown", "warning", "problem"]
Fact = int | float | str | bool | None

KIB: Final = 1 << 10
_RANK: Final[tuple[Verdict, ...]] = ("ok", "unknown", "warning", "problem")


class Check(msgspec.Struct, frozen=True, kw_only=True):
    id: str
    group: str
    verdict: Verdict
    said: str
    evidence: dict[str, Fact] = {}
    remedies: tuple[str, ...] = ()
    particulars: tuple[str, ...] = ()

    @property
    def is_well(self) -> bool:
        return self.verdict in ("ok", "unknown")

    @property
    def sentence(self) -> str:
        """For a list of problems, where there is one line for each."""
        return f"{self.said}: {self.remedies[0]}" if self.remedies else self.said


def worst(verdicts: Iterable[Verdict]) -> Verdict:
    return max(verdicts, key=_RANK.index, default="ok")


def counted(number: int, thing: str) -> str:
    return f"{number:,} {thing}" if number == 1 else f"{number:,} {thing}s"


def size(count: int) -> str:
    """As the command line writes it."""
    if count < 999 * KIB:
        return f"{count:,} B" if count < KIB else f"{count / KIB:,.1f} KiB"
    if count < 999 * KIB * KIB:
        return f"{count / KIB**2:,.1f} MiB"
    return f"{count / KIB**3:,.1f} GiB"


def maker(group: str) -> Callable[..., Check]:
    """Checks of one group, written short."""

    def make(
        name: str,
        verdict: Verdict,
        said: str,
        evidence: dict[str, Fact] | None = None,
        *remedies: str,
        particulars: tuple[str, ...] = (),
    ) -> Check:
        return Check(
            id=name,
            group=group,
            verdict=verdict,
            said=said,
            evidence=evidence or {},
            remedies=remedies,
            particulars=particulars,
        )

    return make
