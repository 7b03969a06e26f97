"""What the owners of tasks, checkpoints and intents have in common."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Final, Generic, NamedTuple, TypeVar

from holdfast.governor import Level, Usage
from holdfast.journal.streams import NewEvent
from holdfast.work.entities import WrongState, matching, new_id
from holdfast.work.family import Append, Clean, Family
from holdfast.work.projection import Journal, Projector
from holdfast.work.shelf import Entity, Shelf
from holdfast.work.timers import Timers

E = TypeVar("E", bound=Entity)
_FORGET: Final = "forget"


class Room(NamedTuple):
    """What a family is given to live with."""

    journal: Journal
    append: Append
    timers: Timers
    now_ms: Callable[[], int]  # since 1970
    clean: Clean = lambda events: events  # as `append` does
    make_id: Callable[[str, str], str] = new_id  # by the client's key and the noun
    on_problem: Callable[[str], None] = lambda _problem: None


class Keeper(Generic[E]):
    """Owns the state of a family. Lives on the event loop.

    A name is an id, or the beginning of one.
    """

    def __init__(self, shelf: Shelf[E], room: Room, *, noun: str, entity_bytes: int) -> None:
        """`entity_bytes`: of an ordinary one, for the limit."""
        self.name = shelf.name
        self._shelf = shelf
        self._noun = noun
        self._entity_bytes = entity_bytes
        self._make_id = room.make_id
        self._now_ms = room.now_ms
        self._timers = room.timers
        self._family = Family(
            Projector(shelf, room.journal, on_problem=room.on_problem),
            room.append,
            now_ms=room.now_ms,
            clean=room.clean,
            on_change=self._changed,
        )

    async def start(self) -> None:
        """What was open is, as it was when the program ended, however it did."""
        await self._family.start()

    async def close(self) -> None:
        self._timers.cancel((_FORGET, self.name))
        await self._family.close()

    def get(self, name: str) -> E:
        found = self._shelf.get(self._find(name))
        assert found is not None
        return found

    @property
    def ended(self) -> int:
        """How many have ended and are still in memory."""
        return self._shelf.ended_count

    def compact(self) -> int:
        """Let go of what may be forgotten; how many that were."""
        return self._shelf.forget(self._now_ms())

    def forgettable(self) -> int:
        """How many that would be."""
        return self._shelf.forgettable(self._now_ms())

    async def keep(self) -> None:
        """Keep the state, so that the next start reads little."""
        await self._family.keep()

    async def rebuild(self) -> None:
        """Make the state anew of what is stored, which was rewritten."""
        await self._family.rebuild()

    @property
    def stream(self) -> str:
        return self._shelf.streams[0]

    @property
    def gone(self) -> str:
        """Where to look for what is not here any more."""
        return f"what ended before is in `holdfast show stream/{self.stream}`"

    def usage(self) -> Usage:
        items_max = self._shelf.items_max
        return Usage(
            bytes=self._shelf.bytes,
            items=len(self._shelf),
            limit_bytes=items_max * self._entity_bytes,
            limit_items=items_max,
        )

    def relieve(self, level: Level, target_bytes: int) -> int:  # noqa: ARG002  # any level will do
        """What ended is in the log."""
        return self._shelf.drop_ended(target_bytes)

    def _find(self, name: str) -> str:
        if self._shelf.get(name) is not None:
            return name
        gone = f"that is open or ended lately: see `holdfast {self.name}`; {self.gone}"
        return matching(name, (each.id for each in self._shelf), self._noun, gone)

    async def _make(self, key: str, decide: Callable[[str, int], list[NewEvent]]) -> E:
        """The same key again gives the same one, as it is by now."""
        made = self._make_id(key, self._noun)
        await self._family.submit(lambda now_ms: decide(made, now_ms))
        found = self._shelf.get(made)
        if found is None:
            raise WrongState(
                f"the {self._noun} of the key {key!r} was made before and has ended: name another "
                "one by another key"
            )
        return found

    async def _does(self, name: str, decide: Callable[[str, int], list[NewEvent]]) -> E:
        found = ""

        def by_name(now_ms: int) -> list[NewEvent]:
            nonlocal found
            found = self._find(name)
            return decide(found, now_ms)

        await self._family.submit(by_name)
        return self.get(found)

    def _listed(self, wanted: Callable[[E], bool], limit: int) -> list[E]:
        """The newest first."""
        found = [each for each in self._shelf if wanted(each)]
        found.sort(key=lambda each: (each.created_ms, each.id), reverse=True)
        return found[:limit]

    def _changed(self, ids: Sequence[str] | None) -> None:  # noqa: ARG002  # for who says more
        """What changed was applied; None when it may be any."""
        due_ms = self._shelf.next_forgotten_ms()
        if due_ms is None:
            self._timers.cancel((_FORGET, self.name))
        else:
            self._timers.at((_FORGET, self.name), due_ms, self._forget)

    async def _forget(self) -> None:
        self.compact()
        self._changed(())
