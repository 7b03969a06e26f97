"""The package says what others may use."""

from __future__ import annotations

import re
from pathlib import Path

from holdfast import governor

SOURCE = Path(governor.__file__).parents[1]
TAKEN = re.compile(r"^ *from holdfast\.governor\.\w+ import (?:\(([^)]*)\)|(.*))", re.MULTILINE)


def test_what_other_rooms_take_from_its_modules_is_exported() -> None:
    taken = {
        name
        for module in SOURCE.rglob("*.py")
        if module.parent.name != "governor"
        for names in TAKEN.findall(module.read_text("utf-8"))
        for name in re.findall(r"\w+", re.sub(r"#.*", "", "".join(names)))
    }
    assert len(taken) > 10
    assert taken <= set(governor.__all__)
