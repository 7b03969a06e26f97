"""The ledger: what each kind of event does to it, and that nothing else decides what it is."""

from __future__ import annotations

import msgspec
from hypothesis import given
from hypothesis import strategies as st

from holdfast.events import EMPTY, Event, event_id, stream_id
from holdfast.work.ledger import SOURCES_MAX, TEXT_MAX_CHARS, Ledger, Limits
from holdfast.work.ledger_page import page

STREAM = stream_id("work")
SMALL = Limits(epics=2, tasks=3, decisions=2, learnings=3)


def event(number: int, kind: str, text: str = "", about: str = "", /, **data: object) -> Event:
    return Event(
        id=event_id(STREAM, 0, number, 0),
        session=STREAM,
        seq=number,
        kind=kind,
        at=f"2026-11-{number // 60 % 28 + 1:02}T10:00:{number % 60:02}.000Z",
        text=text,
        data=msgspec.Raw(msgspec.json.encode(data)) if data else EMPTY,
        source=None,
        actor="hana",
        correlation=about,
    )


def ledger(*events: Event, limits: Limits = Limits()) -> Ledger:  # noqa: B008  # frozen
    made = Ledger(limits)
    for each in events:
        made.apply(each)
    return made


def found(number: int, about: str, session: str = "one", **data: object) -> Event:
    told = {"type": "preference", "session": session, "seq": 0, "confidence": 0.9} | data
    return event(number, "learning.found", f"Always do {about}.", about, **told)


def test_a_task_goes_through_its_states() -> None:
    created = event(0, "task.created", "", "t", title="Write the parser", epic="e")
    made = ledger(created)
    assert made.state.tasks["t"].state == "pending"
    for seq, (kind, state) in enumerate(
        [
            ("task.started", "running"),
            ("task.progress", "running"),
            ("task.blocked", "blocked"),
            ("task.unblocked", "pending"),
            ("task.stale", "stale"),
            ("task.timeout", "timeout"),
            ("task.failed", "failed"),
            ("task.retried", "pending"),
            ("task.cancelled", "cancelled"),
            ("task.completed", "completed"),
        ],
        1,
    ):
        made.apply(event(seq, kind, "", "t"))
        assert made.state.tasks["t"].state == state
    task = made.state.tasks["t"]
    assert (task.title, task.epic, task.created_at) == ("Write the parser", "e", created.at)


def test_what_is_said_of_a_task_is_kept_until_more_is_said() -> None:
    made = ledger(
        event(0, "task.created", "Write the parser", "t"),
        event(1, "task.blocked", "", "t", reason="no sample yet"),
        event(2, "task.unblocked", "", "t"),
    )
    assert made.state.tasks["t"].note == "no sample yet"
    made.apply(event(3, "task.progress", "half of it", "t"))
    assert made.state.tasks["t"].note == "half of it"


def test_tasks_stand_in_the_order_in_which_they_came_into_their_state() -> None:
    made = ledger(*(event(n, "task.created", name, name) for n, name in enumerate("abc")))
    made.apply(event(3, "task.started", "", "a"))
    assert [*made.state.tasks] == ["b", "c", "a"]
    made.apply(event(4, "task.progress", "half of it", "c"))
    assert [*made.state.tasks] == ["b", "c", "a"]


def test_heartbeats_and_strangers_change_nothing() -> None:
    made = ledger(event(0, "task.created", "Write it", "t"))
    before = made.dump()
    for kind in (
        "task.heartbeat",
        "task.dreamt",
        "message.user",
        "epic.moved",
        "queue.dead",
        "task",
    ):
        made.apply(event(1, kind, "whatever", "t"))
    assert made.dump() == before


def test_epics_decisions_and_learnings() -> None:
    made = ledger(
        event(0, "epic.created", "", "e", title="Parsers"),
        event(1, "decision.proposed", "Use one table", "d"),
        event(2, "decision.accepted", "", "d"),
        event(3, "epic.completed", "", "e"),
        found(4, "this"),
    )
    state = made.state
    assert (state.epics["e"].title, state.epics["e"].state) == ("Parsers", "completed")
    assert (state.decisions["d"].text, state.decisions["d"].state) == ("Use one table", "accepted")
    assert (state.learnings["this"].text, state.learnings["this"].times) == ("Always do this.", 1)
    assert state.events == 5


