"""A log that remembers what it was told."""

from __future__ import annotations

from typing import Any


class RememberedLog:
    def __init__(self) -> None:
        self.records: list[tuple[str, str, dict[str, Any]]] = []  # level, event, fields

    def debug(self, event: str, /, **fields: object) -> None:
        self.records.append(("debug", event, fields))

    def info(self, event: str, /, **fields: object) -> None:
        self.records.append(("info", event, fields))

    def warning(self, event: str, /, **fields: object) -> None:
        self.records.append(("warning", event, fields))

    def error(self, event: str, /, **fields: object) -> None:
        self.records.append(("error", event, fields))

    def names(self) -> list[str]:
        return [event for _level, event, _fields in self.records]
