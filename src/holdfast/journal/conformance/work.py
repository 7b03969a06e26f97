"""The items of queues: given out in order, to one at a time, until somebody confirms."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, Final, TypeVar

import msgspec

from holdfast.journal.conformance.kit import Erasing, Nonconformant, Trial, require, same
from holdfast.journal.protocol import JournalWriter
from holdfast.journal.work import (
    LEASE_ENDED,
    Claim,
    DeadDependency,
    Effects,
    Enqueued,
    NewItem,
    Settled,
    UnknownItem,
    WorkItem,
    WorkTable,
)

NOW: Final = 1_767_261_600_000
LEASE: Final = 1_000
NOBODY: Final = Claim(999, 1)

T = TypeVar("T")


class Refusal(Exception):
    """What a work may raise."""


def step(trial: Trial, work: Callable[[WorkTable], T]) -> T:
    outcome = attempt(trial, work)
    if isinstance(outcome, Exception):
        raise Nonconformant(f"a step gave {outcome!r}") from outcome
    return outcome


def attempt(trial: Trial, work: Callable[[WorkTable], T]) -> T:
    [outcome] = trial.writer.transact([lambda writer: work(writer.work)])
    return outcome  # type: ignore[return-value]  # what the work gave, or what it raised


def new(payload: object = None, **fields: Any) -> NewItem:
    return NewItem(payload=msgspec.Raw(msgspec.json.encode(payload)), **fields)


def put(trial: Trial, queue: str, *items: NewItem, now: int = NOW, attempts: int = 3) -> Enqueued:
    return step(trial, lambda table: table.enqueue(queue, items, now, max_attempts=attempts))


def take(trial: Trial, queue: str, count: int = 10, now: int = NOW) -> list[WorkItem]:
    return step(trial, lambda table: table.claim(queue, count, LEASE, now)).items


def confirm(trial: Trial, *claims: Claim, now: int = NOW) -> Settled:
    return step(trial, lambda table: table.confirm(claims, now))


def release(
    trial: Trial, *items: WorkItem, now: int = NOW, delay: int = 0, **fields: Any
) -> Settled:
    claims = [item.claim for item in items]
    return step(
        trial, lambda table: table.release(claims, now, delay_ms=lambda n: n * delay, **fields)
    )


def advance(trial: Trial, now: int) -> Effects:
    return step(trial, lambda table: table.advance(now))


def values(items: Sequence[WorkItem]) -> list[object]:
    return [msgspec.json.decode(item.payload) for item in items]


def counts(trial: Trial, queue: str = "q") -> tuple[int, ...]:
    """Ready, delayed, waiting, claimed, dead."""
    for each in trial.reader.queues():
        if each.queue == queue:
            return each.ready, each.delayed, each.waiting, each.claimed, each.dead
    return 0, 0, 0, 0, 0


def dead(trial: Trial, queue: str = "q") -> list[tuple[int, str]]:
    return [(each.id, each.reason) for each in trial.reader.dead_work(queue)]


def _enqueue(table: WorkTable, item: NewItem) -> object:
    return table.enqueue("q", [item], NOW, max_attempts=1)


@require
def items_are_given_out_in_order_and_leave_when_confirmed(trial: Trial) -> None:
    done = put(trial, "q", new("one"), new({"n": 2}), new([3], key="k", subject="s", priority=-1))
    same((done.ids, done.repeated), ([1, 2, 3], 0), "the numbers")
    same((done.effects.pending, done.effects.ready), (3, {"q": 3}), "what it changed")
    put(trial, "other", new("elsewhere"))
    first, second, third = take(trial, "q")
    same(values([first, second, third]), ["one", {"n": 2}, [3]], "the payloads")
    told = (third.id, third.queue, third.key, third.subject, third.priority, third.attempt)
    same(told, (3, "q", "k", "s", -1, 1), "what is told of an item")
    same((third.max_attempts, third.enqueued_ms, third.lease_ends_ms), (3, NOW, NOW + LEASE), "")
    same(take(trial, "q"), [], "what is given out twice")
    settled = confirm(trial, first.claim, second.claim, third.claim)
    same((settled.done, settled.effects.pending), (3, -3), "what was confirmed")
    same(counts(trial), (0, 0, 0, 0, 0), "what is left")
    same([each.queue for each in trial.reader.queues()], ["other"], "the queues")
    trial.reopen()
    same(put(trial, "q", new()).ids, [5], "a number is given out once")


@require
def all_of_it_is_there_after_reopening(trial: Trial) -> None:
    put(trial, "q", new(1), new(2), new(3, delay_secs=5))
    put(trial, "q", new(4, after=[1], ttl_secs=9))
    [held] = take(trial, "q", 1)
    trial.reopen()
    same(counts(trial), (1, 1, 1, 1, 0), "ready, delayed, waiting, claimed, dead")
    same(advance(trial, NOW).next_ms, NOW + LEASE, "when something is due")
    same(confirm(trial, held.claim).done, 1, "a claim from before")
    same(values(take(trial, "q", now=NOW + 5_000)), [2, 4, 3], "what is given out")


@require
def a_key_is_enqueued_once_though_it_is_done(trial: Trial) -> None:
    first = put(trial, "q", new(1, key="a"), new(2, key="b"))
    again = put(trial, "q", new(1, key="a"), new(3, key="c"), new(3, key="c"))
    same((again.ids, again.repeated), ([first.ids[0], 3, 3], 2), "what was known")
    confirm(trial, *[item.claim for item in take(trial, "q")])
    trial.reopen()
    same(put(trial, "q", new(1, key="a")).repeated, 1, "one that is done")
    same(counts(trial), (0, 0, 0, 0, 0), "what came of it")
    same(put(trial, "other", new(1, key="a")).repeated, 0, "the same key in another queue")


@require
def higher_priorities_come_first_and_subjects_take_turns(trial: Trial) -> None:
    busy = [new(f"busy {number}", subject="busy") for number in range(4)]
    put(trial, "q", *busy, new("quiet", subject="quiet"), new("urgent", priority=1))
    same(values(take(trial, "q", 4)), ["urgent", "busy 0", "quiet", "busy 1"], "the order")
    put(trial, "q", new("late", subject="late"), new("busy 4", subject="busy"))
    rest = ["busy 2", "late", "busy 3", "busy 4"]
    same(values(take(trial, "q")), rest, "one that came late")


@require
def whoever_puts_one_item_at_a_time_starves_nobody(trial: Trial) -> None:
    put(trial, "q", *[new(f"busy {number}", subject="busy") for number in range(3)])
    seen: list[object] = []
    for number in range(3):
        put(trial, "q", new(f"quick {number}", subject="quick"))
        seen += values(take(trial, "q", 2))
    same([str(each).split()[0] for each in seen], ["busy", "quick"] * 3, "whose turn it was")


@require
def a_delay_ends(trial: Trial) -> None:
    done = put(trial, "q", new("later", delay_secs=1.5), new("now"))
    same((done.effects.ready, done.effects.next_ms), ({"q": 1}, NOW + 1_500), "what it changed")
    same(values(take(trial, "q", now=NOW + 1_499)), ["now"], "before it ends")
    same(advance(trial, NOW + 1_500).ready, {"q": 1}, "what the end of the delay changed")
    same(values(take(trial, "q", now=NOW + 1_500)), ["later"], "behind it")


@require
def what_nobody_confirms_is_given_out_again_and_the_old_claim_is_void(trial: Trial) -> None:
    put(trial, "q", new("slow"))
    [first] = take(trial, "q")
    same(take(trial, "q", now=NOW + LEASE - 1), [], "before the lease ends")
    effects = advance(trial, NOW + LEASE)
    same((effects.pending, effects.ready), (0, {"q": 1}), "what the end of the lease changed")
    settled = confirm(trial, first.claim)
    same((settled.done, settled.stale), (0, [first.claim]), "a confirmation that comes late")
    [second] = take(trial, "q", now=NOW + LEASE)
    same((second.id, second.attempt), (first.id, 2), "what is given out again")
    same(confirm(trial, first.claim).stale, [first.claim], "the old claim while another has it")
    same(confirm(trial, second.claim).done, 1, "the new one")


@require
def confirming_again_says_that_it_is_gone(trial: Trial) -> None:
    put(trial, "q", new())
    [item] = take(trial, "q")
    confirm(trial, item.claim)
    settled = confirm(trial, item.claim, NOBODY)
    same((settled.done, settled.gone, settled.stale), (0, [item.claim], [NOBODY]), "the second")
    same(confirm(trial, item.claim, item.claim).gone, [item.claim], "twice in one step")


@require
def a_lease_is_extended_by_whoever_has_it(trial: Trial) -> None:
    put(trial, "q", new())
    [item] = take(trial, "q")
    [settled] = [
        step(trial, lambda table: table.extend([item.claim, NOBODY], 5_000, NOW + 500)),
    ]
    same((settled.done, settled.stale), (1, [NOBODY]), "what was extended")
    same(take(trial, "q", now=NOW + 5_499), [], "before the new end")
    same(len(take(trial, "q", now=NOW + 5_500)), 1, "behind it")
    settled = step(trial, lambda table: table.extend([item.claim], 5_000, NOW + 5_500))
    same((settled.done, settled.stale), (0, [item.claim]), "one that another has")


@require
def what_is_released_comes_again_until_its_attempts_are_used_up(trial: Trial) -> None:
    put(trial, "q", new("poison"), attempts=2)
    [item] = take(trial, "q")
    settled = release(trial, item, delay=500, error="boom")
    same((settled.done, settled.effects.next_ms), (1, NOW + 500), "the first release")
    same(confirm(trial, item.claim).stale, [item.claim], "a claim that was given up")
    [item] = take(trial, "q", now=NOW + 500)
    settled = release(trial, item, delay=500, error="boom again", now=NOW + 600)
    same((settled.effects.pending, settled.effects.dead), (-1, 1), "the last release")
    same(
        [(each.reason, each.error) for each in settled.effects.died],
        [("attempts", "boom again")],
        "",
    )
    [letter] = trial.reader.dead_work("q")
    same((letter.reason, letter.error, letter.attempts), ("attempts", "boom again", 2), "")
    same((letter.died_ms, letter.payload), (NOW + 600, b'"poison"'), "what it is")


@require
def what_did_not_fail_is_given_back_uncounted(trial: Trial) -> None:
    put(trial, "q", new(), attempts=1)
    for _ in range(3):
        [item] = take(trial, "q")
        same(item.attempt, 1, "the attempt")
        release(trial, item, failed=False)
    same(counts(trial), (1, 0, 0, 0, 0), "where it is")


@require
def a_worker_that_dies_again_and_again_uses_attempts_up(trial: Trial) -> None:
    put(trial, "q", new(), attempts=2)
    for number in range(2):
        same(len(take(trial, "q", now=NOW + number * LEASE)), 1, "what is given out")
    same(advance(trial, NOW + 2 * LEASE).dead, 1, "what the last lease came to")
    [letter] = trial.reader.dead_work("q")
    same((letter.reason, letter.error), ("attempts", LEASE_ENDED), "what it died of")


@require
def what_expires_goes_to_dead_letters_unless_somebody_has_it(trial: Trial) -> None:
    put(trial, "q", new("kept", ttl_secs=1), new("left", ttl_secs=1), new("late", delay_secs=9))
    [item] = take(trial, "q", 1)
    step(trial, lambda table: table.extend([item.claim], 5_000, NOW))
    effects = advance(trial, NOW + 1_000)
    same((dead(trial), effects.dead), ([(2, "expired")], 1), "what nobody had")
    same(confirm(trial, item.claim, now=NOW + 1_001).done, 1, "one that somebody had in time")
    put(trial, "q", new("again", ttl_secs=1))
    [item] = take(trial, "q", now=NOW + 100)
    release(trial, item, now=NOW + 1_500)
    same(dead(trial)[-1], (item.id, "expired"), "one that came back too late")


@require
def an_item_waits_until_others_are_confirmed(trial: Trial) -> None:
    put(trial, "q", new("a", key="a"), new("b"))
    done = put(trial, "q", new("c", after=[2, "a"]), new("d", key="d"), new("e", after=["d"]))
    same((done.effects.ready, counts(trial)), ({"q": 1}, (3, 0, 2, 0, 0)), "who waits")
    a, b, d = take(trial, "q")
    same(confirm(trial, a.claim).effects.ready, {}, "the first of two")
    same(confirm(trial, b.claim).effects.ready, {"q": 1}, "the second of two")
    same(values(take(trial, "q")), ["c"], "who waited for both")
    confirm(trial, d.claim)
    same(values(take(trial, "q")), ["e"], "who waited for one of the same step")
    same(put(trial, "q", new("f", after=[1, 2])).effects.ready, {"q": 1}, "what is done already")


@require
def one_can_wait_for_what_is_known_only(trial: Trial) -> None:
    put(trial, "q", new("a"))
    for after in ([2], [0], ["nobody"], ["itself"]):
        item = new("b", after=after, key="itself")
        outcome = attempt(trial, partial(_enqueue, item=item))
        same(type(outcome), UnknownItem, f"waiting for {after}")
    same(counts(trial), (1, 0, 0, 0, 0), "what is there")


@require
def who_waits_for_a_dead_letter_shares_its_fate(trial: Trial) -> None:
    put(trial, "q", new("a"), new("x"), attempts=1)
    put(trial, "q", new("b", after=[1, 2]))
    put(trial, "q", new("c", after=[3]))
    a, x = take(trial, "q")
    settled = release(trial, a, error="boom")
    same(dead(trial), [(1, "attempts"), (3, "dependency"), (4, "dependency")], "who died")
    same(settled.effects.dead, 3, "what it changed")
    outcome = attempt(trial, partial(_enqueue, item=new(after=[1])))
    same(type(outcome), DeadDependency, "waiting for a dead letter")
    moved = step(trial, lambda table: table.retry("q", [3], NOW))
    same((moved.ids, moved.held), ([], [3]), "retrying one that waits for a dead letter")
    confirm(trial, x.claim)
    moved = step(trial, lambda table: table.retry("q", [1], NOW))
    same((moved.ids, moved.effects.pending), ([1, 3, 4], 3), "retrying what they wait for")
    same(counts(trial), (1, 0, 2, 0, 0), "where they are")
    seen = []
    while items := take(trial, "q"):
        seen += values(items)
        confirm(trial, *[item.claim for item in items])
    same(seen, ["a", "b", "c"], "the order")


@require
def who_died_of_two_comes_back_with_the_second(trial: Trial) -> None:
    put(trial, "q", new("a"), new("b"), attempts=1)
    put(trial, "q", new("c", after=[1, 2]))
    release(trial, *take(trial, "q"), error="boom")
    same(step(trial, lambda table: table.retry("q", [1], NOW)).ids, [1], "with the first")
    same(step(trial, lambda table: table.retry("q", [2], NOW)).ids, [2, 3], "with the second")


@require
def all_dead_letters_are_retried_at_once(trial: Trial) -> None:
    put(trial, "q", new("a", ttl_secs=5), attempts=1)
    put(trial, "q", new("b", key="b", after=[1]), new("c", after=["b"]))
    release(trial, *take(trial, "q"), error="boom")
    put(trial, "other", new(), attempts=1)
    release(trial, *take(trial, "other"))
    moved = step(trial, lambda table: table.retry("q", None, NOW + 4_000))
    same((moved.ids, moved.held), ([1, 2, 3], []), "who came back")
    same(counts(trial, "other"), (0, 0, 0, 0, 1), "another queue")
    [item] = take(trial, "q", now=NOW + 8_999)
    same((item.attempt, item.claim.number), (1, 2), "attempts begin anew, claims do not")
    same(take(trial, "q", now=NOW + 8_999), [], "who still waits")


@require
def who_waits_for_what_was_dropped_needs_a_person(trial: Trial) -> None:
    put(trial, "q", new("a", key="a"), new("b"), attempts=1)
    put(trial, "q", new("c", after=[1, 2]))
    release(trial, *take(trial, "q"), error="boom")
    dropped = step(trial, lambda table: table.drop("q", [1]))
    same((dropped.ids, dropped.effects.dead), ([1], -1), "what was dropped")
    same(dead(trial), [(2, "attempts"), (3, "dropped")], "what is left")
    same(step(trial, lambda table: table.retry("q", [2], NOW)).ids, [2], "retrying the other")
    same(step(trial, lambda table: table.retry("q", [3], NOW)).ids, [3], "retrying it by itself")
    same(put(trial, "q", new("a", key="a")).repeated, 0, "the key of what was dropped")
    same(step(trial, lambda table: table.drop("q", None)).ids, [], "dropping what is not there")


@require
def claims_of_other_queues_are_told_apart(trial: Trial) -> None:
    put(trial, "q", new("a"), new("b"))
    put(trial, "other", new("c"))
    [first, second] = [item.claim for item in take(trial, "q")]
    [third] = [item.claim for item in take(trial, "other")]
    asked = [first, third, NOBODY]
    same(step(trial, lambda table: table.elsewhere("q", asked)), {third}, "those of the other")
    same(step(trial, lambda table: table.elsewhere("other", asked)), {first}, "those of the one")
    confirm(trial, second)
    same(step(trial, lambda table: table.elsewhere("other", [second])), set(), "one that is done")


@require
def dead_letters_are_listed_in_pages(trial: Trial) -> None:
    put(trial, "q", *[new(number) for number in range(5)], attempts=1)
    release(trial, *take(trial, "q"))
    first = trial.reader.dead_work("q", limit=3)
    rest = trial.reader.dead_work("q", after=first[-1].id, limit=3)
    same([each.id for each in [*first, *rest]], [1, 2, 3, 4, 5], "both pages")


@require
def a_step_that_fails_leaves_nothing_of_what_it_did_to_queues(trial: Trial) -> None:
    put(trial, "q", new("a", key="k"), new("b"))
    [held] = take(trial, "q", 1)

    def fails(writer: JournalWriter) -> None:
        writer.work.enqueue("q", [new("x", key="x")], NOW, max_attempts=1)
        writer.work.confirm([held.claim], NOW)
        writer.work.claim("q", 9, LEASE, NOW)
        raise Refusal

    [outcome] = trial.writer.transact([fails])
    same(isinstance(outcome, Refusal), True, "what it raised")
    same(counts(trial), (1, 0, 0, 1, 0), "what is there")
    same(put(trial, "q", new("x", key="x")).ids, [3], "the number and the key of what was undone")
    same(confirm(trial, held.claim).done, 1, "the claim that it confirmed")
    same(values(take(trial, "q")), ["b", "x"], "what it claimed")


@require
def what_a_step_sees_is_counted_with_what_it_changed(trial: Trial) -> None:
    put(trial, "q", new("a"), new("b"), new("c"))
    put(trial, "other", new("d"), attempts=1)
    release(trial, *take(trial, "other"))

    def changes(writer: JournalWriter) -> tuple[tuple[int, int], tuple[int, int]]:
        before = writer.work.held()
        claimed = writer.work.claim("q", 1, LEASE, NOW)
        writer.work.confirm([item.claim for item in claimed.items], NOW)
        return before, writer.work.held()

    [outcome] = trial.writer.transact([changes])
    same(outcome, ((3, 1), (2, 1)), "items and dead letters")


@require
def what_people_wrote_into_items_is_rewritten(trial: Trial) -> None:
    put(trial, "q", new("a walnut", key="walnut", subject="walnut"), new("b", key="b"))
    item, _other = take(trial, "q")
    release(trial, item, error="a walnut")
    put(trial, "q", new("walnut"), attempts=1)
    release(trial, *take(trial, "q", 2)[-1:], error="walnut")
    same(trial.writer.rewrite_records(Erasing("walnut")) > 0, True, "that something changed")
    [letter] = trial.reader.dead_work("q")
    same((letter.payload, letter.error), (b'"[gone]"', "[gone]"), "a dead letter")
    same(put(trial, "q", new(key="[gone]"), new(key="b")).repeated, 2, "the keys")
    [again] = take(trial, "q", now=NOW + LEASE)[:1]
    trial.reopen()
    same(b"walnut" in again.payload or "walnut" in again.key + again.subject, False, "an item")


@require
def what_the_door_took_out_is_counted(trial: Trial) -> None:
    trial.writer.transact([lambda writer: writer.count_redactions({"token": 2})])
    trial.writer.transact([lambda writer: writer.count_redactions({"token": 1})])
    same(trial.reader.redactions(), {"token": 3}, "the counts")
