"""The recordings that are live: brought forward, looked after, paused, ended."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from typing import Final

import msgspec

from holdfast.clock import instant
from holdfast.errors import HoldfastError
from holdfast.journal.model import Recording
from holdfast.journal.sqlite import JournalError
from holdfast.recording.destinations import Destinations
from holdfast.recording.follower import Follower, Missing, NotYet, Place
from holdfast.recording.ledger import Ledger

HEAD_EVERY_S: Final = 5.0
SYNC_EVERY_S: Final = 5.0
LOST_AFTER_S: Final = 2.0  # an editor that saves makes a file disappear for a moment
RETRY_PAUSED_S: Final = 5.0  # and not whenever something is said


class Followers:
    """Owns the live recordings. Used by one thread; `problems` may be read by any."""

    def __init__(
        self,
        ledger: Ledger,
        destinations: Destinations,
        clock_s: Callable[[], float] = time.monotonic,
    ) -> None:
        self._ledger = ledger
        self._destinations = destinations
        self._clock_s = clock_s
        self._live: dict[int, Follower] = {}
        self._upto: dict[str, int] = {}  # sessions with recordings -> where their commands end
        self._tended_s: dict[int, tuple[float, float]] = {}  # front matter, sync
        self._missing_since_s: dict[int, float] = {}
        self._retry_at_s: dict[int, float] = {}  # of those that are paused
        self._paused: dict[int, str] = {}  # why they are
        self._old_heads: dict[int, str] = {}  # why front matter is not brought up to date
        self.problems: dict[int, str] = {}  # both; replaced as a whole when it changes
        self.soon = False  # somebody is writing a file right now: look again in a moment

    def __len__(self) -> int:
        return len(self._live)

    def __iter__(self) -> Iterator[Follower]:
        return iter(list(self._live.values()))

    def clear(self) -> None:
        """What is wrong with each is taken up again with its row."""
        for known in (
            self._live,
            self._upto,
            self._tended_s,
            self._missing_since_s,
            self._retry_at_s,
            self._paused,
            self._old_heads,
        ):
            known.clear()
        self._show_problems()

    def has_session(self, session: str) -> bool:
        return any(each.session == session for each in self._live.values())

    def paths(self) -> set[str]:
        return {each.recording.path for each in self._live.values()}

    def reach(self, session: str, upto: int) -> None:
        """Commands were looked for up to here, so what stands before it may be written."""
        if self.has_session(session):
            self._upto[session] = max(upto, self._upto.get(session, 0))

    def follow_all(self) -> None:
        """All but those that are paused: these get their turn in `tend`."""
        for follower in self:
            if follower.recording.no not in self._retry_at_s:
                self.follow(follower)

    def follow(self, follower: Follower) -> bool:
        """To the end of its session, as far as that may be written; whether it got there."""
        return self._follow(follower, self._upto.get(follower.session, follower.place.next_seq))

    def bring(self, session: str, upto: int) -> None:
        """What was said before a command is written before what it does."""
        for follower in self.of(session):
            self._follow(follower, upto)

    def note(self, session: str, behind: int, text: str, touched: Sequence[Follower] = ()) -> None:
        for follower in {id(each): each for each in (*self.of(session), *touched)}.values():
            follower.note(max(behind, follower.place.next_seq), text)

    def add(self, follower: Follower) -> None:
        recording = follower.recording
        if self._live.setdefault(recording.no, follower) is follower and recording.problem:
            self._paused[recording.no] = recording.problem
            self._show_problems()

    def make(self, recording: Recording, place: Place) -> Follower:
        row = self._ledger.session(recording.session)
        return Follower(
            recording,
            place,
            agent=row.agent,
            policy=self._destinations.policy(place.cwd),
            readers=self._ledger.readers,
            save=lambda recording: self._ledger.save([recording]),
        )

    def tend(self) -> None:
        """What need not be done at each event: front matter, disk, whether the file is there."""
        for follower in self:
            try:
                self._tend(follower)
            except NotYet:
                self.soon = True
            except Missing as error:
                self._miss(follower, error)
            except HoldfastError as error:
                self._pause(follower, str(error))

    def _tend(self, follower: Follower) -> None:
        no, now_s = follower.recording.no, self._clock_s()
        head_s, sync_s = self._tended_s.setdefault(no, (-HEAD_EVERY_S, now_s))
        follower.check()
        self._missing_since_s.pop(no, None)
        goes_on = no in self._paused and self._retry(follower, now_s)
        if no not in self._live:  # what was left of it is written, or its file is gone
            return
        if follower.unsynced and now_s - sync_s >= SYNC_EVERY_S:
            self._tended_s[no] = (head_s, now_s)
            follower.sync()
        if goes_on:
            self._fine(follower)
        if follower.stale_head and now_s - head_s >= HEAD_EVERY_S:
            self._tended_s[no] = (now_s, self._tended_s[no][1])
            self._renew_head(follower)
        if follower.unsaved:  # the time of our own change among it
            follower.save()

    def _retry(self, follower: Follower, now_s: float) -> bool:
        no = follower.recording.no
        if now_s < self._retry_at_s.get(no, now_s):
            return False
        self._retry_at_s[no] = now_s + RETRY_PAUSED_S
        return self.follow(follower)

    def _renew_head(self, follower: Follower) -> None:
        """Front matter that cannot be renewed keeps nothing else from being written."""
        recording = follower.recording
        try:
            follower.renew_head(self._ledger.session(follower.session))
        except JournalError:
            raise
        except HoldfastError as error:
            problem = f"the front matter is not brought up to date: {error}"
            if self._old_heads.get(recording.no) != problem:
                self._old_heads[recording.no] = problem
                self._show_problems()
                self._ledger.log.warning(
                    "recording.paused",
                    session=recording.session,
                    path=recording.path,
                    problem=problem,
                )
        else:
            if self._old_heads.pop(recording.no, None):
                self._show_problems()

    def settle(self, follower: Follower) -> None:
        """Before the daemon ends, or the recording does."""
        with suppress(HoldfastError):  # it is as it was; what was said counts
            follower.renew_head(self._ledger.session(follower.session))
        follower.sync()
        follower.save()

    def of(self, session: str) -> list[Follower]:
        return [each for each in self._live.values() if each.session == session]

    def rows(self, session: str) -> list[Recording]:
        """The rows of a session's recordings as they are now, plans included."""
        found = self.of(session)
        for follower in found:
            follower.recording.place = msgspec.msgpack.encode(follower.place)
            follower.unsaved = False
        return [each.recording for each in found]

    def _follow(self, follower: Follower, upto: int) -> bool:
        try:
            wrote = follower.advance(upto)
        except NotYet:
            self.soon = True
            return False
        except Missing as error:
            self._miss(follower, error)
            return False
        except HoldfastError as error:
            self._pause(follower, str(error))
            return False
        if wrote:
            self._fine(follower)
            if follower.lacks_speakers and follower.recording.no not in self._old_heads:
                self._renew_head(follower)
        if follower.is_done:
            self._end(follower)
        return True

    def _end(self, follower: Follower) -> None:
        recording = follower.recording
        with suppress(HoldfastError, NotYet):
            self.settle(follower)
        recording.state = "stopped"
        recording.ended_at = instant()
        follower.save()
        self._forget(recording.no)
        self._ledger.tell_event("recording.stopped", recording)

    def _miss(self, follower: Follower, error: Missing) -> None:
        """The file is not there: gone for good when it stays away."""
        recording = follower.recording
        since_s = self._missing_since_s.setdefault(recording.no, self._clock_s())
        if self._clock_s() - since_s < LOST_AFTER_S:
            self.soon = True
            return
        recording.state, recording.problem = "lost", str(error)
        recording.ended_at = instant()
        follower.save()
        self._forget(recording.no)
        self._ledger.tell_event("recording.lost", recording)

    def _pause(self, follower: Follower, problem: str) -> None:
        recording = follower.recording
        self._retry_at_s.setdefault(recording.no, self._clock_s() + RETRY_PAUSED_S)
        if self._paused.get(recording.no) == problem:
            return
        self._paused[recording.no] = problem
        self._show_problems()
        recording.problem = problem
        with suppress(HoldfastError):  # it may be the journal's disk that is full
            follower.save()
        self._ledger.log.warning(
            "recording.paused", session=recording.session, path=recording.path, problem=problem
        )

    def _fine(self, follower: Follower) -> None:
        """The file is there and can be written."""
        recording = follower.recording
        self._missing_since_s.pop(recording.no, None)
        self._retry_at_s.pop(recording.no, None)
        if self._paused.pop(recording.no, None):
            self._show_problems()
            recording.problem = ""
            follower.unsaved = True
            self._ledger.log.info(
                "recording.resumed", session=recording.session, path=recording.path
            )

    def _show_problems(self) -> None:
        self.problems = {**self._old_heads, **self._paused}

    def _forget(self, no: int) -> None:
        follower = self._live.pop(no)
        if not self.of(follower.session):
            self._upto.pop(follower.session, None)
        self._paused.pop(no, None)
        self._old_heads.pop(no, None)
        self._show_problems()
        self._retry_at_s.pop(no, None)
        self._missing_since_s.pop(no, None)
        self._tended_s.pop(no, None)
