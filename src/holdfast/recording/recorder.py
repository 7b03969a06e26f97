"""Live recordings: one thread that sees to commands in the order in which they were said, and
brings every file to where its session is.

It is told only that something was stored (`wake`). What that was, it reads from the journal, by
position: events that nobody can take in at once wait there and nowhere else, and whether a session
is in memory does not matter. The position up to which commands were looked for is stored now and
then; what is looked at twice is known by its key (turns.py).

A command changes plans, never files: its outcome and what is to be written for it are stored in one
transaction, and writing is something that can be tried again (follower.py). Only making a file
comes before; that is announced (`starting`), so that a crash in between is seen through at the next
start. What fails in the journal itself makes the recorder begin again from what is stored there.

The thread holds no events: per recording some hundred bytes, at a time one piece that is written.
"""

from __future__ import annotations

import secrets
import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from contextlib import suppress
from typing import ClassVar, Final

import msgspec

from holdfast.clock import instant
from holdfast.errors import Exit, HoldfastError
from holdfast.events import decode_lines
from holdfast.journal.model import CommandRow, Recording, SessionRow
from holdfast.journal.service import JournalService
from holdfast.journal.sqlite import JournalError
from holdfast.observe import EventLog
from holdfast.recording.commands import BadCommand, Command
from holdfast.recording.conduct import Conduct, Export, Limits, Order
from holdfast.recording.destinations import Destinations, Rules
from holdfast.recording.follower import NotYet, Paused, place_of, read_piece
from holdfast.recording.followers import Followers
from holdfast.recording.ledger import Ledger, RecordingRefused
from holdfast.recording.turns import Given, commands_in, commands_of, instant_of, may_hold_commands

TICK_S: Final = 1.0  # files are looked after so often while there are recordings
SOON_S: Final = 0.1  # when somebody is writing a file right now
POSITION_EVERY_S: Final = 5.0
ASKS_MAX: Final = 32
RUNS_PAGE: Final = 64
NEVER: Final = 1 << 62  # as a position: commands are not looked for
OUTSIDE_COMMANDS: Final = ("record", "capture", "stop")


class RecorderClosed(HoldfastError):
    """The daemon is stopping."""

    exit: ClassVar[Exit] = Exit.NOT_RUNNING


class Answer(msgspec.Struct, frozen=True):
    """What became of a command from outside."""

    outcome: str
    problem: str  # what keeps the file from being written now; "" when nothing does
    paths: list[str]


class _Ask:
    def __init__(self, session: str, name: str, path: str, cwd: str) -> None:
        self.session = session
        self.name = name
        self.path = path
        self.cwd = cwd
        self.done: Future[Answer] = Future()
        self.done.set_running_or_notify_cancel()


