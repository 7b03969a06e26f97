"""Sizes that nobody writes by hand: they take time and disk, never memory.

The normal run takes a part of each; HOLDFAST_TEST_FULL_SIZES=1 takes 1 GB and 100,000 files.
"""

from __future__ import annotations

import hashlib
import json
import os
from typing import Final

import pytest

from holdfast.blobstore import DIGEST_BYTES, BlobStore
from holdfast.demo import lines as demo
from tests.support import processes
from tests.support.gemini import gemini, tool
from tests.support.home import Home, talk
from tests.support.waiting import until

FULL: Final = os.environ.get("HOLDFAST_TEST_FULL_SIZES") == "1"
LINE_BYTES: Final = 1_000_000_000 if FULL else 300_000_000
FILES: Final = 100_000 if FULL else 20_000
CHANGED_STEP: Final = 10  # every so manieth file has grown when the daemon starts
CEILING_BYTES: Final = 200 << 20
LONG_S: Final = 600.0
PIECE: Final = b"0123456789abcdefghijklmnopqrstuvwxyz-_" * 27_000


def write_giant(home: Home, name: str) -> tuple[int, str]:
    """One line of a gigabyte between two that are ordinary; its length and digest."""
    head, _, tail = demo.user_line("GIANT").partition(b"GIANT")
    path = home.write_log(name, *talk(1))
    hasher = hashlib.blake2b(digest_size=DIGEST_BYTES)
    length = 0
    with open(path, "ab", buffering=0) as file:

        def write(piece: bytes) -> None:
            nonlocal length
            file.write(piece)
            hasher.update(piece)
            length += len(piece)

        write(head)
        while length < LINE_BYTES:
            write(PIECE)
        write(tail.rstrip(b"\n"))
        file.write(b"\n")
        file.writelines(talk(1, start=1))
    return length, hasher.hexdigest()


@pytest.mark.slow
def test_a_giant_line_goes_by_in_bounded_memory(home: Home) -> None:
    length, digest = write_giant(home, "giant")
    home.write_log("other", *talk(2))
    importing = home.spawn("import", "--json", "--quiet")
    try:
        with processes.watch_memory(importing.pid) as peak:
            importing.communicate(timeout=LONG_S)
    finally:
        importing.kill()
        importing.communicate()
    print(f"{length:,} bytes: peak {peak.bytes / 1e6:.1f} MB in {peak.samples} samples")
    assert importing.returncode == 0
    assert peak.samples > 3
    assert peak.bytes < CEILING_BYTES
    check_giant(home, length, digest)


def check_giant(home: Home, length: int, digest: str) -> None:
    found = home.ok("status", "--json").json["sources"][0]["bytes"]
    size = sum(os.path.getsize(home.log_path(name)) for name in ("giant", "other"))
    assert (found["seen"], found["unknown"], found["bad"]) == (size, length + 1, 0)
    with home.reader() as reader:
        (blob,) = reader.blobs()
    assert (blob.digest, blob.bytes) == (digest, length)
    hasher = hashlib.blake2b(digest_size=DIGEST_BYTES)
    for piece in BlobStore(home.paths.blobs).get(digest):
        hasher.update(piece)
    assert hasher.hexdigest() == digest, "what is kept is what was written"
    shown = [event["text"] for event in home.ok("show", "giant", "--all", "--json").json["shown"]]
    assert shown == ["word 0", f"[a line of {length:,} bytes]", "word 1"]
    assert home.sessions()["other"]["events"] == 2


@pytest.mark.slow
def test_the_daemon_follows_others_while_a_giant_line_is_read(home: Home) -> None:
    home.write_log("other", *talk(2))
    with home.daemon() as daemon:
        daemon.wait_for("other", 2)
        with processes.watch_memory(daemon.pid) as peak:
            write_giant(home, "giant")
            home.append_log("other", *talk(1, start=2))
            daemon.wait_for("other", 3)
            until(lambda: daemon.events("giant") == 3, "the giant is read", deadline_s=LONG_S)
        print(f"peak {peak.bytes / 1e6:.1f} MB in {peak.samples} samples")
        assert peak.bytes < CEILING_BYTES
        assert daemon.terminate() == 0


