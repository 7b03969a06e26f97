"""A payload is stored once, comes back as it was or not at all, and costs its size in no memory."""

from __future__ import annotations

import os
import shutil
import stat
import subprocess
import sys
import tracemalloc
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from holdfast.blobstore import PARTIAL, BlobStore, DamagedBlob, MissingBlob
from holdfast.journal.model import Blob

MIB = 1 << 20


@pytest.fixture
def store(tmp_path: Path) -> BlobStore:
    return BlobStore(str(tmp_path / "blobs"))


def files(store: BlobStore) -> list[str]:
    found = [os.path.join(at, name) for at, _, names in os.walk(store._folder) for name in names]
    return sorted(found)


def whole(store: BlobStore, digest: str) -> bytes:
    return b"".join(store.get(digest))


# The folder may be the same for all examples: what is stored twice is stored once.
@settings(deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.binary(max_size=200), max_size=4))
def test_a_payload_comes_back(store: BlobStore, chunks: list[bytes]) -> None:
    payload = b"".join(chunks)
    streamed = store.put_stream(chunks)
    assert streamed.bytes == len(payload)
    assert store.put(payload) == streamed
    assert whole(store, streamed.digest) == payload
    assert streamed.stored_bytes == os.path.getsize(store.path(streamed.digest))


def test_the_same_payload_is_stored_once(store: BlobStore) -> None:
    first, second = store.put(b"picture" * 999), store.put(b"picture" * 999)
    assert first == second
    assert files(store) == [store.path(first.digest)]


def test_what_was_put_is_told_once(store: BlobStore) -> None:
    blob = store.put(b"a")
    assert store.take_stored() == [blob]
    assert store.take_stored() == []
    assert store.put(b"a") == blob  # put again is told again: another batch may refer to it
    assert store.take_stored() == [blob]


@pytest.mark.skipif(shutil.which("zstd") is None, reason="needs the zstd program")
def test_the_zstd_program_reads_a_payload(store: BlobStore) -> None:
    path = store.path(store.put(b"hello " * 99).digest)
    done = subprocess.run(["zstd", "-dc", path], capture_output=True, check=True)
    assert done.stdout == b"hello " * 99


def test_a_payload_is_never_held_whole(store: BlobStore) -> None:
    def chunks() -> Iterator[bytes]:
        for number in range(64):
            yield os.urandom(1_024) * 1_024 + bytes([number])

    tracemalloc.start()
    try:
        blob = store.put_stream(chunks())
        assert sum(map(len, store.get(blob.digest))) == blob.bytes
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert blob.bytes > 64 * MIB
    assert peak < 8 * MIB


def test_a_source_that_fails_leaves_nothing(store: BlobStore) -> None:
    def breaks() -> Iterator[bytes]:
        yield b"half"
        raise OSError("the log went away")

    with pytest.raises(OSError, match="went away"):
        store.put_stream(breaks())
    assert files(store) == []
    assert store.take_stored() == []


def test_a_crash_leaves_no_half_payload_under_its_name(store: BlobStore) -> None:
    store.put(b"whole")
    kept = files(store)
    script = (
        "import os, sys\n"
        "from holdfast.blobstore import BlobStore\n"
        "def chunks():\n"
        "    yield b'half'\n"
        "    os._exit(9)\n"
        "BlobStore(sys.argv[1]).put_stream(chunks())\n"
    )
    died = subprocess.run([sys.executable, "-I", "-c", script, store._folder], check=False)
    assert died.returncode == 9
    (left,) = set(files(store)) - set(kept)
    assert Path(left).name.startswith(PARTIAL)
    assert store.sweep_partial() == 1
    assert files(store) == kept


def test_sweeping_where_nothing_was_stored_is_no_error(store: BlobStore) -> None:
    assert store.sweep_partial() == 0


def test_the_name_of_a_payload_is_on_disk_before_it_is_told(
    store: BlobStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A journal must not refer to what a power cut takes back."""
    done: list[tuple[str, str]] = []
    replace, fsync = os.replace, os.fsync

    def note_replace(source: str, target: str) -> None:
        replace(source, target)
        done.append(("named", target))

    def note_fsync(descriptor: int) -> None:
        fsync(descriptor)
        done.append(("synced", os.readlink(f"/proc/self/fd/{descriptor}")))

    if not os.path.exists("/proc/self/fd"):
        pytest.skip("needs /proc")
    monkeypatch.setattr(os, "replace", note_replace)
    monkeypatch.setattr(os, "fsync", note_fsync)
    path = store.path(store.put(b"x").digest)
    folder = os.path.dirname(path)
    named = done.index(("named", path))
    assert PARTIAL in done[named - 2][1] or PARTIAL in done[named - 1][1]
    assert ("synced", folder) in done[named:]
    assert ("synced", os.path.dirname(folder)) in done  # it was made for this payload


def test_a_payload_that_is_not_there_says_what_may_have_happened(store: BlobStore) -> None:
    with pytest.raises(MissingBlob, match="removed by hand"):
        whole(store, "ab" * 20)


@pytest.mark.parametrize("damage", ["flip", "cut", "other"])
def test_a_damaged_payload_is_never_taken_for_the_right_one(store: BlobStore, damage: str) -> None:
    blob = store.put(os.urandom(5_000))
    path = Path(store.path(blob.digest))
    stored = bytearray(path.read_bytes())
    if damage == "flip":
        stored[2_000] ^= 1
    elif damage == "cut":
        del stored[-9:]
    else:
        stored = bytearray(Path(store.path(store.put(b"other").digest)).read_bytes())
    path.write_bytes(stored)
    with pytest.raises(DamagedBlob, match=blob.digest):
        whole(store, blob.digest)


def test_only_the_owner_may_look(store: BlobStore) -> None:
    blob = store.put(b"secret")
    for path in (store._folder, os.path.dirname(store.path(blob.digest)), store.path(blob.digest)):
        assert stat.S_IMODE(os.stat(path).st_mode) & 0o077 == 0


def test_a_payload_that_vanishes_while_it_is_looked_up_is_stored_again(
    store: BlobStore,
) -> None:
    blob = store.put(b"here today")
    os.unlink(store.path(blob.digest))
    assert store.put(b"here today") == blob
    assert whole(store, blob.digest) == b"here today"


def test_blobs_are_told_with_their_sizes(store: BlobStore) -> None:
    blob = store.put(b"a" * 10_000)
    assert isinstance(blob, Blob)
    assert blob.bytes == 10_000
    assert 0 < blob.stored_bytes < 200


def test_what_can_be_read_again_is_written_once(tmp_path: Path) -> None:
    store = BlobStore(str(tmp_path))
    reads = 0

    def read() -> list[bytes]:
        nonlocal reads
        reads += 1
        return [b"har", b"bour"]

    first, second = store.keep(read), store.keep(read)
    assert first == second == store.put(b"harbour")
    assert reads == 3, "twice to store it, once to see that it is there"
    assert b"".join(store.get(first.digest)) == b"harbour"
