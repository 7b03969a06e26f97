"""What every journal must do, as a kit that any implementation can be put through.

Give `REQUIREMENTS` a `Subject`, which opens, closes and opens again one journal that starts empty:

    @pytest.mark.parametrize("requirement", REQUIREMENTS, ids=name)
    def test_conformance(requirement, tmp_path):
        requirement(MyJournal(tmp_path))

A requirement says nothing about how an implementation works. It raises `Nonconformant` with what
was seen and what was expected.
"""

from __future__ import annotations

from holdfast.journal.conformance import (  # noqa: F401  # each adds its requirements
    reading,
    recording,
    rewriting,
    searching,
    storing,
    streams,
    work,
)
from holdfast.journal.conformance.kit import (
    AGENT,
    BLOCK_BYTES,
    REQUIREMENTS,
    Erasing,
    Nonconformant,
    Requirement,
    Subject,
    Trial,
    at,
    cursor,
    known,
    many,
    name,
    said,
    same,
)

__all__ = [
    "AGENT",
    "BLOCK_BYTES",
    "REQUIREMENTS",
    "Erasing",
    "Nonconformant",
    "Requirement",
    "Subject",
    "Trial",
    "at",
    "cursor",
    "known",
    "many",
    "name",
    "said",
    "same",
]
