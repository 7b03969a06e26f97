"""The view: resident sessions under a byte budget, their accounting and their eviction."""

from holdfast.snapshots.store import (
    Eviction,
    IdleMode,
    Oversized,
    OversizedSession,
    Reason,
    SessionStore,
    StoreLimits,
    StoreStatus,
)

__all__ = [
    "Eviction",
    "IdleMode",
    "Oversized",
    "OversizedSession",
    "Reason",
    "SessionStore",
    "StoreLimits",
    "StoreStatus",
]
