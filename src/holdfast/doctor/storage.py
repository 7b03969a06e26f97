"""The journal and the payloads beside it: damage, lag, sizes, what is missing."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from contextlib import suppress
from typing import Final

from holdfast.blobstore import PARTIAL, BlobStore, DamagedBlob, MissingBlob
from holdfast.checks import Check, Fact, counted, maker, size
from holdfast.doctor.evidence import Evidence
from holdfast.errors import HoldfastError
from holdfast.journal.checkpoints import HELD_FACTOR
from holdfast.journal.examine import examine
from holdfast.journal.model import BlobFilter, BlobRow
from holdfast.journal.reader import SqliteReader
from holdfast.journal.sqlite import is_emptied

LAG_MANY: Final = 100_000
SAMPLE: Final = 64  # payloads whose content is compared
SAMPLE_BYTES: Final = 64 << 20
UNREFERENCED_MANY_BYTES: Final = 64 << 20
IN_FLIGHT_S: Final = 3_600.0  # a payload that is as young may belong to a batch on its way
SHOWN: Final = 10

_check: Final = maker("journal")
_payload: Final = maker("payloads")


def checks(evidence: Evidence) -> Iterator[Check]:
    path = evidence.paths.journal
    if not os.path.exists(path):
        yield _check("journal", "ok", "there is no journal yet; `holdfast up` makes one")
        return
    if is_emptied(path):
        yield _check(
            "journal",
            "problem",
            "the journal is an empty file",
            {"file_bytes": 0},
            "put a backup in its place before the next start, which makes a new one of what the "
            "agents' logs still hold; if it never held anything, start holdfast",
        )
        return
    try:
        reader = SqliteReader(path)
    except HoldfastError as error:
        yield _check(
            "journal",
            "problem",
            "the journal cannot be opened",
            {"exit": int(error.exit)},
            "do what is said here; more is in docs/operations.md, “When things go wrong”",
            particulars=(str(error),),
        )
        return
    try:
        yield _integrity(evidence)
        yield _index(evidence, reader)
        yield _log(path, evidence.settings.journal.wal_max_bytes)
        yield _backups(path, evidence.now_s)
        yield from _payloads(evidence, reader.blobs(BlobFilter(dropped=True)))
    finally:
        reader.close()


def _integrity(evidence: Evidence) -> Check:
    found = examine(
        evidence.paths.journal,
        full=evidence.full,
        limit_s=evidence.time_limit_s,
        on_progress=evidence.on_progress,
    )
    facts: dict[str, Fact] = {
        "file_bytes": os.path.getsize(evidence.paths.journal),
        "structure_finished": found.structure_finished,
        "blocks": found.blocks,
        "blocks_checked": found.blocks_checked,
        "problems": len(found.problems),
        "seconds": found.seconds,
    }
    if found.problems:
        return _check(
            "integrity",
            "problem",
            f"the journal is damaged in {counted(len(found.problems), 'place')}",
            facts,
            "stop holdfast, keep a copy of the file, put a backup in its place; what the agents' "
            "logs still hold is imported again",
            particulars=tuple(found.problems),
        )
    looked = f"{found.blocks_checked:,} of {counted(found.blocks, 'block')}"
    if not found.finished:
        whole = "the database" if not found.structure_finished else "all blocks"
        return _check(
            "integrity",
            "unknown",
            f"no damage in {looked}, but {whole} could not be looked at in {found.seconds:.0f} s",
            facts,
            "`holdfast doctor --full` takes the time that it takes",
        )
    return _check("integrity", "ok", f"no damage: the database and {looked}", facts)


def _index(evidence: Evidence, reader: SqliteReader) -> Check:
    totals = reader.totals()
    lag = totals.next_position - totals.indexed_position
    facts: dict[str, Fact] = {"index_lag_events": lag, "events": totals.events}
    if not lag:
        return _check("index", "ok", f"all {totals.events:,} events can be searched", facts)
    said = f"{lag:,} of {totals.events:,} events cannot be searched yet"
    if not evidence.answers:
        return _check("index", "ok", f"{said}; the next start sees to it", facts)
    if lag < LAG_MANY:
        return _check("index", "ok", f"{said}; it is being seen to", facts)
    return _check("index", "warning", said, facts, "wait; it is fed when nothing else is stored")


def _log(path: str, limit_bytes: int) -> Check:
    found = _size(f"{path}-wal")
    facts: dict[str, Fact] = {"wal_bytes": found, "limit_bytes": limit_bytes}
    if found > HELD_FACTOR * limit_bytes:
        return _check(
            "write-ahead-log",
            "warning",
            f"the write-ahead log has grown to {size(found)}: something reads the journal and does "
            "not stop, so that it cannot be emptied",
            facts,
            "end programs that have journal.db open (`lsof`), then `holdfast restart`",
        )
    return _check("write-ahead-log", "ok", f"the write-ahead log has {size(found)}", facts)


def _backups(path: str, now_s: float) -> Check:
    folder, name = os.path.split(path)
    copies = [
        os.path.join(folder, each)
        for each in os.listdir(folder)
        if each.startswith(f"{name}.") and ".backup" in each
    ]
    partial = [each for each in copies if ".partial" in each]
    whole = [each for each in copies if each not in partial]
    facts: dict[str, Fact] = {
        "copies": len(whole),
        "bytes": sum(map(_size, whole)),
        "unfinished": len(partial),
        "newest_age_days": round(min((now_s - os.path.getmtime(p)) / 86_400 for p in whole), 1)
        if whole
        else None,
    }
    if partial:
        return _check(
            "backups",
            "warning",
            f"a copy of the journal was not finished ({size(sum(map(_size, partial)))})",
            facts,
            "remove `journal.db.*.partial*` in the data folder while holdfast is stopped",
        )
    if whole:
        said = f"{len(whole)} copies from before an upgrade, {size(sum(map(_size, whole)))}"
        return _check("backups", "ok", f"{said}; `holdfast clean` removes them", facts)
    return _check(
        "backups", "ok", "no copy beside the journal; yours elsewhere are not known", facts
    )


def _payloads(evidence: Evidence, rows: list[BlobRow]) -> Iterator[Check]:
    blobs = BlobStore(evidence.paths.blobs)
    kept = [row for row in rows if not row.dropped_at]
    known = {row.digest for row in rows}
    missing = [row.digest for row in kept if not os.path.exists(blobs.path(row.digest))]
    cut = [
        row.digest
        for row in kept
        if row.digest not in missing and _size(blobs.path(row.digest)) != row.stored_bytes
    ]
    facts: dict[str, Fact] = {
        "payloads": len(kept),
        "stored_bytes": sum(row.stored_bytes for row in kept),
        "missing": len(missing),
        "other_size": len(cut),
    }
    if missing or cut:
        yield _payload(
            "payloads",
            "problem",
            f"of {len(kept):,} payloads {len(missing):,} are missing and {len(cut):,} are not as "
            "large as they were stored",
            facts,
            "put the blobs folder back from a backup; the conversations themselves are whole",
            particulars=tuple([*missing, *cut][:SHOWN]),
        )
    else:
        said = f"{counted(len(kept), 'payload')}, {size(sum(row.stored_bytes for row in kept))}"
        yield _payload("payloads", "ok", f"{said}, none missing", facts)
    yield _content(evidence, blobs, [row for row in kept if row.digest not in missing])
    yield _leftovers(evidence, known)


def _content(evidence: Evidence, blobs: BlobStore, kept: list[BlobRow]) -> Check:
    """A sample over all ages, the same each time, unless all is asked for."""
    chosen = kept if evidence.full else kept[:: max(1, len(kept) // SAMPLE)][:SAMPLE]
    damaged: list[str] = []
    looked = looked_bytes = 0
    for row in chosen:
        if not evidence.full and looked_bytes + row.bytes > SAMPLE_BYTES:
            continue
        evidence.on_progress("payloads", looked / max(1, len(chosen)))
        looked += 1
        looked_bytes += row.bytes
        try:
            for _piece in blobs.get(row.digest):
                pass
        except (DamagedBlob, MissingBlob) as error:
            damaged.append(str(error))
    facts: dict[str, Fact] = {"payloads": len(kept), "checked": looked, "damaged": len(damaged)}
    if damaged:
        return _payload(
            "payload-content",
            "problem",
            f"{len(damaged):,} of {looked:,} payloads are not what was stored",
            facts,
            "put them back from a backup of the blobs folder",
            particulars=tuple(damaged[:SHOWN]),
        )
    return _payload(
        "payload-content",
        "ok",
        f"content of {looked:,} of {counted(len(kept), 'payload')} compared",
        facts,
    )


def _leftovers(evidence: Evidence, known: set[str]) -> Check:
    """What nothing refers to: it costs room, never content."""
    halves, strays, stray_bytes = 0, 0, 0
    folder = evidence.paths.blobs
    names = os.listdir(folder) if os.path.isdir(folder) else []
    for name in names:
        path = os.path.join(folder, name)
        if name.startswith(PARTIAL):
            halves += evidence.now_s - _mtime(path) > IN_FLIGHT_S
        elif os.path.isdir(path):
            for file in os.listdir(path):
                about = os.path.join(path, file)
                if (
                    file.removesuffix(".zst") not in known
                    and evidence.now_s - _mtime(about) > IN_FLIGHT_S
                ):
                    strays += 1
                    stray_bytes += _size(about)
    facts: dict[str, Fact] = {
        "unfinished": halves,
        "unreferenced": strays,
        "unreferenced_bytes": stray_bytes,
    }
    if stray_bytes > UNREFERENCED_MANY_BYTES:
        return _payload(
            "payload-leftovers",
            "warning",
            f"nothing refers to {strays:,} payloads ({size(stray_bytes)}), which imports that were "
            "killed have left",
            facts,
            "they do no harm; an import of the same logs takes them up again",
        )
    said = f"{counted(strays, 'payload')} that nothing refers to, {halves:,} unfinished"
    return _payload("payload-leftovers", "ok", said, facts)


def _size(path: str) -> int:
    with suppress(OSError):
        return os.path.getsize(path)
    return 0


def _mtime(path: str) -> float:
    with suppress(OSError):
        return os.path.getmtime(path)
    return time.time()