def test_the_same_learning_is_one_with_more_sources() -> None:
    made = ledger(found(0, "this"), found(1, "this"), found(2, "this", "two"))
    learnt = made.state.learnings["this"]
    assert learnt.times == 2, "the same place twice is once"
    assert [source.session for source in learnt.sources] == ["one", "two"]
    for number in range(10):
        made.apply(found(3 + number, "this", f"s{number}"))
    assert learnt.times == 12
    assert [source.session for source in learnt.sources] == [f"s{n}" for n in range(10)][
        -SOURCES_MAX:
    ]


def test_a_superseded_learning_is_not_shown() -> None:
    made = ledger(found(0, "this"), event(1, "learning.superseded", "", "this", by="that"))
    assert made.state.learnings["this"].superseded_by == "that"
    assert "Always do this" not in page(made.state)


def test_data_of_any_shape_is_taken_as_far_as_it_goes() -> None:
    odd = event(0, "task.created", "Write it", "t", title=7, epic=["e"], note={"a": 1})
    made = ledger(odd)
    assert made.state.tasks["t"].title == "Write it"
    for raw in (b"[1,2]", b'"text"', b"7", b"[" * 10_000 + b"]" * 10_000):
        made.apply(msgspec.structs.replace(odd, data=msgspec.Raw(raw)))
    assert len(made.state.tasks) == 1


def test_texts_are_one_line_of_a_bounded_length() -> None:
    made = ledger(event(0, "task.created", "a\nb\ud800 " + "x" * 1_000, "t" * 1_000))
    ((key, task),) = made.state.tasks.items()
    assert task.title.startswith("a b? x")
    assert len(task.title) == TEXT_MAX_CHARS
    assert len(key) < 1_000


def test_what_is_finished_and_oldest_leaves_first_and_is_counted() -> None:
    made = ledger(
        event(0, "task.created", "open", "open"),
        event(1, "task.created", "done first", "first"),
        event(2, "task.completed", "", "first"),
        event(3, "task.created", "done second", "second"),
        event(4, "task.completed", "", "second"),
        event(5, "task.created", "new", "new"),
        limits=SMALL,
    )
    assert list(made.state.tasks) == ["open", "second", "new"]
    assert made.state.left == {"task.completed": 1}
    assert "1 task: completed" in page(made.state)


def test_however_many_events_there_are_they_leave_a_bounded_ledger() -> None:
    made = Ledger(SMALL)
    kinds = ("epic.created", "task.created", "decision.accepted")
    for number in range(1_000):
        for kind in kinds:
            made.apply(event(number, kind, "x", f"{number}"))
        made.apply(found(number, f"{number}"))
    state = made.state
    assert [len(each) for each in (state.epics, state.tasks, state.decisions, state.learnings)] == [
        2,
        3,
        2,
        3,
    ]
    assert sum(state.left.values()) == 4_000 - 10


KINDS = st.sampled_from(
    [
        *(f"task.{what}" for what in ("created", "started", "progress", "completed", "failed")),
        *("task.blocked", "task.unblocked", "task.retried", "task.heartbeat", "task.cancelled"),
        *("epic.created", "epic.completed", "decision.proposed", "decision.accepted"),
        *("learning.found", "learning.superseded", "message.user"),
    ]
)
DATA = st.fixed_dictionaries(
    {},
    optional={
        "title": st.text(max_size=8),
        "epic": st.sampled_from("abcde"),
        "type": st.sampled_from(["decision", "pattern", "odd"]),
        "session": st.sampled_from("xyz"),
        "seq": st.integers(0, 3),
        "confidence": st.floats(0, 1),
        "note": st.text(max_size=8),
        "by": st.sampled_from("abcde"),
    },
)
EVENTS = st.lists(
    st.tuples(KINDS, st.text(max_size=12), st.sampled_from("abcde"), DATA), max_size=60
)


@given(EVENTS, st.lists(st.integers(0, 60), max_size=5))
def test_wherever_it_is_written_down_and_read_again_it_is_the_same(
    told: list[tuple[str, str, str, dict[str, object]]], cuts: list[int]
) -> None:
    events = [
        event(seq, kind, text, about, **data) for seq, (kind, text, about, data) in enumerate(told)
    ]
    whole = ledger(*events, limits=SMALL)
    made = Ledger(SMALL)
    for seq, each in enumerate(events):
        if seq in cuts:
            kept = made.dump()
            made = Ledger(SMALL)
            made.load(kept)
        made.apply(each)
    assert made.dump() == whole.dump()
    assert page(made.state) == page(whole.state)
