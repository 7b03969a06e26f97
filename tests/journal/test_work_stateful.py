"""Random work with a clock that moves: both tables do the same, and neither loses or repeats.

The twin is the naive model of the rows: each step must give the same, whatever is undone or
reopened between. Beside that stands what holds of any queue: what was enqueued is pending, dead,
dropped or confirmed; nobody has an item that another has; what is confirmed never comes back.
"""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

import msgspec
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from holdfast.journal.conformance import Trial
from holdfast.journal.protocol import JournalWriter
from holdfast.journal.work import Claim, Claimed, Enqueued, Moved, NewItem, Settled
from tests.journal.subjects import MemorySubject, SqliteSubject

QUEUES: Final = st.sampled_from(["a", "b"])
COUNTS: Final = st.integers(1, 4)
LEASE_MS: Final = 1_000
ITEMS: Final = st.builds(
    NewItem,
    payload=st.just(msgspec.Raw(b'{"n":1}')),
    key=st.sampled_from(["", "", "", "k1", "k2", "k3"]),
    priority=st.integers(-1, 1),
    subject=st.sampled_from(["", "s", "t"]),
    delay_secs=st.sampled_from([0, 0, 0, 0.5, 1]),
    ttl_secs=st.sampled_from([None, None, 2]),
    max_attempts=st.integers(1, 3),
)
BACK: Final = st.integers(0, 6)  # how far back in what was seen last


class Undone(Exception):
    """What makes a step leave nothing."""


