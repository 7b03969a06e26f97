"""docs/bugs.md names tests that are there."""

from __future__ import annotations

import re
from pathlib import Path

ROOT = Path(__file__).parents[2]


def test_every_bug_has_a_test_that_exists() -> None:
    rows = [
        line
        for line in (ROOT / "docs" / "bugs.md").read_text("utf-8").splitlines()
        if line.startswith("| ") and not line.startswith("| what was wrong")
    ]
    assert rows
    for row in rows:
        named = re.findall(r"`(tests/[\w/]+\.py)(?:::(\w+))?`", row)
        assert named, f"no test is named for: {row}"
        for path, test in named:
            assert f"def {test}" in (ROOT / path).read_text("utf-8"), f"{path} has no {test}"
