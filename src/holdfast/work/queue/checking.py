"""What an item, a queue's name and a claim must be like; what is wrong with them otherwise."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import ClassVar, Final

from holdfast.errors import Exit, HoldfastError
from holdfast.journal.work import Claim, NewItem

NAME_CHARS_MAX: Final = 100
TEXT_CHARS_MAX: Final = 200
PRIORITY_MAX: Final = 100
AFTER_MAX: Final = 100
DELAY_SECS_MAX: Final = 366 * 86_400
ATTEMPTS_MAX: Final = 1_000
BATCH_MAX: Final = 1_000
LEASE_SECS_MAX: Final = 86_400
_NAME: Final = re.compile(rf"[A-Za-z0-9][A-Za-z0-9_.:-]{{0,{NAME_CHARS_MAX - 1}}}")
_CLAIM: Final = re.compile(r"([0-9]{1,18})\.([0-9]{1,18})")


class BadQueue(HoldfastError):
    exit: ClassVar[Exit] = Exit.USAGE


class BadItem(HoldfastError):
    exit: ClassVar[Exit] = Exit.USAGE


class BadClaim(HoldfastError):
    exit: ClassVar[Exit] = Exit.USAGE


def check_name(queue: str) -> None:
    if _NAME.fullmatch(queue) is None:
        raise BadQueue(
            f"{queue!r} is no name of a queue: use letters, digits and _ . : - "
            f"({NAME_CHARS_MAX} at most)"
        )


def check_count(count: int) -> None:
    if not 1 <= count <= BATCH_MAX:
        raise BadItem(f"{count:,} items at a time is not possible: 1 to {BATCH_MAX:,}")


def check_lease(lease_secs: float) -> None:
    if not 0 < lease_secs <= LEASE_SECS_MAX:
        raise BadItem(f"a lease of {lease_secs} s is not possible: above 0 to {LEASE_SECS_MAX:,}")


def check_delay(delay_secs: float) -> None:
    if not 0 <= delay_secs <= DELAY_SECS_MAX:
        raise BadItem(f"a delay of {delay_secs} s is not possible: 0 to {DELAY_SECS_MAX:,}")


def check_items(items: Sequence[NewItem], payload_bytes_max: int) -> None:
    check_count(len(items))
    for item in items:
        size = memoryview(item.payload).nbytes
        if size > payload_bytes_max:
            raise BadItem(
                f"a payload of {size:,} bytes is larger than work.max_payload_bytes "
                f"({payload_bytes_max:,}): keep it elsewhere and enqueue where it is"
            )
        if item.key or item.subject or item.after or item.priority:
            _check_names(item)
        if item.delay_secs or item.ttl_secs is not None or item.max_attempts:
            _check_times(item)


def _check_names(item: NewItem) -> None:
    for what, text in (("key", item.key), ("subject", item.subject)):
        if len(text) > TEXT_CHARS_MAX or not text.isprintable():
            raise BadItem(f"a {what} is at most {TEXT_CHARS_MAX} printable characters")
    if abs(item.priority) > PRIORITY_MAX:
        raise BadItem(f"priority {item.priority} is not between {-PRIORITY_MAX} and {PRIORITY_MAX}")
    if len(item.after) > AFTER_MAX:
        raise BadItem(f"an item waits for {AFTER_MAX} others at most, not {len(item.after)}")


def _check_times(item: NewItem) -> None:
    check_delay(item.delay_secs)
    if item.ttl_secs is not None and not 0 < item.ttl_secs <= DELAY_SECS_MAX:
        raise BadItem(f"ttl_secs {item.ttl_secs} is not above 0 and at most {DELAY_SECS_MAX:,}")
    if not 0 <= item.max_attempts <= ATTEMPTS_MAX:
        raise BadItem(f"max_attempts {item.max_attempts} is not between 1 and {ATTEMPTS_MAX:,}")


def claim_of(text: str) -> Claim:
    """A claim as it is written: `12.3`."""
    found = _CLAIM.fullmatch(text)
    if found is None:
        raise BadClaim(f"{text!r} is no claim: it is what claiming gave, like 12.1")
    return Claim(int(found[1]), int(found[2]))
