"""One module per agent. What is in this folder is an agent: adding one is adding a file here.

Each module is named after its agent and has a class `Agent`, which is its source. This file knows
the names without importing any of them.
"""

from __future__ import annotations

from pkgutil import iter_modules
from typing import Final

NAMES: Final = tuple(sorted(module.name for module in iter_modules(__path__)))