def write_giant_session(home: Home) -> int:
    """A document of many messages, and one message that is most of it; how many there are."""
    path = home.write_session("session-giant.json", b'{"sessionId":"s","messages":[')
    count = 0
    with open(path, "ab") as file:
        for share in (0.4, 0.8):
            while os.path.getsize(path) < share * LINE_BYTES:
                message = gemini(f"m{count}", toolCalls=[tool(f"t{count}", "x" * 50_000)])
                file.write(json.dumps(message).encode() + b",")
                file.flush()
                count += 1
        file.write(b'{"id":"giant","type":"user","content":"')
        while file.tell() < LINE_BYTES:
            file.write(PIECE)
        file.write(b'"}]}')
    return count


@pytest.mark.slow
def test_a_giant_document_goes_by_in_bounded_memory_and_then_in_peace(home: Home) -> None:
    count = write_giant_session(home)
    importing = home.spawn("import", "--json", "--quiet")
    try:
        with processes.watch_memory(importing.pid) as peak:
            out, _ = importing.communicate(timeout=LONG_S)
    finally:
        importing.kill()
        importing.communicate()
    report = json.loads(out)
    size = os.path.getsize(home.session_path("session-giant.json"))
    print(f"{size:,} bytes: peak {peak.bytes / 1e6:.1f} MB in {peak.samples} samples")
    assert peak.samples > 3
    assert peak.bytes < CEILING_BYTES
    assert (report["problems"], report["bytes"]["seen"]) == ([], size)
    assert report["events"] == 2 * count + 1
    os.utime(home.session_path("session-giant.json"))
    with home.daemon() as daemon, processes.watch_memory(daemon.pid) as peak:
        until(
            lambda: daemon.status()["importing"]["done_bytes"] >= size,
            "it is read again",
            deadline_s=LONG_S,
            detail=daemon.status,
        )
        assert daemon.events("session-giant") == report["events"], "and there is nothing new in it"
    print(f"again: peak {peak.bytes / 1e6:.1f} MB in {peak.samples} samples")
    assert peak.bytes < CEILING_BYTES


def append(home: Home, number: int, line: bytes) -> None:
    project = f"-project-{number // 1_000}"
    if not number % 1_000:
        os.makedirs(os.path.join(home.projects, project), exist_ok=True)
    with open(home.log_path(f"{number:06}", project), "ab", buffering=0) as file:
        file.write(line)


@pytest.mark.slow
def test_very_many_files_are_read_in_bounded_memory(home: Home) -> None:
    """First by an import, then by a daemon that finds many of them changed."""
    for number in range(FILES):
        append(home, number, talk(1, words=f"{number:06}")[0])
    importing = home.spawn("import", "--json", "--quiet")
    try:
        with processes.watch_memory(importing.pid) as peak:
            out, said = importing.communicate(timeout=LONG_S)
    finally:
        importing.kill()
        importing.communicate()
    print(f"import of {FILES:,}: peak {peak.bytes / 1e6:.1f} MB in {peak.samples} samples")
    assert importing.returncode == 0, said
    assert f'"sessions":{FILES},'.encode() in out
    assert peak.bytes < CEILING_BYTES
    (line,) = talk(1, start=1)
    for number in range(0, FILES, CHANGED_STEP):
        append(home, number, line)
    with home.daemon() as daemon, processes.watch_memory(daemon.pid) as peak:

        def all_read() -> bool:
            status = daemon.status()
            return bool(
                status["sessions"]["events"] == FILES + FILES // CHANGED_STEP
                and not status["importing"]["running"]
            )

        until(all_read, "all is read", deadline_s=LONG_S, poll_s=0.25)
        append(home, 1, line)
        until(
            lambda: home.ok("show", "claude/000001", "--json").json["events"] == 2, "it is followed"
        )
        assert len(home.ok("sessions", "--json", "-n", "50").json) == 50
        assert home.ok("search", "--json", "000777").json
        assert daemon.process.poll() is None
        print(f"daemon over {FILES:,}: peak {peak.bytes / 1e6:.1f} MB in {peak.samples} samples")
        assert peak.bytes < CEILING_BYTES