class WorkMachine(RuleBasedStateMachine):
    def __init__(self) -> None:
        super().__init__()
        self.folder = Path(tempfile.mkdtemp())
        self.trials = [Trial(SqliteSubject(self.folder)), Trial(MemorySubject(self.folder))]
        self.now_ms = 1_000_000
        self.ids: set[int] = set()
        self.claims: list[Claim] = []
        self.held: dict[int, Claim] = {}  # by whoever claimed it last, until the lease ends
        self.confirmed: set[int] = set()
        self.dropped: set[int] = set()

    def teardown(self) -> None:
        for trial in self.trials:
            trial.close()
        shutil.rmtree(self.folder)

    def both(self, work: Callable[[JournalWriter], object]) -> Any:
        """What both did, which is the same."""
        [one], [other] = (trial.writer.transact([work]) for trial in self.trials)
        assert told(one) == told(other)
        return one

    @rule(queue=QUEUES, items=st.lists(ITEMS, min_size=1, max_size=4))
    def enqueue(self, queue: str, items: list[NewItem]) -> None:
        done = self.both(lambda w: w.work.enqueue(queue, items, self.now_ms, max_attempts=2))
        assert isinstance(done, Enqueued)
        assert len(set(done.ids) - self.ids) == len(items) - done.repeated
        self.ids |= set(done.ids)

    @rule(queue=QUEUES, item=ITEMS, back=st.lists(BACK, min_size=1, max_size=3))
    def depend(self, queue: str, item: NewItem, back: list[int]) -> None:
        after = sorted({max(1, max(self.ids, default=0) - each) for each in back})
        item = msgspec.structs.replace(item, after=after)
        done = self.both(lambda w: w.work.enqueue(queue, [item], self.now_ms, max_attempts=2))
        if isinstance(done, Enqueued):
            self.ids |= set(done.ids)

    @rule(queue=QUEUES, count=COUNTS)
    def claim(self, queue: str, count: int) -> None:
        done = self.both(lambda w: w.work.claim(queue, count, LEASE_MS, self.now_ms))
        assert isinstance(done, Claimed)
        for item in done.items:
            assert item.id not in self.confirmed | self.dropped
            assert item.id not in self.held, "somebody has it"
            self.held[item.id] = item.claim
        self.claims += [item.claim for item in done.items]

    @rule(back=st.lists(BACK, min_size=1, max_size=4))
    def confirm(self, back: list[int]) -> None:
        claims = self.some(back)
        done = self.both(lambda w: w.work.confirm(claims, self.now_ms))
        assert isinstance(done, Settled)
        for claim in set(claims) - {*done.gone, *done.stale}:
            assert self.held.pop(claim.no) == claim, "another has it now"
            self.confirmed.add(claim.no)

    @rule(back=st.lists(BACK, min_size=1, max_size=4), delay=st.sampled_from([0, 500]))
    def release(self, back: list[int], delay: int) -> None:
        self.give_back(back, delay, failed=True)

    @rule(back=st.lists(BACK, min_size=1, max_size=2))
    def hand_back(self, back: list[int]) -> None:
        self.give_back(back, 0, failed=False)

    def give_back(self, back: list[int], delay: int, *, failed: bool) -> None:
        claims = self.some(back)
        done = self.both(
            lambda w: w.work.release(
                claims, self.now_ms, delay_ms=lambda n: n * delay, failed=failed, error="no"
            )
        )
        for claim in set(claims) - {*done.gone, *done.stale}:
            assert self.held.pop(claim.no) == claim

    @rule(back=st.lists(BACK, min_size=1, max_size=3))
    def extend(self, back: list[int]) -> None:
        claims = self.some(back)
        self.both(lambda w: w.work.extend(claims, LEASE_MS, self.now_ms))

    @rule(step_ms=st.sampled_from([100, 500, 1_000, 3_000]))
    def move_on(self, step_ms: int) -> None:
        self.now_ms += step_ms
        self.both(lambda w: w.work.advance(self.now_ms))
        claimed = {no for no in self.held if self.state_of(no) == "CLAIMED"}
        self.held = {no: claim for no, claim in self.held.items() if no in claimed}

    @rule(queue=QUEUES, back=st.none() | st.lists(BACK, max_size=3))
    def retry(self, queue: str, back: list[int] | None) -> None:
        ids = None if back is None else [max(self.ids, default=0) - each for each in back]
        self.both(lambda w: w.work.retry(queue, ids, self.now_ms))

    @rule(queue=QUEUES, back=st.lists(BACK, max_size=2))
    def drop(self, queue: str, back: list[int]) -> None:
        ids = [max(self.ids, default=0) - each for each in back]
        done = self.both(lambda w: w.work.drop(queue, ids))
        assert isinstance(done, Moved)
        self.dropped |= set(done.ids)

    @rule(queue=QUEUES, items=st.lists(ITEMS, min_size=1, max_size=2))
    def fail(self, queue: str, items: list[NewItem]) -> None:
        def work(writer: JournalWriter) -> None:
            writer.work.enqueue(queue, items, self.now_ms, max_attempts=2)
            writer.work.confirm([*self.claims[-3:]], self.now_ms)
            writer.work.claim(queue, 3, LEASE_MS, self.now_ms)
            raise Undone

        assert isinstance(self.both(work), Undone)

    @rule()
    def reopen(self) -> None:
        """What rows do not tell is forgotten by both: which round is served."""
        for trial in self.trials:
            trial.reopen()

    def some(self, back: list[int]) -> list[Claim]:
        claims = [self.claims[-1 - each] for each in back if each < len(self.claims)]
        return claims or [Claim(999, 1)]

    def state_of(self, no: int) -> str:
        items = self.trials[1].subject.journal.state.work.items  # type: ignore[attr-defined]  # the twin's
        return items[no].state.name if no in items else ""

    @invariant()
    def nothing_is_lost(self) -> None:
        one, other = (trial.reader.queues() for trial in self.trials)
        assert one == other
        assert sum(each.pending + each.dead for each in one) == len(
            self.ids - self.confirmed - self.dropped
        )
        for queue in ("a", "b"):
            first, second = (trial.reader.dead_work(queue) for trial in self.trials)
            assert first == second


def told(outcome: object) -> object:
    """What is compared: rows may look for what is due next earlier than they must."""
    if isinstance(outcome, Exception):
        return type(outcome), str(outcome)
    plain = msgspec.to_builtins(outcome)
    plain.get("effects", plain).pop("next_ms")
    return plain


TestWork = WorkMachine.TestCase
TestWork.settings = settings(
    max_examples=60,
    stateful_step_count=40,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
)
