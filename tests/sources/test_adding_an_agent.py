"""The worked examples of docs/sources.md do all that a source must do."""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator
from pathlib import Path
from time import process_time
from types import ModuleType
from typing import Final

import pytest

from holdfast.conformance import REQUIREMENTS, Requirement, Sample, name
from holdfast.conformance.in_place import STORE_REQUIREMENTS, StoreRequirement, StoreSample
from holdfast.conformance.in_place.fuzzing import fuzz_stores
from holdfast.conformance.mutation import fuzz

PAGE: Final = Path(__file__).parents[2] / "docs" / "sources.md"
MODULES: Final = (
    "holdfast.sources.agents.parrot",
    "holdfast.conformance.samples.parrot",
    "holdfast.sources.agents.heron",
    "holdfast.conformance.in_place.samples.heron",
)


def code() -> list[str]:
    _, found, part = PAGE.read_text("utf-8").partition("\n## Adding an agent\n")
    assert found
    return re.findall(r"^```python\n(.*?)^```", part, re.MULTILINE | re.DOTALL)


@pytest.fixture(scope="module")
def modules() -> Iterator[None]:
    """The page's blocks, each as the module that the page says it is."""
    blocks = code()
    assert len(blocks) == len(MODULES)
    for module_name, block in zip(MODULES, blocks, strict=True):
        module = sys.modules[module_name] = ModuleType(module_name)
        exec(compile(block, module_name, "exec"), module.__dict__)  # the page's own
    yield
    for module_name in MODULES:
        del sys.modules[module_name]


@pytest.fixture
def sample(modules: None) -> Sample:
    found: Sample = sys.modules[MODULES[1]].SAMPLE
    return found


@pytest.fixture
def store(modules: None) -> StoreSample:
    [found] = sys.modules[MODULES[3]].SAMPLES
    assert isinstance(found, StoreSample)
    return found


@pytest.mark.parametrize("requirement", REQUIREMENTS, ids=name)
def test_the_example_conforms(requirement: Requirement, sample: Sample, tmp_path: Path) -> None:
    requirement(sample, tmp_path)


def test_the_example_survives_damage(sample: Sample, tmp_path: Path) -> None:
    assert fuzz(sample, tmp_path, seconds=0.5, clock=process_time).problems == []


def test_the_example_is_read_where_the_page_says(sample: Sample) -> None:
    place = sample.source([]).default_place({"PARROT_HOME": "/bird"})  # type: ignore[attr-defined]
    assert (place.roots, place.origin) == (["/bird"], "$PARROT_HOME")


@pytest.mark.parametrize("requirement", STORE_REQUIREMENTS, ids=name)
def test_the_example_that_changes_in_place_conforms(
    requirement: StoreRequirement, store: StoreSample, tmp_path: Path
) -> None:
    requirement(store, tmp_path)


def test_the_example_that_changes_in_place_survives_damage(
    store: StoreSample, tmp_path: Path
) -> None:
    assert fuzz_stores([store], tmp_path, seconds=1.0, clock=process_time).problems == []
