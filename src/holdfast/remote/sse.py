"""Server-sent events, read from bytes as they come."""

from __future__ import annotations

from typing import NamedTuple


class ServerEvent(NamedTuple):
    id: str
    event: str
    data: str


class EventParser:
    """`feed` gives the events that are whole; what is not waits for more."""

    def __init__(self) -> None:
        self._rest = b""
        self._fields: dict[str, str] = {}

    def feed(self, chunk: bytes) -> list[ServerEvent]:
        *lines, self._rest = (self._rest + chunk).split(b"\n")
        events = []
        for line in lines:
            if not line:
                if "data" in self._fields:
                    fields = self._fields
                    events.append(
                        ServerEvent(
                            fields.get("id", ""), fields.get("event", "message"), fields["data"]
                        )
                    )
                self._fields = {}
                continue
            name, _, value = line.decode("utf-8", "replace").partition(":")
            if name:  # a line that begins with a colon says that somebody is still there
                value = value.removeprefix(" ")
                held = self._fields.get(name)
                joined = value if name != "data" or held is None else f"{held}\n{value}"
                self._fields[name] = joined
        return events
