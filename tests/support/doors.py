"""A door for tests: the screens are compiled once for all of them."""

from __future__ import annotations

from functools import cache

from holdfast.privacy import Door
from holdfast.privacy.screen import compiled
from holdfast.settings import Privacy

screen = cache(compiled)


def door(privacy: Privacy | None = None) -> Door:
    return Door.from_settings(privacy or Privacy(), screen())
