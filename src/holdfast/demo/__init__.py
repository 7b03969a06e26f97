"""Made-up logs of coding agents: for `holdfast demo`, for tests and for benches."""

from holdfast.demo.corpus import FULL_BYTES, FULL_SESSIONS, LogFile, Manifest, generate
from holdfast.demo.live import LiveSession
from holdfast.demo.plan import Needle

__all__ = [
    "FULL_BYTES",
    "FULL_SESSIONS",
    "LiveSession",
    "LogFile",
    "Manifest",
    "Needle",
    "generate",
]
