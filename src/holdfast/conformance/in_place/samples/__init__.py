"""One module per agent with `SAMPLES` of its stores: one for each way to keep sessions."""

from __future__ import annotations

from collections.abc import Sequence
from importlib import import_module
from pkgutil import iter_modules
from typing import Final

from holdfast.conformance.in_place.sample import StoreSample

NAMES: Final = tuple(
    sorted(module.name for module in iter_modules(__path__) if not module.name.startswith("_"))
)


def samples_of(agent: str) -> Sequence[StoreSample]:
    if agent not in NAMES:
        raise KeyError(agent)
    samples: Sequence[StoreSample] = import_module(f"{__name__}.{agent}").SAMPLES
    return samples
