"""How many import children run at the same time, whoever starts them: one sum, for memory's sake.

An import of everything reads log after log and would keep its places for hours; a log that was
rewritten meanwhile waits for one. So who waits is served in turn, and who has a place asks between
two logs whether somebody else wants it (`wanted_beside`).
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable


class _Ticket:
    def __init__(self, owner: object) -> None:
        self.owner = owner


class ChildSlots:
    """Places for children. Any thread may wait for one."""

    def __init__(self, count: int) -> None:
        self._free = count
        self._waiting: deque[_Ticket] = deque()  # in the order in which they came
        self._changed = threading.Condition()

    def take(self, owner: object, is_over: Callable[[], bool]) -> bool:
        """Wait for a place; False when there is no use for it any more."""
        ticket = _Ticket(owner)
        with self._changed:
            self._waiting.append(ticket)
            try:
                self._changed.wait_for(
                    lambda: is_over() or (self._free > 0 and self._waiting[0] is ticket)
                )
                if is_over():
                    return False
                self._free -= 1
                return True
            finally:
                self._waiting.remove(ticket)
                self._changed.notify_all()

    def give_back(self) -> None:
        with self._changed:
            self._free += 1
            self._changed.notify_all()

    def look_again(self) -> None:
        """What `is_over` says may have changed."""
        with self._changed:
            self._changed.notify_all()

    def wanted_beside(self, owner: object) -> bool:
        """Whether somebody else waits for a place."""
        with self._changed:
            return any(ticket.owner is not owner for ticket in self._waiting)
