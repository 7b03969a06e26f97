"""Pages on their way out: in order, a bounded number, and never waited for."""

from __future__ import annotations

import threading

from holdfast.alerts.outbox import Outbox
from tests.support.waiting import DEADLINE_S, until


class Line:
    """A way that hangs until somebody lets it go on."""

    def __init__(self, pages_max: int = 3) -> None:
        self.open = threading.Event()
        self.begun: list[int] = []
        self.told: list[int] = []
        self.threads: set[str] = set()
        self.dropped: list[int] = []
        self.outbox = Outbox(self.dropped.append, pages_max=pages_max)

    def page(self, number: int) -> None:
        self.outbox.put(lambda: self._send(number))

    def _send(self, number: int) -> None:
        self.begun.append(number)
        assert self.open.wait(DEADLINE_S)
        self.threads.add(threading.current_thread().name)
        self.told.append(number)


def test_pages_are_sent_in_order_by_one_thread() -> None:
    line = Line()
    for number in range(3):
        line.page(number)
    line.open.set()
    until(lambda: len(line.told) == 3, "all were told")
    line.page(3)
    until(lambda: len(line.told) == 4, "a later one was told")
    assert line.told == [0, 1, 2, 3]
    assert line.threads == {"pager"}


def test_while_one_hangs_the_oldest_that_wait_are_dropped_and_counted() -> None:
    line = Line(pages_max=3)
    line.page(0)
    until(lambda: line.begun, "the first is under way")
    for number in range(1, 6):
        line.page(number)
    assert line.dropped == [1, 2]
    line.open.set()
    until(lambda: len(line.told) == 4, "the others were told")
    assert line.told == [0, 3, 4, 5]


def test_the_end_waits_for_no_page_and_begins_none() -> None:
    line = Line()
    line.page(0)
    until(lambda: line.begun, "the first is under way")
    line.page(1)
    line.outbox.close()  # returns while the first hangs
    line.page(2)
    assert line.told == []
    line.open.set()
    until(lambda: not any(thread.name == "pager" for thread in threading.enumerate()), "it ended")
    assert line.told == [0]
    assert line.dropped == []
