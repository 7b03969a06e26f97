"""The items of all queues in memory: the twin of `work_rows.py`, obviously right and not fast."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Final

import msgspec

from holdfast.journal.protocol import Scrub
from holdfast.journal.work import (
    ATTEMPTS,
    DEPENDENCY,
    DROPPED,
    EXPIRED,
    KEYS_KEPT,
    LEASE_ENDED,
    Claim,
    Claimed,
    DeadItem,
    Died,
    Effects,
    Enqueued,
    ItemState,
    Lanes,
    Moved,
    NewItem,
    QueueCounts,
    Settled,
    WorkItem,
    dead_dependency,
    delay_of,
    ttl_of,
    unknown_item,
)

TIMED: Final = (ItemState.DELAYED, ItemState.CLAIMED)


class Kept(msgspec.Struct):
    """An item, pending or dead."""

    no: int
    queue: str
    state: ItemState
    priority: int
    turn: int
    at_ms: int
    max_attempts: int
    waits: set[int]
    enqueued_ms: int
    ttl_ms: int | None
    expires_ms: int | None
    subject: str
    key: str
    payload: bytes
    claims: int = 0
    attempts: int = 0
    error: str = ""
    reason: str = ""  # of a dead letter
    died_ms: int = 0

    @property
    def claim(self) -> Claim:
        return Claim(self.no, self.claims)


class WorkState(msgspec.Struct):
    items: dict[int, Kept] = {}
    dead: dict[int, Kept] = {}
    keys: dict[str, dict[str, int]] = {}  # queue -> key -> number
    next_no: int = 1

    def copy(self) -> WorkState:
        return WorkState(
            {no: _copied(each) for no, each in self.items.items()},
            {no: _copied(each) for no, each in self.dead.items()},
            {queue: dict(keys) for queue, keys in self.keys.items()},
            self.next_no,
        )

    def queues(self) -> list[QueueCounts]:
        names = {each.queue for each in (*self.items.values(), *self.dead.values())}
        return [self._counts(name) for name in sorted(names)]

    def dead_work(self, queue: str, after: int, limit: int, size: int) -> list[DeadItem]:
        found = [each for each in _by_no(self.dead.values()) if each.queue == queue]
        return [_told(each, size) for each in found if each.no > after][:limit]

    def rewrite(self, scrub: Scrub) -> int:
        changed = 0
        for each in (*self.items.values(), *self.dead.values()):
            clean = msgspec.structs.replace(
                each,
                subject=scrub.text(each.subject),
                key=scrub.text(each.key),
                error=scrub.text(each.error),
                payload=scrub.lines(each.payload + b"\n").removesuffix(b"\n"),
            )
            changed += clean != each
            (self.dead if each.reason else self.items)[each.no] = clean
        for queue, keys in self.keys.items():
            clean_keys: dict[str, int] = {}
            for key, no in keys.items():
                clean_keys.setdefault(scrub.text(key), no)
            changed += len(set(keys) - set(clean_keys))
            self.keys[queue] = clean_keys
        return changed

    def _counts(self, queue: str) -> QueueCounts:
        pending = [each for each in self.items.values() if each.queue == queue]
        states = {state.name.lower(): 0 for state in ItemState}
        for each in pending:
            states[each.state.name.lower()] += 1
        dead = sum(each.queue == queue for each in self.dead.values())
        first = min(pending, key=lambda each: each.no, default=None)
        oldest_ms = None if first is None else first.enqueued_ms
        return QueueCounts(queue=queue, **states, dead=dead, oldest_ms=oldest_ms)


class MemoryWork:
    def __init__(self, state: WorkState, lanes: Lanes) -> None:
        self._state = state
        self._lanes = lanes
        self._effects = Effects()

    def enqueue(
        self, queue: str, items: Sequence[NewItem], now_ms: int, *, max_attempts: int
    ) -> Enqueued:
        self._effects = Effects()
        ids, repeated = [], 0
        first = self._state.next_no
        for item in items:
            known = self._state.keys.setdefault(queue, {})
            if item.key and item.key in known:
                ids.append(known[item.key])
                repeated += 1
                continue
            no = self._state.next_no
            ttl_ms = ttl_of(item)
            kept = Kept(
                no=no,
                queue=queue,
                state=ItemState.WAITING,
                priority=item.priority,
                turn=0,
                at_ms=now_ms + delay_of(item),
                max_attempts=item.max_attempts or max_attempts,
                waits=self._dependencies(queue, item.after, first),
                enqueued_ms=now_ms,
                ttl_ms=ttl_ms,
                expires_ms=None if ttl_ms is None else now_ms + ttl_ms,
                subject=item.subject,
                key=item.key,
                payload=bytes(item.payload),
            )
            if item.key:
                known[item.key] = no
            self._state.next_no += 1
            self._state.items[no] = kept
            if not kept.waits:
                self._give(kept, now_ms)
            ids.append(no)
            self._effects.pending += 1
        self._forget_keys()
        return Enqueued(ids, repeated, self._done())

    def claim(self, queue: str, count: int, lease_ms: int, now_ms: int) -> Claimed:
        self.advance(now_ms)
        ready = [
            each
            for each in self._state.items.values()
            if each.queue == queue and each.state is ItemState.READY
        ]
        ready.sort(key=lambda each: (-each.priority, each.turn, each.no))
        items = []
        for kept in ready[:count]:
            kept.state, kept.at_ms = ItemState.CLAIMED, now_ms + lease_ms
            kept.claims += 1
            kept.attempts += 1
            self._lanes.served(queue, kept.priority, kept.turn)
            items.append(_given(kept))
        return Claimed(items, self._done())

    def elsewhere(self, queue: str, claims: Sequence[Claim]) -> set[Claim]:
        items = self._state.items
        return {each for each in claims if each.no in items and items[each.no].queue != queue}

    def extend(self, claims: Sequence[Claim], lease_ms: int, now_ms: int) -> Settled:
        self._effects = Effects()
        held = self._held(claims)
        for kept in held:
            kept.at_ms = now_ms + lease_ms
        return self._settled(claims, held)

    def confirm(self, claims: Sequence[Claim], now_ms: int) -> Settled:
        self._effects = Effects()
        held = self._held(claims)
        for kept in held:
            del self._state.items[kept.no]
            self._effects.pending -= 1
        for kept in held:
            self._let_go(kept.no, now_ms)
        return self._settled(claims, held)

    def release(
        self,
        claims: Sequence[Claim],
        now_ms: int,
        *,
        delay_ms: Callable[[int], int],
        failed: bool = True,
        error: str = "",
    ) -> Settled:
        self._effects = Effects()
        held = self._held(claims)
        for kept in held:
            kept.error = error
            if failed and kept.attempts >= kept.max_attempts:
                self._bury(kept, ATTEMPTS, now_ms)
            elif _expired(kept, now_ms):
                self._bury(kept, EXPIRED, now_ms)
            else:
                kept.at_ms = now_ms + delay_ms(kept.attempts)
                kept.attempts -= not failed
                self._give(kept, now_ms)
        return self._settled(claims, held)

    def advance(self, now_ms: int) -> Effects:
        self._effects = Effects()
        due = [
            each
            for each in self._state.items.values()
            if each.state in TIMED and each.at_ms <= now_ms
        ]
        for kept in sorted(due, key=lambda each: (each.at_ms, each.no)):
            if kept.state is ItemState.CLAIMED:
                kept.error = LEASE_ENDED
            if kept.state is ItemState.CLAIMED and kept.attempts >= kept.max_attempts:
                self._bury(kept, ATTEMPTS, now_ms)
            elif _expired(kept, now_ms):
                self._bury(kept, EXPIRED, now_ms)
            else:
                kept.at_ms = now_ms
                self._give(kept, now_ms)
        for kept in _by_end(self._state.items.values()):
            if kept.state is not ItemState.CLAIMED and _expired(kept, now_ms):
                self._bury(kept, EXPIRED, now_ms)
        return self._done()

    def held(self) -> tuple[int, int]:
        return len(self._state.items), len(self._state.dead)

    def retry(self, queue: str, ids: Sequence[int] | None, now_ms: int) -> Moved:
        self._effects = Effects()
        moved: list[int] = []
        held = [each.no for each in self._dead(queue, ids)]
        while True:
            still = [no for no in held if not self._revive(no, now_ms, moved)]
            if len(still) == len(held):
                return Moved(sorted(moved), held, self._done())
            held = still

    def drop(self, queue: str, ids: Sequence[int] | None) -> Moved:
        self._effects = Effects()
        dropped = []
        for kept in self._dead(queue, ids):
            del self._state.dead[kept.no]
            for waiter in self._state.dead.values():
                if kept.no in waiter.waits:
                    waiter.waits.remove(kept.no)
                    waiter.reason = DROPPED
            if kept.key:
                self._state.keys[queue].pop(kept.key, None)
            dropped.append(kept.no)
        self._effects.dead -= len(dropped)
        return Moved(dropped, [], self._done())

    def _give(self, kept: Kept, now_ms: int) -> None:
        kept.state, kept.turn = ItemState.DELAYED, 0
        if kept.at_ms <= now_ms:
            kept.state = ItemState.READY
            kept.turn = self._lanes.turn(kept.queue, kept.priority, kept.subject)
            ready = self._effects.ready
            ready[kept.queue] = ready.get(kept.queue, 0) + 1

    def _bury(self, kept: Kept, reason: str, now_ms: int) -> None:
        if self._state.items.pop(kept.no, None) is None:
            return
        kept.reason, kept.died_ms = reason, now_ms
        self._state.dead[kept.no] = kept
        self._effects.pending -= 1
        self._effects.dead += 1
        self._effects.died.append(Died(kept.no, kept.queue, reason, kept.attempts, kept.error))
        for waiter in self._waiting_for(kept.no, self._state.items.values()):
            if waiter.reason:  # it died of another meanwhile
                continue
            waiter.error = f"item {kept.no}, for which it waits, is a dead letter"
            self._bury(waiter, DEPENDENCY, now_ms)

    def _let_go(self, no: int, now_ms: int) -> None:
        for waiter in self._waiting_for(no, self._state.items.values()):
            waiter.waits.remove(no)
            if not waiter.waits:
                self._give(waiter, now_ms)
        for waiter in self._waiting_for(no, self._state.dead.values()):
            waiter.waits.remove(no)

    def _revive(self, no: int, now_ms: int, moved: list[int]) -> bool:
        kept = self._state.dead.get(no)
        if kept is None:
            return True
        if kept.waits & self._state.dead.keys():
            return False
        del self._state.dead[no]
        self._state.items[no] = kept
        kept.reason, kept.attempts, kept.at_ms = "", 0, now_ms
        kept.expires_ms = None if kept.ttl_ms is None else now_ms + kept.ttl_ms
        kept.state, kept.turn = ItemState.WAITING, 0
        if not kept.waits:
            self._give(kept, now_ms)
        moved.append(no)
        self._effects.pending += 1
        self._effects.dead -= 1
        for waiter in self._waiting_for(no, self._state.dead.values()):
            if waiter.reason == DEPENDENCY:
                self._revive(waiter.no, now_ms, moved)
        return True

    def _waiting_for(self, no: int, among: Iterable[Kept]) -> list[Kept]:
        return [each for each in _by_no(among) if no in each.waits]

    def _dependencies(self, queue: str, after: Sequence[int | str], first: int) -> set[int]:
        pending = set()
        for what in after:
            if isinstance(what, str):
                no = self._state.keys.get(queue, {}).get(what)
            else:
                no = what if 0 < what < first else None
            if no is None:
                raise unknown_item(what, queue)
            if no in self._state.dead:
                raise dead_dependency(no)
            if no in self._state.items:
                pending.add(no)
        return pending

    def _dead(self, queue: str, ids: Sequence[int] | None) -> list[Kept]:
        found = [each for each in _by_no(self._state.dead.values()) if each.queue == queue]
        return [each for each in found if ids is None or each.no in ids]

    def _held(self, claims: Sequence[Claim]) -> list[Kept]:
        found = [self._state.items.get(claim.no) for claim in dict.fromkeys(claims)]
        return [
            kept
            for kept, claim in zip(found, dict.fromkeys(claims), strict=True)
            if kept is not None and kept.state is ItemState.CLAIMED and kept.claim == claim
        ]

    def _settled(self, claims: Sequence[Claim], held: list[Kept]) -> Settled:
        done = {kept.claim for kept in held}
        gone: list[Claim] = []
        stale: list[Claim] = []
        for claim in dict.fromkeys(claims):
            there = claim.no in self._state.items or claim.no in self._state.dead
            if claim not in done:
                known = 0 < claim.no < self._state.next_no
                (stale if there or not known else gone).append(claim)
        return Settled(len(held), gone, stale, self._done())

    def _forget_keys(self) -> None:
        for queue, keys in self._state.keys.items():
            self._state.keys[queue] = {
                key: no
                for key, no in keys.items()
                if no >= self._state.next_no - KEYS_KEPT
                or no in self._state.items
                or no in self._state.dead
            }

    def _done(self) -> Effects:
        timed = [each.at_ms for each in self._state.items.values() if each.state in TIMED]
        ends = [
            each.expires_ms
            for each in self._state.items.values()
            if each.expires_ms is not None and each.state is not ItemState.CLAIMED
        ]
        self._effects.next_ms = min([*timed, *ends], default=None)
        return self._effects


def lanes_of(state: WorkState) -> Lanes:
    turns: dict[tuple[str, int, str], list[int]] = {}
    for each in state.items.values():
        if each.state is ItemState.READY:
            turns.setdefault((each.queue, each.priority, each.subject), []).append(each.turn)
    return Lanes.of((*whose, min(taken), max(taken)) for whose, taken in turns.items())


def _expired(kept: Kept, now_ms: int) -> bool:
    return kept.expires_ms is not None and kept.expires_ms <= now_ms


def _by_no(items: Iterable[Kept]) -> list[Kept]:
    return sorted(items, key=lambda each: each.no)


def _by_end(items: Iterable[Kept]) -> list[Kept]:
    return sorted(items, key=lambda each: (each.expires_ms or 0, each.no))


def _copied(kept: Kept) -> Kept:
    return msgspec.structs.replace(kept, waits=set(kept.waits))


def _given(kept: Kept) -> WorkItem:
    return WorkItem(
        id=kept.no,
        claim=kept.claim,
        queue=kept.queue,
        payload=kept.payload,
        priority=kept.priority,
        subject=kept.subject,
        key=kept.key,
        attempt=kept.attempts,
        max_attempts=kept.max_attempts,
        enqueued_ms=kept.enqueued_ms,
        lease_ends_ms=kept.at_ms,
    )


def _told(kept: Kept, size: int) -> DeadItem:
    return DeadItem(
        id=kept.no,
        queue=kept.queue,
        died_ms=kept.died_ms,
        reason=kept.reason,
        error=kept.error,
        attempts=kept.attempts,
        max_attempts=kept.max_attempts,
        priority=kept.priority,
        subject=kept.subject,
        key=kept.key,
        enqueued_ms=kept.enqueued_ms,
        payload_bytes=len(kept.payload),
        payload=kept.payload[:size],
    )
