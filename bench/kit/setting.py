"""What a run gives to every bench: how large to be, where to put things, and what to read."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cached_property
from pathlib import Path

from bench.kit.corpora import Corpora


class Setting:
    """One per run. Scale 1 is what the bars are about; less is for trying out and for tests."""

    def __init__(self, scale: float, work: Path) -> None:
        self.scale = scale
        self.work = work

    @cached_property
    def corpora(self) -> Corpora:
        return Corpora(self.work / "corpora", self.scale)

    def count(self, full: int, *, least: int = 1) -> int:
        return max(least, round(full * self.scale))

    def seconds(self, full: float, *, least: float = 0.2) -> float:
        return max(least, full * self.scale)

    @contextmanager
    def folder(self, name: str) -> Iterator[Path]:
        """An empty folder that is gone afterwards."""
        path = Path(tempfile.mkdtemp(prefix=f"{name}-", dir=self.work))
        try:
            yield path
        finally:
            shutil.rmtree(path, ignore_errors=True)
