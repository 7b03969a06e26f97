"""Large payloads, each stored once under the digest of its content, compressed, beside the journal.

A payload is streamed to a temporary file and takes its name when it is whole and on disk, and the
name is on disk before anybody hears of it: a crash leaves no half of one, and the journal never
refers to one that is not there.
"""

from __future__ import annotations

import hashlib
import os
import tempfile
from collections.abc import Callable, Generator, Iterable
from contextlib import suppress
from typing import ClassVar, Final

import zstandard

from holdfast.errors import Exit, HoldfastError
from holdfast.journal.model import Blob

DIGEST_BYTES: Final = 20
COMPRESSION_LEVEL: Final = 3
WINDOW_LOG: Final = 20  # at most 1 MB to unpack, whatever the size
PARTIAL: Final = ".partial-"
_CHUNK_BYTES: Final = 65_536


class MissingBlob(HoldfastError):
    """A payload that an event refers to is not there."""

    exit: ClassVar[Exit] = Exit.NOT_FOUND


class DamagedBlob(HoldfastError):
    """The bytes of a payload are not what was stored; only this payload is lost."""

    exit: ClassVar[Exit] = Exit.JOURNAL


class BlobStore:
    """A folder of payloads: `ab/<digest>.zst`, so that `zstd -d` gets one out without us."""

    def __init__(self, folder: str) -> None:
        self._folder = folder
        self._stored: list[Blob] = []

    def put(self, payload: bytes) -> Blob:
        digest = hashlib.blake2b(payload, digest_size=DIGEST_BYTES).hexdigest()
        stored = self._touched(digest)
        if stored is None:
            return self.put_stream([payload])
        return self._note(Blob(digest, len(payload), stored))

    def keep(self, read: Callable[[], Iterable[bytes]]) -> Blob:
        """What `read` gives: read once more only if it is not here yet.

        A log that is written anew has the same payloads each time.
        """
        hasher = hashlib.blake2b(digest_size=DIGEST_BYTES)
        size = 0
        for chunk in read():
            hasher.update(chunk)
            size += len(chunk)
        digest = hasher.hexdigest()
        stored = self._touched(digest)
        if stored is None:
            return self.put_stream(read())
        return self._note(Blob(digest, size, stored))

    def put_stream(self, chunks: Iterable[bytes]) -> Blob:
        """Store what comes, never holding more than a chunk of it."""
        _make_folder(self._folder)
        hasher = hashlib.blake2b(digest_size=DIGEST_BYTES)
        size = 0
        descriptor, partial = tempfile.mkstemp(prefix=PARTIAL, dir=self._folder)
        try:
            with os.fdopen(descriptor, "wb") as file:
                with _compressor().stream_writer(file, closefd=False) as packed:
                    for chunk in chunks:
                        hasher.update(chunk)
                        size += len(chunk)
                        packed.write(chunk)
                file.flush()
                os.fsync(file.fileno())
                stored = file.tell()
            digest = hasher.hexdigest()
            target = self.path(digest)
            _make_folder(os.path.dirname(target))
            os.replace(partial, target)
            _sync_folder(os.path.dirname(target))
        except BaseException:
            with suppress(FileNotFoundError):
                os.unlink(partial)
            raise
        return self._note(Blob(digest, size, stored))

    def get(self, digest: str) -> Generator[bytes, None, None]:
        """The payload in pieces; raises at its end at the latest when it is not what was stored."""
        try:
            file = open(self.path(digest), "rb")  # noqa: SIM115  # closed when the reader is
        except FileNotFoundError:
            raise MissingBlob(
                f"payload {digest} is not in {self._folder}: it was removed by hand"
            ) from None
        hasher = hashlib.blake2b(digest_size=DIGEST_BYTES)
        with file, zstandard.ZstdDecompressor().stream_reader(file) as unpacked:
            while chunk := _next(unpacked, digest):
                hasher.update(chunk)
                yield chunk
        if hasher.hexdigest() != digest:
            raise _damaged(digest)

    def head(self, digest: str, length: int) -> bytes:
        """How a payload begins."""
        pieces = self.get(digest)
        try:
            return next(pieces, b"")[:length]
        finally:
            pieces.close()

    def remove(self, digest: str) -> None:
        """A payload that nothing refers to; one that is gone already is no error."""
        with suppress(FileNotFoundError):
            os.unlink(self.path(digest))

    def path(self, digest: str) -> str:
        return os.path.join(self._folder, digest[:2], f"{digest}.zst")

    def was_put_since(self, digest: str, epoch_s: float) -> bool:
        """Whether somebody may be about to refer to it: the journal does not know of that yet."""
        try:
            return os.stat(self.path(digest)).st_mtime >= epoch_s
        except FileNotFoundError:
            return False

    def _touched(self, digest: str) -> int | None:
        """How large a payload is that is here already, and is wanted from now on."""
        path = self.path(digest)
        try:
            os.utime(path)
            return os.path.getsize(path)
        except FileNotFoundError:
            return None

    def take_stored(self) -> list[Blob]:
        """What was put since the last call: the journal's next batch refers to it."""
        stored, self._stored = self._stored, []
        return stored

    def sweep_partial(self) -> int:
        """Remove what a crash left half written."""
        removed = 0
        if os.path.isdir(self._folder):
            for name in os.listdir(self._folder):
                if name.startswith(PARTIAL):
                    os.unlink(os.path.join(self._folder, name))
                    removed += 1
        return removed

    def _note(self, blob: Blob) -> Blob:
        self._stored.append(blob)
        return blob


def digest_of(chunks: Iterable[bytes]) -> str:
    """The name that a payload would be stored under."""
    hasher = hashlib.blake2b(digest_size=DIGEST_BYTES)
    for chunk in chunks:
        hasher.update(chunk)
    return hasher.hexdigest()


def _compressor() -> zstandard.ZstdCompressor:
    parameters = zstandard.ZstdCompressionParameters.from_level(
        COMPRESSION_LEVEL, window_log=WINDOW_LOG
    )
    return zstandard.ZstdCompressor(compression_params=parameters)


def _next(unpacked: zstandard.ZstdDecompressionReader, digest: str) -> bytes:
    try:
        return unpacked.read(_CHUNK_BYTES)
    except zstandard.ZstdError as error:
        raise _damaged(digest) from error


def _damaged(digest: str) -> DamagedBlob:
    return DamagedBlob(f"payload {digest} is damaged: put it back from a backup of its folder")


def _make_folder(folder: str) -> None:
    if not os.path.isdir(folder):
        os.makedirs(folder, mode=0o700, exist_ok=True)
        _sync_folder(os.path.dirname(folder))


def _sync_folder(folder: str) -> None:
    """Names are on disk only when their folder is."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
