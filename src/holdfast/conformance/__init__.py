"""What every source must do, as a kit that any of them can be put through.

A sample says how the logs of an agent look, and what must come of each line:

    @pytest.mark.parametrize("requirement", REQUIREMENTS, ids=name)
    def test_conformance(requirement, tmp_path):
        requirement(SAMPLE, tmp_path)

A requirement raises `Nonconformant` with what was seen. None of them looks into a parser: it is put
to work by the same reading and planning as in the daemon. `python -m holdfast.conformance` puts
agents through it, and has them read damaged logs for as long as it is told to.
"""

from __future__ import annotations

# Importing a module of requirements is what registers them.
from holdfast.conformance import files, meaning, places, reading_on, sizes, tokens
from holdfast.conformance.sample import (
    REQUIREMENTS,
    Facets,
    Fork,
    Nonconformant,
    Requirement,
    Sample,
    Step,
    name,
    step,
)

__all__ = [
    "REQUIREMENTS",
    "Facets",
    "Fork",
    "Nonconformant",
    "Requirement",
    "Sample",
    "Step",
    "files",
    "meaning",
    "name",
    "places",
    "reading_on",
    "sizes",
    "step",
    "tokens",
]
