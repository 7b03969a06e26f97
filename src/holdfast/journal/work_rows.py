"""The items of all queues as rows. Part of the writer, inside its transactions.

A step is as few statements as it can be: one `UPDATE … RETURNING` for all that is claimed, one
prepared statement that runs for each item that is enqueued or confirmed. What is rare (delays that
end, retries, dependencies) goes item by item. Remembered are only whose turn it is and when
something is due next; both can be read again, and are after a step was undone.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from types import SimpleNamespace
from typing import Any, Final

import apsw
import msgspec

from holdfast.journal import sqlite
from holdfast.journal.protocol import Scrub
from holdfast.journal.work import (
    ATTEMPTS,
    DEPENDENCY,
    EXPIRED,
    FORGET_EVERY,
    KEYS_KEPT,
    LEASE_ENDED,
    Claim,
    Claimed,
    Died,
    Effects,
    Enqueued,
    ItemState,
    Lanes,
    Moved,
    NewItem,
    Settled,
    WorkItem,
    dead_dependency,
    delay_of,
    ttl_of,
    unknown_item,
)

NEVER_MS: Final = 1 << 62
ADVANCE_MAX: Final = 1_000  # items at a time
READY, DELAYED, WAITING, CLAIMED = map(int, ItemState)


class WorkRows:
    def __init__(self, connection: apsw.Connection, statements: SimpleNamespace) -> None:
        self._connection = connection
        self._q = statements
        self._next_no: int | None = None
        self._lanes: Lanes | None = None
        self._next_ms: int | None = None  # not later than this is something due

    def forget(self) -> None:
        """What is remembered may not be what is stored."""
        self._lanes = None
        self._next_ms = None
        self._next_no = None

    # What a queue asks for.

    def enqueue(
        self, queue: str, items: Sequence[NewItem], now_ms: int, *, max_attempts: int
    ) -> Enqueued:
        first = no = self._end()
        ids: list[int] = []
        rows: list[tuple[object, ...]] = []
        keys: list[tuple[str, str, int]] = []
        known: dict[str, int] = {}
        waits: list[tuple[int, int]] = []
        ready = 0
        lanes = self._turns()
        for item in items:
            key = item.key
            if key:
                here = known.get(key) or self._number_of(queue, key)
                if here is not None:
                    known[key] = here
                    ids.append(here)
                    continue
            at_ms, ttl_ms, priority, turn, count = now_ms, None, item.priority, 0, 0
            if item.delay_secs:
                at_ms += delay_of(item)
            if item.after:
                others = self._dependencies(queue, item.after, known, first)
                waits += [(other, no) for other in others]
                count = len(others)
            if key:
                known[key] = no
                keys.append((queue, key, no))
            if count:
                state = WAITING
            elif at_ms > now_ms:
                state = DELAYED
                self._due(at_ms)
            else:
                state = READY
                ready += 1
                turn = lanes.turn(queue, priority, item.subject)
            expires_ms = None
            if item.ttl_secs is not None:
                ttl_ms = ttl_of(item)
                assert ttl_ms is not None
                expires_ms = now_ms + ttl_ms
                self._due(expires_ms)
            limit = item.max_attempts or max_attempts
            what = (item.subject, key, bytes(item.payload))
            when = (now_ms, ttl_ms, expires_ms)
            rows.append((no, queue, state, priority, turn, at_ms, limit, count, *when, *what))
            ids.append(no)
            no += 1
        many = self._connection.executemany
        many(self._q.insert_work, rows)
        if keys:
            many(self._q.insert_work_key, keys)
        if waits:
            many(self._q.insert_work_wait, waits)
            many(self._q.note_work_awaited, [(other,) for other, _no in waits])
        self._number(first, no)
        effects = self._effects(pending=len(rows), ready={queue: ready} if ready else {})
        return Enqueued(ids, len(items) - len(rows), effects)

    def claim(self, queue: str, count: int, lease_ms: int, now_ms: int) -> Claimed:
        effects = self.advance(now_ms)
        while effects.next_ms is not None and effects.next_ms <= now_ms:
            effects = _both(effects, self.advance(now_ms))
        ends_ms = now_ms + lease_ms
        rows = sqlite.select(self._connection, self._q.claim_work, (ends_ms, queue, count))
        if rows:
            rows.sort(key=lambda row: (-row[0], row[1], row[2]))
            lanes = self._turns()
            for priority, turn in {row[0]: row[1] for row in rows}.items():  # the last of each
                lanes.served(queue, priority, turn)
            self._due(ends_ms)
        items = [_given(row, queue, ends_ms) for row in rows]
        return Claimed(items, _both(effects, self._effects()))

    def elsewhere(self, queue: str, claims: Sequence[Claim]) -> set[Claim]:
        asked = msgspec.json.encode([claim.no for claim in claims]).decode()
        rows = sqlite.select(self._connection, self._q.work_elsewhere, (queue, asked))
        others = {no for (no,) in rows}
        return {claim for claim in claims if claim.no in others}

    def extend(self, claims: Sequence[Claim], lease_ms: int, now_ms: int) -> Settled:
        ends_ms = now_ms + lease_ms
        wanted = [(ends_ms, *claim) for claim in claims]
        found: list[Any] = self._connection.executemany(self._q.extend_work, wanted).fetchall()
        if found:
            self._due(ends_ms)
        return self._settled(claims, set(found), self._effects())

    def confirm(self, claims: Sequence[Claim], now_ms: int) -> Settled:
        found: list[Any] = self._connection.executemany(self._q.confirm_work, claims).fetchall()
        effects = Effects(pending=-len(found))
        for no, _claims, awaited in found:
            if awaited:
                self._let_go(no, now_ms, effects)
        done = {(no, number) for no, number, _awaited in found}
        return self._settled(claims, done, _both(effects, self._effects()))

    def release(
        self,
        claims: Sequence[Claim],
        now_ms: int,
        *,
        delay_ms: Callable[[int], int],
        failed: bool = True,
        error: str = "",
    ) -> Settled:
        effects, done = Effects(), set[tuple[int, int]]()
        for claim in claims:
            rows = sqlite.select(self._connection, self._q.work_of_claim, claim)
            if not rows:
                continue
            done.add(claim)
            queue, priority, subject, attempts, max_attempts, expires_ms = rows[0]
            if failed and attempts >= max_attempts:
                self._bury(claim.no, ATTEMPTS, error, now_ms, effects)
            elif expires_ms is not None and expires_ms <= now_ms:
                self._bury(claim.no, EXPIRED, error, now_ms, effects)
            else:
                at_ms = now_ms + delay_ms(attempts)
                if expires_ms is not None:
                    self._due(expires_ms)
                attempts -= not failed
                self._give_back(
                    claim.no, (queue, priority, subject), at_ms, now_ms, attempts, error, effects
                )
        return self._settled(claims, done, _both(effects, self._effects()))

    def advance(self, now_ms: int) -> Effects:
        if self._next_ms is None:
            self._look_ahead()
        assert self._next_ms is not None
        effects = Effects()
        if now_ms < self._next_ms:
            return _both(effects, self._effects())
        due = sqlite.select(self._connection, self._q.work_that_is_due, (now_ms, ADVANCE_MAX))
        for no, queue, state, priority, subject, attempts, limit, expires_ms, last_error in due:
            error = LEASE_ENDED if state == CLAIMED else last_error
            if state == CLAIMED and attempts >= limit:
                self._bury(no, ATTEMPTS, error, now_ms, effects)
            elif expires_ms is not None and expires_ms <= now_ms:
                self._bury(no, EXPIRED, error, now_ms, effects)
            else:
                whose = (queue, priority, subject)
                self._give_back(no, whose, now_ms, now_ms, attempts, error, effects)
        gone = sqlite.select(self._connection, self._q.work_that_expired, (now_ms, ADVANCE_MAX))
        for no, error in gone:
            self._bury(no, EXPIRED, error, now_ms, effects)
        self._look_ahead()
        return _both(effects, self._effects())

    def held(self) -> tuple[int, int]:
        [(items, dead)] = sqlite.select(self._connection, self._q.held_work)
        return items, dead

    def retry(self, queue: str, ids: Sequence[int] | None, now_ms: int) -> Moved:
        """Those that others died of take these with them."""
        moved: list[int] = []
        effects = Effects()
        asked = self._dead(queue, ids)
        held = [no for no in asked if not self._revive(no, queue, now_ms, moved, effects)]
        while held:  # what another of them was in the way of
            still = [no for no in held if not self._revive(no, queue, now_ms, moved, effects)]
            if len(still) == len(held):
                break
            held = still
        return Moved(sorted(moved), held, _both(effects, self._effects()))

    def drop(self, queue: str, ids: Sequence[int] | None) -> Moved:
        execute = self._connection.execute
        dropped = []
        for no in self._dead(queue, ids):
            ((awaited,),) = sqlite.select(self._connection, self._q.delete_dead_work, (no,))
            if awaited:
                for (waiter,) in sqlite.select(self._connection, self._q.work_waiters, (no,)):
                    execute(self._q.note_dropped_dependency, (waiter,))
                execute(self._q.delete_work_waits, (no,))
            execute(self._q.delete_waits_of_work, (no,))
            execute(self._q.forget_work_key, (no,))
            dropped.append(no)
        effects = self._effects()
        effects.dead = -len(dropped)
        return Moved(dropped, [], effects)

    def rewrite(self, scrub: Scrub) -> int:
        """What people wrote, as `scrub` wants it; how much changed."""
        changed = 0
        for listed, rewritten in (
            (self._q.all_work, self._q.rewrite_work),
            (self._q.all_dead_work, self._q.rewrite_dead_work),
        ):
            for no, subject, key, error, payload in self._paged(listed):
                clean = (
                    scrub.text(subject),
                    scrub.text(key),
                    scrub.text(error),
                    scrub.lines(payload + b"\n").removesuffix(b"\n"),
                )
                if clean != (subject, key, error, payload):
                    self._connection.execute(rewritten, (*clean, no))
                    changed += 1
        for queue, key, _no in sqlite.select(self._connection, self._q.all_work_keys):
            clean_key = scrub.text(key)
            if clean_key != key:
                self._connection.execute(self._q.rewrite_work_key, (clean_key, queue, key))
                self._connection.execute(self._q.delete_work_key, (queue, key))
                changed += 1
        self.forget()
        return changed

    # How items move.

    def _give_back(
        self,
        no: int,
        whose: tuple[str, int, str],
        at_ms: int,
        now_ms: int,
        attempts: int,
        error: str,
        effects: Effects,
    ) -> None:
        """A pending item can be claimed, now or from a moment on."""
        state, turn = DELAYED, 0
        if at_ms <= now_ms:
            state, turn = READY, self._turns().turn(*whose)
            effects.ready[whose[0]] = effects.ready.get(whose[0], 0) + 1
        else:
            self._due(at_ms)
        self._connection.execute(self._q.move_work, (state, turn, at_ms, attempts, error, no))

    def _bury(self, no: int, reason: str, error: str, now_ms: int, effects: Effects) -> None:
        """A pending item becomes a dead letter, and so do all that wait for it."""
        dying = [(no, reason, error)]
        while dying:
            no, reason, error = dying.pop()
            self._connection.execute(self._q.bury_work, (now_ms, reason, error, no))
            found = sqlite.select(self._connection, self._q.delete_work, (no,))
            if not found:  # it died of another that died
                continue
            ((queue, awaited, attempts),) = found
            effects.pending -= 1
            effects.dead += 1
            effects.died.append(Died(no, queue, reason, attempts, error))
            if awaited:
                why = f"item {no}, for which it waits, is a dead letter"
                waiters = sqlite.select(self._connection, self._q.work_waiters, (no,))
                dying += [(waiter, DEPENDENCY, why) for (waiter,) in reversed(waiters)]

    def _let_go(self, no: int, now_ms: int, effects: Effects) -> None:
        """What waited for an item that is confirmed waits for one less."""
        waiters = sqlite.select(self._connection, self._q.work_waiters, (no,))
        self._connection.execute(self._q.delete_work_waits, (no,))
        for (waiter,) in waiters:
            found = sqlite.select(self._connection, self._q.work_waits_less, (waiter,))
            if not found:
                self._connection.execute(self._q.dead_work_waits_less, (waiter,))
                continue
            ((queue, priority, subject, waits, at_ms, attempts, error),) = found
            if not waits:
                whose = (queue, priority, subject)
                self._give_back(waiter, whose, at_ms, now_ms, attempts, error, effects)

    def _revive(self, no: int, queue: str, now_ms: int, moved: list[int], effects: Effects) -> bool:
        """A dead letter is pending again, and so are those that died of it; false when it is held.

        What died of several is held until the last of them is back.
        """
        if sqlite.select(self._connection, self._q.dead_dependency, (no,)):
            return False
        reviving = [no]
        while reviving:
            no = reviving.pop()
            found = sqlite.select(self._connection, self._q.dead_work_by_no, (no,))
            if not found:  # it came back with another
                continue
            queue, priority, subject, waits, awaited, _reason = found[0]
            state, turn = WAITING, 0
            if not waits:
                state, turn = READY, self._turns().turn(queue, priority, subject)
                effects.ready[queue] = effects.ready.get(queue, 0) + 1
            self._connection.execute(self._q.revive_work, (state, turn, now_ms, no))
            sqlite.select(self._connection, self._q.delete_dead_work, (no,))
            self._next_ms = None  # it may expire again
            moved.append(no)
            effects.pending += 1
            effects.dead -= 1
            if awaited:
                waiters = sqlite.select(self._connection, self._q.work_waiters, (no,))
                reviving += [
                    waiter for (waiter,) in reversed(waiters) if self._died_of_others(waiter)
                ]
        return True

    def _died_of_others(self, no: int) -> bool:
        """Whether nothing keeps a dead letter but that another was one."""
        found = sqlite.select(self._connection, self._q.dead_work_by_no, (no,))
        if not found or found[0][5] != DEPENDENCY:
            return False
        return not sqlite.select(self._connection, self._q.dead_dependency, (no,))

    # Looking things up.

    def _number_of(self, queue: str, key: str) -> int | None:
        for (no,) in self._connection.execute(self._q.get_work_key, (queue, key)):
            return int(no)
        return None

    def _dependencies(
        self, queue: str, after: Sequence[int | str], known: dict[str, int], first: int
    ) -> set[int]:
        """The items among these that are not confirmed yet."""
        pending = set()
        for what in after:
            if isinstance(what, str):
                no = known.get(what) or self._number_of(queue, what)
            else:
                no = what if 0 < what < first else None
            if no is None:
                raise unknown_item(what, queue)
            if no >= first:
                pending.add(no)
                continue
            found = sqlite.select(self._connection, self._q.has_work, (no,))
            if found == [(2,)]:
                raise dead_dependency(no)
            if found:
                pending.add(no)
        return pending

    def _dead(self, queue: str, ids: Sequence[int] | None) -> list[int]:
        """Those of the numbers that are dead letters of the queue."""
        dead = [no for (no,) in self._connection.execute(self._q.dead_work_of_queue, (queue,))]
        return dead if ids is None else sorted(set(dead) & set(ids))

    def _settled(
        self, claims: Sequence[Claim], done: set[tuple[int, int]], effects: Effects
    ) -> Settled:
        gone: list[Claim] = []
        stale: list[Claim] = []
        if len(done) != len(claims):
            for claim in dict.fromkeys(claims):
                if claim in done:
                    continue
                there = sqlite.select(self._connection, self._q.has_work, (claim.no,))
                (stale if there or not 0 < claim.no < self._end() else gone).append(claim)
        return Settled(len(done), gone, stale, effects)

    def _paged(self, listed: str) -> Iterator[Any]:
        after = 0
        while rows := sqlite.select(self._connection, listed, (after,)):
            yield from rows
            after = rows[-1][0]

    # What is remembered.

    def _turns(self) -> Lanes:
        if self._lanes is None or self._lanes.is_full:
            self._lanes = Lanes.of(self._connection.execute(self._q.work_turns))
        return self._lanes

    def _end(self) -> int:
        """The number that the next item gets."""
        if self._next_no is None:
            value = self._connection.execute(self._q.get_state, ("next_work_no",)).get
            assert isinstance(value, int)
            self._next_no = value
        return self._next_no

    def _number(self, first: int, end: int) -> None:
        self._next_no = end
        self._connection.execute(self._q.set_state, (end, "next_work_no"))
        if first // FORGET_EVERY != end // FORGET_EVERY:
            self._connection.execute(self._q.forget_work_keys, (end - KEYS_KEPT,))

    def _due(self, at_ms: int) -> None:
        if self._next_ms is not None and at_ms < self._next_ms:
            self._next_ms = at_ms

    def _look_ahead(self) -> None:
        soonest = self._connection.execute(self._q.next_work_ms).get
        self._next_ms = NEVER_MS if soonest is None else soonest

    def _effects(self, *, pending: int = 0, ready: dict[str, int] | None = None) -> Effects:
        if self._next_ms is None:
            self._look_ahead()
        next_ms = None if self._next_ms == NEVER_MS else self._next_ms
        return Effects(pending=pending, ready=ready or {}, next_ms=next_ms)


def _given(row: Sequence[Any], queue: str, ends_ms: int) -> WorkItem:
    priority, _turn, no, number, payload, subject, key, attempts, max_attempts, enqueued_ms = row
    return WorkItem(
        id=no,
        claim=Claim(no, number),
        queue=queue,
        payload=payload,
        priority=priority,
        subject=subject,
        key=key,
        attempt=attempts,
        max_attempts=max_attempts,
        enqueued_ms=enqueued_ms,
        lease_ends_ms=ends_ms,
    )


def _both(one: Effects, other: Effects) -> Effects:
    """What two steps changed; the second knows better what is due next."""
    ready = dict(one.ready)
    for queue, count in other.ready.items():
        ready[queue] = ready.get(queue, 0) + count
    return Effects(
        one.pending + other.pending,
        one.dead + other.dead,
        ready,
        one.died + other.died,
        other.next_ms,
    )
