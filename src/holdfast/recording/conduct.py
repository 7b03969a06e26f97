"""What each command does. It changes plans; the files are written by whoever follows them."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Final

import msgspec

from holdfast.clock import instant
from holdfast.errors import HoldfastError
from holdfast.journal.model import CommandRow, Recording
from holdfast.journal.sqlite import JournalError
from holdfast.recording.destinations import Destination, Destinations
from holdfast.recording.follower import Follower, Missing, NotYet, Place, place_of
from holdfast.recording.followers import Followers
from holdfast.recording.ledger import Ledger, RecordingRefused
from holdfast.recording.view import View

RECORDING_FORMS: Final = ("markdown", "jsonl")

Export = Callable[[str, str, View], Iterator[bytes]]  # session, form


class Limits(msgspec.Struct, frozen=True):
    max_active: int
    in_chat_commands: bool
    options: View


class Order(msgspec.Struct, frozen=True):
    """A command, wherever it came from."""

    name: str
    path: str
    cwd: str
    session: str
    first: int  # what `record` writes begins here
    behind: int  # what was said up to the command ends here
    asked: str  # how it is called in lists and recordings


# What is said of it, the recordings it is about, and rows that are to be stored with it.
_Done = tuple[str, list[Follower], list[Recording]]


class Conduct:
    """Owns nothing: it reads rows, makes files, and leaves plans with the followers."""

    def __init__(
        self,
        ledger: Ledger,
        followers: Followers,
        destinations: Destinations,
        limits: Limits,
        *,
        export: Export,
        export_forms: Sequence[str],
    ) -> None:
        self._ledger = ledger
        self._followers = followers
        self._destinations = destinations
        self._limits = limits
        self._export = export
        self._export_forms = export_forms

    def carry_out(self, row: CommandRow, order: Order) -> list[Follower]:
        """Do what a command asks; the recordings that it is about."""
        self._followers.bring(order.session, order.behind)
        touched: list[Follower] = []
        rows: list[Recording] = []
        try:
            row.outcome, touched, rows = self._do(row, order)
            row.state = "done"
        except JournalError:
            raise
        except HoldfastError as error:
            row.outcome, row.state = str(error), "refused"
        said = row.text if order.asked.startswith("::") else order.asked
        self._followers.note(order.session, order.behind, f"{said}: {row.outcome}", touched)
        for follower in touched:
            if follower.recording.state in ("active", "stopping"):
                self._followers.add(follower)
                self._followers.reach(order.session, order.behind)
        self._ledger.save([*rows, *self._followers.rows(order.session)], [row])
        self._ledger.tell(row)
        for follower in touched:
            if follower.recording.state == "active":
                self._ledger.tell_event("recording.started", follower.recording)
        return touched

    def refuse(self, row: CommandRow, reason: str, behind: int) -> None:
        """What is no command: told in the recordings of its session."""
        self._followers.bring(row.session, behind)
        row.state, row.outcome = "refused", reason
        self._followers.note(row.session, behind, f"{row.text}: {reason}")
        self._ledger.save(self._followers.rows(row.session), [row])
        self._ledger.tell(row)

    def _do(self, row: CommandRow, order: Order) -> _Done:
        match order.name:
            case "init":
                return self._prepare(row, order)
            case "record":
                return self._record(row, order)
            case "capture":
                return self._capture(row, order)
            case "export":
                return self._export_once(row, order)
            case _:
                return self._stop(order)

    def _prepare(self, row: CommandRow, order: Order) -> _Done:
        follower = self._begin(row, order, order.behind)
        recording = follower.recording
        recording.state = "prepared"
        recording.place = msgspec.msgpack.encode(follower.place)
        return f"prepared {recording.path}; ::record starts it", [], [recording]

    def _record(self, row: CommandRow, order: Order) -> _Done:
        follower = None if order.path or row.recording is not None else self._waiting(order)
        if follower is None:
            active = self._active(order.session)
            if active and not order.path and row.recording is None:
                return f"already recording into {_paths(active)}", [], []
            follower = self._begin(row, order, order.first)
        else:
            self._refuse_too_many()
        self._activate(follower, order, order.first)
        return f"recording into {follower.recording.path}", [follower], []

    def _capture(self, row: CommandRow, order: Order) -> _Done:
        follower = None
        beginning = -self._ledger.session(order.session).inherited
        if not order.path and row.recording is None:
            follower = self._waiting(order, states=("prepared",))
        if follower is None:
            follower = self._begin(row, order, beginning)
        else:
            self._refuse_too_many()
        self._activate(follower, order, beginning)
        path = follower.recording.path
        return f"recording into {path}, from the beginning of the session", [follower], []

    def _stop(self, order: Order) -> _Done:
        active = self._active(order.session)
        if not active:
            raise RecordingRefused("nothing is recorded of this session")
        for follower in active:
            follower.recording.state = "stopping"
            follower.place.stop_seq = max(order.behind, follower.place.next_seq)
        return f"stopped recording into {_paths(active)}", active, []

    def _export_once(self, row: CommandRow, order: Order) -> _Done:
        recording = self._ledger.begun(row.recording)
        if recording is None:
            chosen = self._choose(order, self._export_forms)
            self._refuse_what_is_not_an_export(chosen.path)
            recording = self._new_recording(order, chosen)
            row.recording = recording.no
            place = Place(next_seq=order.behind, cwd=order.cwd, options=self._limits.options)
            recording.place = msgspec.msgpack.encode(place)
            self._ledger.save([recording], [row])
        place = place_of(recording)
        session = self._ledger.session(order.session)
        hasher = hashlib.blake2b(digest_size=16)

        def pieces() -> Iterator[bytes]:
            for piece in self._export(order.session, recording.form, place.options):
                hasher.update(piece)
                yield piece

        try:
            policy = self._destinations.policy(place.cwd)
            written = policy.write_atomically(recording.path, pieces())
        except HoldfastError as error:
            recording.state, recording.problem = "failed", str(error)
            self._ledger.save([recording], [])
            raise
        place.edge = hasher.digest()
        recording.place = msgspec.msgpack.encode(place)
        recording.state = "exported"
        recording.written_at = recording.ended_at = instant()
        recording.events = session.inherited + session.events
        return f"exported {written:,} bytes to {recording.path}", [], [recording]

    def _refuse_what_is_not_an_export(self, path: str) -> None:
        """An export replaces only what an earlier one wrote and nobody changed since."""
        if not os.path.lexists(path):
            return
        with self._ledger.readers() as reader:
            digests = {place_of(each).edge for each in reader.exports(path)}
        if _digest_of(path) not in digests:
            raise RecordingRefused(
                f"{path} is there already, and no export that was left as it was: name a new file"
            )

    def _begin(self, row: CommandRow, order: Order, next_seq: int) -> Follower:
        """A recording with its file; the caller says what state it is in then."""
        recording = self._ledger.begun(row.recording)
        if recording is None:
            if order.name != "init":
                self._refuse_too_many()
            chosen = self._choose(order, RECORDING_FORMS)
            recording = self._new_recording(order, chosen)
            row.recording = recording.no
            place = Place(next_seq=next_seq, cwd=order.cwd, options=self._limits.options)
            recording.place = msgspec.msgpack.encode(place)
            self._ledger.save([recording], [row])
        follower = self._followers.make(recording, place_of(recording))
        try:
            follower.create(self._ledger.session(order.session))
        except HoldfastError as error:
            recording.state, recording.problem = "failed", str(error)
            recording.ended_at = instant()
            self._ledger.save([recording], [])
            raise
        return follower

    def _choose(self, order: Order, forms: Sequence[str]) -> Destination:
        busy = self._followers.paths()
        chosen = self._destinations.choose(
            order.path,
            cwd=order.cwd,
            row=self._ledger.session(order.session),
            at=instant(),
            forms=forms,
            is_taken=busy.__contains__,
        )
        if chosen.path in busy:
            raise RecordingRefused(f"{chosen.path} is being recorded already: name another file")
        return chosen

    def _new_recording(self, order: Order, chosen: Destination) -> Recording:
        return Recording(
            no=self._ledger.next_recording(),
            session=order.session,
            path=chosen.path,
            form=chosen.form,
            state="starting",
            asked=order.asked,
            started_at=instant(),
        )

    def _waiting(
        self, order: Order, states: Sequence[str] = ("prepared", "stopped")
    ) -> Follower | None:
        """What a `record` without a path goes on with: what was prepared, else what was stopped."""
        with self._ledger.readers() as reader:
            rows = reader.recordings(session=order.session)
        busy = self._followers.paths()
        for state in states:
            if state == "stopped" and self._active(order.session):
                return None
            for recording in rows:
                if recording.state != state or recording.path in busy:
                    continue
                follower = self._followers.make(recording, place_of(recording))
                try:
                    follower.check()
                except Missing as error:
                    recording.state, recording.problem = "lost", str(error)
                    follower.save()
                except (NotYet, HoldfastError) as error:
                    raise RecordingRefused(str(error) or f"{recording.path} is busy") from error
                else:
                    return follower
        return None

    def _active(self, session: str) -> list[Follower]:
        return [each for each in self._followers.of(session) if each.recording.state == "active"]

    def _activate(self, follower: Follower, order: Order, next_seq: int) -> None:
        recording, place = follower.recording, follower.place
        recording.state = "active"
        recording.asked = order.asked
        recording.ended_at = recording.problem = ""
        place.next_seq = next_seq
        place.stop_seq = None
        place.speaker = ""

    def _refuse_too_many(self) -> None:
        if len(self._followers) >= self._limits.max_active:
            raise RecordingRefused(
                f"{len(self._followers)} recordings are active already (recording.max_active = "
                f"{self._limits.max_active}): stop one first, or raise the limit"
            )


def _paths(followers: Iterable[Follower]) -> str:
    return ", ".join(each.recording.path for each in followers)


def _digest_of(path: str) -> bytes:
    hasher = hashlib.blake2b(digest_size=16)
    try:
        with open(path, "rb", opener=_without_waiting) as file:
            while chunk := file.read(1 << 20):
                hasher.update(chunk)
    except OSError:
        return b""
    return hasher.digest()


def _without_waiting(path: str, flags: int) -> int:
    return os.open(path, flags | os.O_NONBLOCK | os.O_NOFOLLOW)
