"""Reading the files of one session of Cline's. Each is a log of its own, all of one session."""

from __future__ import annotations

import os
from contextlib import suppress
from typing import Final

from msgspec import Raw

from holdfast.sources.agents.cline.parser import ConversationParser, ManifestParser, ShownParser
from holdfast.sources.agents.cline.records import Manifest, Shown, read_manifest, read_shown
from holdfast.sources.base import Log, Means
from holdfast.sources.documents import Piece, cut
from holdfast.sources.loose import tolerant
from holdfast.sources.text import instant, instant_of_ms
from holdfast.sources.wholefiles import DocumentReader, beginning

MANIFEST_BYTES_MAX: Final = 1_048_576
SHOWN_BYTES_MAX: Final = 1_048_576  # of one message, when only its time is wanted
TIMES_MAX: Final = 262_144
HISTORY: Final = "api_conversation_history.json"
SHOWN: Final = "ui_messages.json"
MESSAGES: Final = ".messages.json"


class SessionMessages(DocumentReader):
    """`<id>.messages.json`."""

    arrays = frozenset({"messages"})

    def __init__(self, log: Log, means: Means) -> None:
        manifest = _manifest(log)
        parser = ConversationParser(
            log,
            means.blobs,
            {},
            began_at=instant(manifest.started_at),
            cwd=manifest.cwd or manifest.workspace_root or "",
        )
        super().__init__(log, means, parser)


class SessionManifest(DocumentReader):
    """`<id>.json`."""

    arrays = frozenset[str]()

    def __init__(self, log: Log, means: Means) -> None:
        super().__init__(log, means, ManifestParser(log, means.blobs))


class TaskHistory(DocumentReader):
    """`api_conversation_history.json`, an array; times stand in the file beside it."""

    arrays = frozenset[str]()

    def __init__(self, log: Log, means: Means) -> None:
        times = _times(os.path.join(os.path.dirname(log.path), SHOWN))
        parser = ConversationParser(log, means.blobs, times, began_at=_began_at(log))
        super().__init__(log, means, parser)


class TaskShown(DocumentReader):
    """`ui_messages.json`, an array."""

    arrays = frozenset[str]()

    def __init__(self, log: Log, means: Means) -> None:
        super().__init__(log, means, ShownParser(log, means.blobs, began_at=_began_at(log)))


def _began_at(log: Log) -> str:
    """Tasks are named by the millisecond in which they began."""
    name = log.agent_session_id
    return (
        instant_of_ms(int(name)) if name.isdecimal() and len(name) == len("1767603600000") else ""
    )


def _manifest(log: Log) -> Manifest:
    name = log.relative.split("/")[0]
    written = beginning(os.path.join(log.root, name, f"{name}.json"), MANIFEST_BYTES_MAX)
    return tolerant(read_manifest, Raw(written), Manifest())


def _times(path: str) -> dict[int, float]:
    """When a message came: what the editor shows knows how many there were before."""
    times: dict[int, float] = {}
    with suppress(OSError):
        fd = os.open(path, os.O_RDONLY | os.O_NONBLOCK)
        try:
            for piece in cut(fd, os.fstat(fd).st_size, frozenset(), SHOWN_BYTES_MAX):
                if isinstance(piece, Piece) and piece.content and len(times) < TIMES_MAX:
                    shown = tolerant(read_shown, Raw(piece.content), Shown())
                    if shown.conversation_history_index is not None and shown.ts:
                        times.setdefault(shown.conversation_history_index + 1, shown.ts)
        finally:
            os.close(fd)
    return times
