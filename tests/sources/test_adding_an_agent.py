"""The worked example of docs/sources.md does all that a source must do."""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Final

import pytest

from holdfast.conformance import REQUIREMENTS, Requirement, Sample, name
from holdfast.conformance.mutation import fuzz

PAGE: Final = Path(__file__).parents[2] / "docs" / "sources.md"
MODULES: Final = ("holdfast.sources.agents.parrot", "holdfast.conformance.samples.parrot")


def code() -> list[str]:
    _, found, part = PAGE.read_text("utf-8").partition("\n## Adding an agent\n")
    assert found
    return re.findall(r"^```python\n(.*?)^```", part, re.MULTILINE | re.DOTALL)


@pytest.fixture(scope="module")
def sample() -> Iterator[Sample]:
    """The page's blocks, each as the module that the page says it is."""
    blocks = code()
    assert len(blocks) == len(MODULES)
    for module_name, block in zip(MODULES, blocks, strict=True):
        module = sys.modules[module_name] = ModuleType(module_name)
        exec(compile(block, module_name, "exec"), module.__dict__)  # the page's own
    yield sys.modules[MODULES[1]].SAMPLE
    for module_name in MODULES:
        del sys.modules[module_name]


@pytest.mark.parametrize("requirement", REQUIREMENTS, ids=name)
def test_the_example_conforms(requirement: Requirement, sample: Sample, tmp_path: Path) -> None:
    requirement(sample, tmp_path)


def test_the_example_survives_damage(sample: Sample, tmp_path: Path) -> None:
    assert fuzz(sample, tmp_path, seconds=0.5).problems == []


def test_the_example_is_read_where_the_page_says(sample: Sample) -> None:
    place = sample.source([]).default_place({"PARROT_HOME": "/bird"})  # type: ignore[attr-defined]
    assert (place.roots, place.origin) == (["/bird"], "$PARROT_HOME")
