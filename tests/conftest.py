"""Fixtures that many tests share. Every one cleans up after itself, whatever the test did."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.support.home import Home, temporary_folder


@pytest.fixture
def home() -> Iterator[Home]:
    """A private HOLDFAST_HOME and CLAUDE_CONFIG_DIR, and the programs to use on them."""
    made = Home(temporary_folder())
    try:
        yield made
    finally:
        made.close()
