"""What a person may attach to a bug report without reading it first.

One `.tar.gz` of figures: no text of a conversation, no title, no path of a project, a log or a
recording, no value of a setting that is free text. `clean.py` says how that is kept; `README.txt`
in the bundle says what is in it.
"""

from __future__ import annotations

import io
import os
import tarfile
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any, ClassVar, Final

import msgspec
from msgspec.inspect import LiteralType

from holdfast.doctor.clean import Places, cleaned, trace
from holdfast.doctor.evidence import Evidence
from holdfast.doctor.report import Report
from holdfast.errors import Exit, HoldfastError
from holdfast.observe.logs import AUDIT_FILE, OPERATIONAL_FILE, tail
from holdfast.settings import Loaded, describe, rows
from holdfast.status import Status
from holdfast.status.crash import MAX_BYTES as TRACE_MAX_BYTES
from holdfast.status.crash import CrashFile
from holdfast.status.model import MemoryStatus

FOLDER: Final = "holdfast-doctor"
RECORDS: Final = 2_000  # of each log, the newest
SESSIONS: Final = 20
HISTORY: Final = "history.zst"  # numbers throughout
HISTORY_MAX_BYTES: Final = 4 << 20
README: Final = """\
What `holdfast doctor --bundle` gathered, to be attached to a bug report.

doctor.json    every check with its verdict, evidence and remedy
status.json    the status: memory, limits, counts of sources, sessions, recordings
settings.json  what holds, and whether that comes from the file, a variable or the default;
               of settings that are free text only whether they are set
logs/          the newest records of holdfast's own two logs
history.zst    the main figures of the last day, when there are any (zstd)
crash*.txt     where the program was when it crashed, if it did

It holds no text of a conversation, no title, and no path of a project, a log or a recording.
Where such a text stood, its length stands in parentheses, beside what the operating system said.
Numbers, times, names of agents, ids of sessions (digests) and holdfast's own words are as they
were. `<data>`, `<state>`, `<run>`, `<config>` and `~` stand for folders.
"""


class BundleExists(HoldfastError):
    """There is a file of that name."""

    exit: ClassVar[Exit] = Exit.REFUSED


class BundleFailed(HoldfastError):
    """The bundle cannot be written."""


def write_bundle(path: str, report: Report, evidence: Evidence, *, force: bool) -> list[str]:
    """Whole or not at all, for this user alone; the names of what is in it."""
    if os.path.lexists(path) and not force:
        raise BundleExists(f"{path} exists: take another name, or replace it with --force")
    members = dict(_members(report, evidence))
    partial = f"{path}.{os.getpid()}.partial"
    try:
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
        with (
            os.fdopen(os.open(partial, flags, 0o600), "wb") as file,
            tarfile.open(fileobj=file, mode="w:gz") as archive,
        ):
            for name, content in members.items():
                about = tarfile.TarInfo(f"{FOLDER}/{name}")
                about.size, about.mode, about.mtime = len(content), 0o600, int(time.time())
                archive.addfile(about, io.BytesIO(content))
        if force:
            os.replace(partial, path)
        else:
            os.link(partial, path)  # refuses what came meanwhile
    except FileExistsError:
        raise BundleExists(f"{path} exists: take another name, or --force") from None
    except OSError as error:
        raise BundleFailed(
            f"cannot write {path} ({error.strerror}): name a file in a folder that you can write to"
        ) from error
    finally:
        with suppress(OSError):
            os.unlink(partial)
    return list(members)


def _members(report: Report, evidence: Evidence) -> Iterator[tuple[str, bytes]]:
    yield "README.txt", README.encode()
    places = Places(evidence.paths, evidence.environ)
    yield "doctor.json", places.hidden(_json(_without_particulars(report)).decode()).encode()
    if evidence.status is not None:
        yield "status.json", _json(_clean_status(evidence.status))
    yield "settings.json", _json(_settings(evidence.loaded))
    for name in (OPERATIONAL_FILE, AUDIT_FILE):
        records = tail(Path(evidence.paths.logs) / name, RECORDS)
        yield f"logs/{name}", b"".join(_line(record, places) for record in records)
    with suppress(OSError), open(evidence.paths.history_file, "rb") as opened:
        yield HISTORY, opened.read(HISTORY_MAX_BYTES)
    crash = CrashFile(evidence.paths.crash_file)
    for name, file in (
        ("crash.txt", crash.path),
        ("crash.last.txt", crash.kept),
    ):
        said = b""
        with suppress(OSError), open(file, "rb") as opened:
            said = opened.read(TRACE_MAX_BYTES)
        if said:
            yield name, trace(said.decode("utf-8", "replace")).encode()


def _json(value: object) -> bytes:
    return msgspec.json.format(msgspec.json.encode(value), indent=2) + b"\n"


def _line(record: dict[str, Any], places: Places) -> bytes:
    """Of `limits.low`, remedies and evidence are a check's, which hold nothing of anybody."""
    found = cleaned(record)
    if record.get("event") == "limits.low":
        for field in ("remedies", "evidence"):
            text = places.hidden(msgspec.json.encode(record.get(field)).decode())
            found[field] = msgspec.json.decode(text)
    return msgspec.json.encode(found) + b"\n"


def _without_particulars(report: Report) -> Report:
    checks = [msgspec.structs.replace(check, particulars=()) for check in report.checks]
    return msgspec.structs.replace(report, checks=checks)


def _clean_status(status: Status) -> dict[str, Any]:
    told = msgspec.to_builtins(status)
    for source in told["sources"]:
        source["unknown_types"] = len(source["unknown_types"])  # their names come from the logs
        if source["expiring"]:
            source["expiring"]["not_kept"] = len(source["expiring"]["not_kept"])
            source["expiring"].pop("digest")
    told["sessions"]["newest"] = [
        {key: each[key] for key in ("agent", "id", "updated_at", "events", "resident_bytes")}
        for each in told["sessions"]["newest"][:SESSIONS]
    ]
    told["privacy"]["redactions"] = sum(told["privacy"]["redactions"].values())  # kinds are yours
    found: dict[str, Any] = cleaned(told)
    for each, newest in zip(found["sessions"]["newest"], told["sessions"]["newest"], strict=True):
        each["id"] = newest["id"]
    if status.memory is not None:
        _name_parts(found["memory"], status.memory)
    return found


def _name_parts(found: dict[str, Any], memory: MemoryStatus) -> None:
    """Names that the program and the system give."""
    for each, component in zip(found["components"], memory.components, strict=True):
        each["name"] = component.name
    for each, child in zip(found["process"]["children"], memory.process.children, strict=True):
        each["name"] = child.name
    for each, reading in zip(found["pressure"]["readings"], memory.pressure.readings, strict=True):
        each["name"] = reading.name
    if memory.machine.group is not None:
        found["machine"]["group"]["path"] = memory.machine.group.path


def _settings(loaded: Loaded | None) -> dict[str, Any]:
    """A string that one may choose freely may be a password, a project or a place."""
    if loaded is None:
        return {"wrong": True}
    docs = {doc.key: doc for doc in describe()}
    found = {}
    for row in rows(loaded):
        doc = docs[row.key]
        value: object = row.value
        if isinstance(value, str) and not isinstance(doc.kind, LiteralType):
            value = value if value == doc.default else f"(set, {len(value)} characters)"
        elif isinstance(value, tuple | list) and value != doc.default:
            value = f"(set, {len(value)} items)"
        found[row.key] = {"value": value, "origin": loaded.origins[row.key].source}
    return found