class Recorder:
    """Owns all recordings. What is not marked otherwise runs on its own thread."""

    def __init__(
        self,
        journal: JournalService,
        rules: Rules,
        limits: Limits,
        *,
        export: Export,
        export_forms: Sequence[str],
        log: EventLog,
        audit: EventLog,
        clock_s: Callable[[], float] = time.monotonic,
    ) -> None:
        destinations = Destinations(rules)
        self._ledger = Ledger(journal, log, audit)
        self._followers = Followers(self._ledger, destinations, clock_s)
        self._conduct = Conduct(
            self._ledger,
            self._followers,
            destinations,
            limits,
            export=export,
            export_forms=export_forms,
        )
        self._in_chat = limits.in_chat_commands
        self._log = log
        self._clock_s = clock_s
        self._mail = threading.Condition()
        self._asks: deque[_Ask] = deque()
        self._woken = True
        self._closing = False
        self._thread = threading.Thread(target=self._run, name="recorder", daemon=True)
        self._ready = False
        self._outdated = False
        self._first_run = ""
        self._position = self._saved_position = 0
        self._position_s = self._tended_s = 0.0
        self._failure = ""

    # From any thread.

    def start(self) -> None:
        self._thread.start()

    def wake(self) -> None:
        """Something was stored."""
        with self._mail:
            self._woken = True
            self._mail.notify()

    def ask(self, session: str, name: str, path: str, cwd: str) -> Future[Answer]:
        """A command from outside of the chat, for the session as it is now."""
        ask = _Ask(session, name, path, cwd)
        with self._mail:
            if self._closing:
                raise _closing()
            if len(self._asks) >= ASKS_MAX:
                raise RecordingRefused("too many commands wait: try again in a moment")
            self._asks.append(ask)
            self._mail.notify()
        return ask.done

    def begin_again(self) -> None:
        """What is stored was changed by another hand: forget what is remembered of it."""
        with self._mail:
            self._outdated = self._woken = True
            self._mail.notify()

    def problems(self) -> dict[int, str]:
        """What keeps recordings from being written now, by their numbers."""
        return self._followers.problems

    @property
    def failure(self) -> str:
        """What keeps all of them from it; "" when nothing does."""
        return self._failure

    @property
    def waiting(self) -> int:
        """Commands from outside that are not answered yet."""
        return len(self._asks)

    def close(self) -> None:
        """Write what is stored, bring every file to disk, and end."""
        with self._mail:
            self._closing = True
            self._mail.notify()
        if self._thread.is_alive():
            self._thread.join()

    # The thread.

    def _run(self) -> None:
        closing = False
        while not closing:
            closing = self._wait()
            try:
                self._round()
                self._failure = ""
            except Exception as error:  # noqa: BLE001  # whatever it is, it is tried again
                self._fail(error)
        self._leave()

    def _wait(self) -> bool:
        with self._mail:
            if not self._woken and not self._asks and not self._closing:
                self._mail.wait(self._patience_s())
            self._woken = False
            return self._closing

    def _patience_s(self) -> float | None:
        if self._followers.soon:
            return SOON_S
        if len(self._followers) or not self._ready:
            return TICK_S
        return POSITION_EVERY_S if self._position != self._saved_position else None

    def _round(self) -> None:
        if self._outdated:
            self._outdated = self._ready = False
        soon, self._followers.soon = self._followers.soon, False
        if not self._ready:
            self._recover()
            self._ready = True
        self._scan()
        while self._asks:
            self._serve(self._asks.popleft())
        self._followers.follow_all()
        now_s = self._clock_s()
        if soon or now_s - self._tended_s >= TICK_S:
            self._tended_s = now_s
            self._followers.tend()
        if now_s - self._position_s >= POSITION_EVERY_S:
            self._position_s = now_s
            self._save_position()

    def _fail(self, error: Exception) -> None:
        """Begin again from what is stored."""
        failure = str(error) if isinstance(error, HoldfastError) else repr(error)
        if failure != self._failure:
            self._failure = failure
            self._log.error("recorder.failed", error=failure)
        self._ready = False
        self._refuse_asks(error)

    def _refuse_asks(self, error: Exception) -> None:
        while self._asks:
            self._asks.popleft().done.set_exception(error)

    def _leave(self) -> None:
        for follower in self._followers:
            with suppress(HoldfastError, NotYet):
                self._followers.settle(follower)
        with suppress(HoldfastError):
            self._save_position()
        self._refuse_asks(_closing())

    def _save_position(self) -> None:
        if self._in_chat and self._position != self._saved_position:
            self._ledger.save(position=self._position)
        self._saved_position = self._position

    # Where it begins.

    def _recover(self) -> None:
        """Go on where the last run was, whatever ended it."""
        self._followers.clear()
        self._ledger.open()
        with self._ledger.readers() as reader:
            self._first_run = instant_of(reader.first_run_ms())
            saved = reader.commands_position()
            end = reader.totals().next_position
            live = reader.live_recordings()
            pending = reader.pending_commands()
            rows = [reader.session(each.session) for each in live]
        self._position = min(saved, end) if self._in_chat else end
        self._saved_position = saved
        if not self._in_chat and saved != NEVER:
            self._ledger.save(position=NEVER)
        for recording in live:
            if recording.state != "starting":
                self._take_up(recording)
        for row in pending:
            self._see_through(row)
        while self._position < end:
            self._scan()
        for session in filter(None, rows):
            self._followers.reach(session.id, session.events)

    def _take_up(self, recording: Recording) -> None:
        try:
            follower = self._followers.make(recording, place_of(recording))
        except RecordingRefused as error:  # its session is gone
            recording.state, recording.problem = "lost", str(error)
            recording.ended_at = instant()
            self._ledger.save([recording])
            self._ledger.tell_event("recording.lost", recording)
        else:
            self._followers.add(follower)

    def _see_through(self, row: CommandRow) -> None:
        """A command that was begun when the last run ended."""
        given = self._given_again(row) if row.origin == "chat" else None
        if given is not None:
            self._act(row, given)
            return
        row.state, row.outcome = "refused", "holdfast ended before it was done: give it again"
        begun = self._ledger.begun(row.recording)
        if begun is not None:
            begun.state, begun.problem, begun.ended_at = "failed", row.outcome, instant()
        self._ledger.save([begun] if begun is not None else [], [row])
        self._ledger.tell(row)

    def _given_again(self, row: CommandRow) -> Given | None:
        try:
            with self._ledger.readers() as reader:
                lines, _upto, _damage = read_piece(reader, row.session, row.seq, row.seq + 1)
        except Paused:  # the message is gone
            return None
        for event in decode_lines(lines):
            for given in commands_of(event, self._read):
                if given.key == row.key:
                    return given
        return None

    # Commands in the chat.

    def _scan(self) -> None:
        """Look through what was stored since the last look; act on what is found, in order."""
        while True:
            with self._ledger.readers() as reader:
                runs = reader.runs(self._position, limit=RUNS_PAGE)
            for run in runs:
                first = run.first_seq + max(0, self._position - run.position)
                stop = run.first_seq + run.count
                if self._in_chat:
                    self._search(run.session, first, stop)
                self._followers.reach(run.session, stop)
                self._position = run.position + run.count
            if len(runs) < RUNS_PAGE:
                return

    def _search(self, session: str, first: int, stop: int) -> None:
        with self._ledger.readers() as reader:
            row = reader.session(session)
        if row is None or not may_hold_commands(row, self._first_run):
            return
        while first < stop:
            try:
                with self._ledger.readers() as reader:
                    lines, first, _damage = read_piece(reader, session, first, stop)
            except Paused:  # removed since
                return
            self._take(list(commands_in(lines, self._first_run, self._read)))

    def _read(self, session: str, first: int, stop: int) -> bytes:
        pieces = []
        try:
            with self._ledger.readers() as reader:
                while first < stop:
                    lines, first, _damage = read_piece(reader, session, first, stop)
                    pieces.append(lines)
        except Paused:  # removed since
            return b""
        return b"".join(pieces)

    def _take(self, given: list[Given]) -> None:
        """Give each command that is new its turn: all are stored before the first one acts."""
        if not given:
            return
        with self._ledger.readers() as reader:
            known = reader.known_commands([each.key for each in given])
        new = {each.key: each for each in given if each.key not in known}
        rows = {key: self._new_row(each) for key, each in new.items()}
        self._ledger.save(commands=rows.values())
        for key, each in new.items():
            self._act(rows[key], each)

    def _act(self, row: CommandRow, given: Given) -> None:
        if isinstance(given.found, BadCommand):
            self._conduct.refuse(row, given.found.reason, given.seq + 1)
        else:
            self._conduct.carry_out(row, _order(given, given.found))

    def _new_row(self, given: Given) -> CommandRow:
        found = given.found
        return CommandRow(
            no=self._ledger.next_command(),
            key=given.key,
            session=given.session,
            seq=given.seq,
            at=given.at,
            name="" if isinstance(found, BadCommand) else found.name,
            text=found.text,
            origin="chat",
            state="pending",
        )

    # Commands from outside.

    def _serve(self, ask: _Ask) -> None:
        try:
            ask.done.set_result(self._answer(ask))
        except JournalError as error:  # what is in memory is not what is stored
            ask.done.set_exception(error)
            raise
        except HoldfastError as error:
            ask.done.set_exception(error)
        except Exception as error:
            ask.done.set_exception(error)
            raise

    def _answer(self, ask: _Ask) -> Answer:
        with self._ledger.readers() as reader:
            row = reader.session(ask.session)
        assert row is not None, ask.session
        behind = self._searched(row)
        asked = f"holdfast {ask.name}"
        command = CommandRow(
            no=self._ledger.next_command(),
            key=f"cli-{secrets.token_hex(12)}",
            session=row.id,
            seq=behind,
            at=instant(),
            name=ask.name,
            text=f"{asked} {row.id} {ask.path}".rstrip(),
            origin="cli",
            state="pending",
        )
        self._ledger.save(commands=[command])
        order = Order(ask.name, ask.path, ask.cwd, row.id, behind, behind, asked)
        touched = self._conduct.carry_out(command, order)
        if command.state == "refused":
            raise RecordingRefused(command.outcome)
        for follower in touched:
            self._followers.follow(follower)
        problems = self._followers.problems
        found = (problems.get(each.recording.no, "") for each in touched)
        return Answer(
            command.outcome,
            next(filter(None, found), ""),
            [each.recording.path for each in touched],
        )

    def _searched(self, row: SessionRow) -> int:
        """The end of a session as far as commands were looked for in it."""
        with self._ledger.readers() as reader:
            runs = reader.runs(self._position, limit=RUNS_PAGE)
        ahead = (
            run.first_seq + max(0, self._position - run.position)
            for run in runs
            if run.session == row.id
        )
        return min([row.events, *ahead])


def _order(given: Given, command: Command) -> Order:
    return Order(
        command.name,
        command.path,
        given.cwd,
        given.session,
        given.seq,
        given.seq + 1,
        f"::{command.name}",
    )


def _closing() -> RecorderClosed:
    return RecorderClosed("holdfast is stopping: try again after the restart")
