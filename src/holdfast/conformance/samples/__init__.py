"""One module per agent with a `SAMPLE` of its logs. What is in here is put through the kit."""

from __future__ import annotations

from importlib import import_module
from pkgutil import iter_modules
from typing import Final

from holdfast.conformance.sample import Sample

NAMES: Final = tuple(
    sorted(module.name for module in iter_modules(__path__) if not module.name.startswith("_"))
)


def sample_of(agent: str) -> Sample:
    if agent not in NAMES:
        raise KeyError(agent)
    sample: Sample = import_module(f"{__name__}.{agent}").SAMPLE
    return sample
