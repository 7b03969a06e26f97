"""Server-sent events come out whole, however the bytes come in."""

from __future__ import annotations

from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from holdfast.remote.sse import EventParser, ServerEvent

SENT = (
    b": still here\n\n"
    b"event: holdfast.subscribed\ndata: {}\n\n"
    b'id: 7\nevent: order.placed\ndata: {"a":\ndata: 1}\n\n'
    b"id:8\ndata:x\n\n"
    b"id: 9\n\n"
    b"data: \xc3\xa9\n\n"
)
READ = [
    ServerEvent("", "holdfast.subscribed", "{}"),
    ServerEvent("7", "order.placed", '{"a":\n1}'),
    ServerEvent("8", "message", "x"),
    ServerEvent("", "message", "é"),
]


@given(st.lists(st.integers(0, len(SENT)), max_size=10))
def test_events_are_read_however_they_are_cut(cuts: list[int]) -> None:
    parser, events = EventParser(), []
    places = [0, *sorted(cuts), len(SENT)]
    for first, end in pairwise(places):
        events += parser.feed(SENT[first:end])
    assert events == READ


def test_what_is_not_whole_waits() -> None:
    parser = EventParser()
    assert parser.feed(b"id: 1\ndata: a\n") == []
    assert parser.feed(b"\n") == [ServerEvent("1", "message", "a")]
