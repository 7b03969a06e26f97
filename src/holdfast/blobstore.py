"""Large payloads, each stored once under the digest of its content, compressed, beside the journal.

A payload is streamed to a temporary file and takes its name when it is whole and on disk, so a
crash leaves no half of one. The journal refers to it only after that.
"""

from __future__ import annotations

import hashlib
import os
import tempfile
from collections.abc import Iterable, Iterator
from typing import ClassVar, Final

import zstandard

from holdfast.errors import Exit, HoldfastError
from holdfast.journal.model import Blob

DIGEST_BYTES: Final = 20
COMPRESSION_LEVEL: Final = 3
WINDOW_LOG: Final = 20  # at most 1 MB to unpack, whatever the size


class MissingBlob(HoldfastError):
    """A payload that an event refers to is not there."""

    exit: ClassVar[Exit] = Exit.NOT_FOUND


class BlobStore:
    """A folder of payloads: `ab/<digest>.zst`, so that `zstd -d` gets one out without us."""

    def __init__(self, folder: str) -> None:
        self._folder = folder
        self._stored: list[Blob] = []

    def put(self, payload: bytes) -> Blob:
        digest = hashlib.blake2b(payload, digest_size=DIGEST_BYTES).hexdigest()
        if os.path.exists(self.path(digest)):
            return self._note(Blob(digest, len(payload), os.path.getsize(self.path(digest))))
        return self.put_stream([payload])

    def put_stream(self, chunks: Iterable[bytes]) -> Blob:
        """Store what comes, never holding more than a chunk of it."""
        os.makedirs(self._folder, mode=0o700, exist_ok=True)
        hasher = hashlib.blake2b(digest_size=DIGEST_BYTES)
        size = 0
        descriptor, partial = tempfile.mkstemp(prefix=".partial-", dir=self._folder)
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
            os.makedirs(os.path.dirname(target), mode=0o700, exist_ok=True)
            os.replace(partial, target)
        except BaseException:
            os.unlink(partial)
            raise
        return self._note(Blob(digest, size, stored))

    def get(self, digest: str) -> Iterator[bytes]:
        try:
            file = open(self.path(digest), "rb")  # noqa: SIM115  # closed when the reader is
        except FileNotFoundError:
            raise MissingBlob(
                f"payload {digest} is not in {self._folder}: it was removed by hand or by `clean`"
            ) from None
        with file, zstandard.ZstdDecompressor().stream_reader(file) as unpacked:
            while chunk := unpacked.read(65_536):
                yield chunk

    def path(self, digest: str) -> str:
        return os.path.join(self._folder, digest[:2], f"{digest}.zst")

    def take_stored(self) -> list[Blob]:
        """What was put since the last call: the journal's next batch refers to it."""
        stored, self._stored = self._stored, []
        return stored

    def sweep_partial(self) -> int:
        """Remove what a crash left half written."""
        removed = 0
        if os.path.isdir(self._folder):
            for name in os.listdir(self._folder):
                if name.startswith(".partial-"):
                    os.unlink(os.path.join(self._folder, name))
                    removed += 1
        return removed

    def _note(self, blob: Blob) -> Blob:
        self._stored.append(blob)
        return blob


def _compressor() -> zstandard.ZstdCompressor:
    parameters = zstandard.ZstdCompressionParameters.from_level(
        COMPRESSION_LEVEL, window_log=WINDOW_LOG
    )
    return zstandard.ZstdCompressor(compression_params=parameters)
