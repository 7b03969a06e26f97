"""What every source of items must do: those whose logs change where they stand.

It is the second half of the kit, for files that are written anew and for databases. A requirement
has the agent change its store, reads it with the same planning and reading as the daemon, and
looks at what came of it.
"""

from __future__ import annotations

# Importing a module of requirements is what registers them.
from holdfast.conformance.in_place import changing, meaning, places, resuming, sizes, tearing
from holdfast.conformance.in_place.sample import (
    STORE_REQUIREMENTS,
    Entries,
    Entry,
    Keeper,
    StoreRequirement,
    StoreSample,
)

__all__ = [
    "STORE_REQUIREMENTS",
    "Entries",
    "Entry",
    "Keeper",
    "StoreRequirement",
    "StoreSample",
    "changing",
    "meaning",
    "places",
    "resuming",
    "sizes",
    "tearing",
]
