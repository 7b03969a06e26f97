"""The generated logs that benches read: made once per run, of the design's distribution."""

from __future__ import annotations

import os
from collections.abc import Iterator
from datetime import UTC, datetime
from functools import cached_property
from pathlib import Path
from typing import Final

import msgspec

from holdfast.blobstore import BlobStore
from holdfast.demo import FULL_BYTES, FULL_SESSIONS, Manifest, generate
from holdfast.events import Event, decode_lines, session_id
from holdfast.ingest.gathering import ReadingLimits
from holdfast.ingest.reading import Reading, starting_cursor
from holdfast.journal.model import Batch
from holdfast.privacy import Door
from holdfast.settings import Privacy
from holdfast.sources.agents.claude import Agent as ClaudeSource

BLOCK_BYTES: Final = 262_144  # the default of snapshots.block_bytes
MAX_LINE_BYTES: Final = 4_194_304  # the default of ingest.max_line_bytes
MIB: Final = 1 << 20

_SEED: Final = 1
_NOW: Final = datetime(2026, 3, 1, tzinfo=UTC)
_KNOWN_SESSIONS: Final = 300
_KNOWN_BYTES: Final = 30_000_000
_LONG_EVENTS: Final = 10_000
_BYTES_PER_EVENT: Final = 6_500  # of log, generously: a long session is cut when it is long enough


class LongSession(msgspec.Struct, frozen=True):
    """A log that gives just as many events as asked for, or the few more of its last line."""

    root: Path
    path: Path
    session: str
    events: int
    bytes: int


class Corpora:
    """Each corpus is made when it is first asked for."""

    def __init__(self, folder: Path, scale: float) -> None:
        self._folder = folder
        self._scale = scale

    @cached_property
    def full(self) -> Manifest:
        """All of a heavy user's disk: what first import is measured on."""
        return self._generate("full", FULL_SESSIONS, FULL_BYTES)

    @cached_property
    def known(self) -> Manifest:
        """Many small sessions, for what depends on their number alone."""
        return self._generate("known", _KNOWN_SESSIONS, _KNOWN_BYTES)

    @cached_property
    def long(self) -> LongSession:
        """One session of 10,000 events."""
        wanted = max(200, round(_LONG_EVENTS * self._scale))
        return self._cut(self._generate_one(wanted * _BYTES_PER_EVENT), wanted)

    def _generate(self, name: str, sessions: int, total_bytes: int) -> Manifest:
        return generate(
            self._folder / name,
            seed=_SEED,
            now=_NOW,
            sessions=max(4, round(sessions * self._scale)),
            total_bytes=max(400_000, round(total_bytes * self._scale)),
        )

    def _generate_one(self, total_bytes: int) -> Manifest:
        root = self._folder / "long"
        return generate(root, seed=_SEED, now=_NOW, sessions=1, total_bytes=total_bytes)

    def _cut(self, manifest: Manifest, wanted: int) -> LongSession:
        log = manifest.sessions[0]
        count, last = 0, -1
        for event in _events(manifest.root, log.path):
            assert event.source is not None
            offset = event.source.offset
            if count >= wanted and offset != last:
                os.truncate(log.path, offset)
                session = session_id("claude", log.session)
                return LongSession(manifest.root, log.path, session, count, offset)
            count, last = count + 1, offset
        raise AssertionError(f"{log.bytes:,} bytes of log gave only {count:,} events: make it more")


def _events(root: Path, path: Path) -> Iterator[Event]:
    for batch in read_log(root, path):
        yield from decode_lines(batch.lines)


def read_log(root: Path, path: Path, *, sealed: bool = False) -> Iterator[Batch]:
    """The batches that ingest makes of a log: the real reader, in this process."""
    source = ClaudeSource([str(root)])
    log = source.identify(os.path.realpath(path))
    assert log is not None, f"{path} is not below {root}"
    blobs = root.parent / f"{root.name}-blobs"
    blobs.mkdir(exist_ok=True)
    reading = Reading(
        source,
        log,
        starting_cursor(log, session_id(log.agent, log.agent_session_id)),
        first_seq=0,
        limits=ReadingLimits(BLOCK_BYTES, MAX_LINE_BYTES),
        blobs=BlobStore(str(blobs)),
        door=Door.from_settings(Privacy()),
        sealed=sealed,
    )
    fd = os.open(path, os.O_RDONLY)
    try:
        yield from reading.batches(fd)
    finally:
        os.close(fd)


def events_of(long: LongSession) -> tuple[list[Event], Batch]:
    """The events of a session, and the last batch, whose facts and cursor are the whole's."""
    events: list[Event] = []
    batch: Batch | None = None
    for batch in read_log(long.root, long.path):
        events += decode_lines(batch.lines)
    assert batch is not None
    return events, batch


def described(manifest: Manifest) -> str:
    return (
        f"generated logs of the design's distribution: {len(manifest.sessions):,} sessions, "
        f"{len(manifest.files):,} files, {manifest.lines:,} lines, {manifest.bytes / 1e6:,.1f} MB"
    )
