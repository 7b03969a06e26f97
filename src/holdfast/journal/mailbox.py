"""What waits for the writer's thread: bounded, taken in groups, in two lanes.

What somebody waits for - a line that was just written, an append, a claim - goes before what an
import brings, which may be megabytes; after a few groups of the one, a group of the other has its
turn. Each lane keeps its order. A call waits for all that was put before it, whatever its lane: who
asks for everything to be stored means everything.

`queue.Queue` was rejected: it bounds numbers only, a group means reaching into its insides, and
when it is closed a caller that waits for room can still slip something in that nobody takes.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from typing import Final, TypeVar

from holdfast.journal.model import Batch
from holdfast.journal.protocol import JournalWriter
from holdfast.journal.sqlite import JournalError
from holdfast.journal.streams import Append

WAITING_MAX: Final = 256
WAITING_BYTES_MAX: Final = 16_000_000
GROUP_BATCHES_MAX: Final = 64
GROUP_BYTES_MAX: Final = 1_000_000  # more saves nothing, and whatever is urgent waits for it
URGENT_TURNS: Final = 4  # groups in a row, while something else waits


class JournalClosed(JournalError):
    """The journal is closing; what was not stored is read again at the next start."""


class Write:
    """A batch, and the promise of its being stored, whether or not somebody goes on waiting."""

    __slots__ = ("batch", "bytes", "done", "durable")

    def __init__(self, batch: Batch, *, durable: bool) -> None:
        self.batch = batch
        self.durable = durable
        self.bytes = len(batch.lines) + sum(len(each.data) for each in batch.blocks)
        self.bytes += sum(len(text.text) for text in batch.texts)
        self.done: Future[None] = Future()
        self.done.set_running_or_notify_cancel()


class Call:
    """Something to do on the writer's thread."""

    __slots__ = ("behind", "done", "work")
    bytes: Final = 0

    def __init__(self, work: Callable[[JournalWriter], object]) -> None:
        self.work = work
        self.behind = 0  # how much of what is urgent was put before it, ever
        self.done: Future[object] = Future()
        self.done.set_running_or_notify_cancel()


class Post:
    """Events for streams, each append with an outcome of its own."""

    __slots__ = ("appends", "bytes", "done")

    def __init__(self, appends: Sequence[Append]) -> None:
        self.appends = appends
        self.bytes = sum(
            len(each.text) + len(each.data) for append in appends for each in append.events
        )
        self.done: Future[object] = Future()
        self.done.set_running_or_notify_cancel()


class Work:
    """Something to do in a transaction that others share, and that is on disk when it is done."""

    __slots__ = ("bytes", "done", "work")

    def __init__(self, work: Callable[[JournalWriter], object], size: int) -> None:
        self.work = work
        self.bytes = size
        self.done: Future[object] = Future()
        self.done.set_running_or_notify_cancel()


Durable = Post | Work
Mail = Write | Call | Durable
Lane = deque[Mail] | deque[Write | Durable]
T = TypeVar("T", Write, Durable)


class Mailbox:
    """Many threads put, one takes."""

    def __init__(
        self, *, waiting_max: int = WAITING_MAX, waiting_bytes_max: int = WAITING_BYTES_MAX
    ) -> None:
        self._waiting_max = waiting_max
        self._waiting_bytes_max = waiting_bytes_max
        self._usual: deque[Mail] = deque()
        self._urgent: deque[Write | Durable] = deque()
        self._urgent_put = self._urgent_taken = 0
        self._urgent_turns = 0  # in a row
        self._bytes = 0
        self._closed = False
        self._lock = threading.Lock()
        self._mail = threading.Condition(self._lock)
        self._room = threading.Condition(self._lock)

    def __len__(self) -> int:
        return len(self._usual) + len(self._urgent)

    @property
    def filled_pct(self) -> float:
        """By count or by bytes, whichever is nearer its end."""
        return 100 * max(len(self) / self._waiting_max, self._bytes / self._waiting_bytes_max)

    @property
    def bytes(self) -> int:
        return self._bytes

    @property
    def has_urgent(self) -> bool:
        return bool(self._urgent)

    def put(self, item: Mail, *, wait: bool = True, urgent: bool = False) -> None:
        """Blocks while too much waits; something that is too large goes in when nothing does.

        Without `wait` it goes in at once: for whoever may not block and bounds itself.
        """
        with self._lock:
            if wait:
                self._room.wait_for(lambda: self._closed or self._has_room(item))
            if self._closed:
                raise JournalClosed("the journal is closing: try again after the restart")
            self._add(item, urgent=urgent)

    def offer(self, item: Mail) -> bool:
        """Put it in if there is room; never waits for some."""
        with self._lock:
            if self._closed:
                raise JournalClosed("the journal is closing: try again after the restart")
            if not self._has_room(item):
                return False
            self._add(item, urgent=False)
            return True

    def take(
        self, *, wait: bool, at_most_s: float | None = None
    ) -> list[Write] | list[Durable] | Call | None:
        """The next call, or all that can be committed together; None once closed and empty.

        An empty list when nothing is there, or nothing came within `at_most_s`.
        """
        with self._lock:
            if wait:
                self._mail.wait_for(lambda: self._closed or len(self), at_most_s)
            if not len(self):
                return None if self._closed else []
            lane = self._next_lane()
            first = self._pop(lane)
            self._room.notify_all()
            if isinstance(first, Write):
                return self._group(lane, first, Write)
            return first if isinstance(first, Call) else self._group(lane, first, (Post, Work))

    def close(self) -> None:
        """Nothing more comes in; what is in can still be taken."""
        with self._lock:
            self._closed = True
            self._mail.notify_all()
            self._room.notify_all()

    def _add(self, item: Mail, *, urgent: bool) -> None:
        if urgent and not isinstance(item, Call):
            self._urgent.append(item)
            self._urgent_put += 1
        else:
            self._usual.append(item)
        if isinstance(item, Call):
            item.behind = self._urgent_put
        self._bytes += item.bytes
        self._mail.notify()

    def _has_room(self, item: Mail) -> bool:
        if not len(self):
            return True
        if len(self) >= self._waiting_max:
            return False
        return self._bytes + item.bytes <= self._waiting_bytes_max

    def _next_lane(self) -> Lane:
        """In turns where both have something; no call before what was put before it."""
        if not self._urgent:
            self._urgent_turns = 0
            return self._usual
        head = self._usual[0] if self._usual else None
        must_wait = isinstance(head, Call) and self._urgent_taken < head.behind
        if head is None or must_wait:
            self._urgent_turns = 0
            return self._urgent
        if self._urgent_turns < URGENT_TURNS:
            self._urgent_turns += 1
            return self._urgent
        self._urgent_turns = 0
        return self._usual

    def _group(self, lane: Lane, first: T, like: type[T] | tuple[type[T], ...]) -> list[T]:
        group, size = [first], first.bytes
        while len(group) < GROUP_BATCHES_MAX and size < GROUP_BYTES_MAX and lane:
            if not isinstance(lane[0], like):
                break
            following = self._pop(lane)
            assert isinstance(following, like)
            group.append(following)
            size += following.bytes
        return group

    def _pop(self, lane: Lane) -> Mail:
        item = lane.popleft()
        self._bytes -= item.bytes
        self._urgent_taken += lane is self._urgent
        return item
