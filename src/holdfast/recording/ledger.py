"""What the recorder keeps in the journal and tells the logs: rows, numbers, sessions."""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import suppress
from typing import ClassVar

import msgspec

from holdfast.clock import instant
from holdfast.errors import Exit, HoldfastError
from holdfast.journal.model import AuditRecord, CommandRow, Recording, SessionRow
from holdfast.journal.service import JournalService
from holdfast.journal.sqlite import JournalError
from holdfast.observe import EventLog


class RecordingRefused(HoldfastError):
    """What was asked for cannot be done; the message says why."""

    exit: ClassVar[Exit] = Exit.REFUSED


class Ledger:
    """The only one that writes recordings and commands into the journal. Used by one thread."""

    def __init__(self, journal: JournalService, log: EventLog, audit: EventLog) -> None:
        self.readers = journal.reader
        self.log = log
        self._journal = journal
        self._audit = audit
        self._numbers = (0, 0)

    def open(self) -> None:
        """Numbers go on where the last run was."""
        with self.readers() as reader:
            self._numbers = reader.last_numbers()

    def next_recording(self) -> int:
        recording, command = self._numbers
        self._numbers = (recording + 1, command)
        return recording + 1

    def next_command(self) -> int:
        recording, command = self._numbers
        self._numbers = (recording, command + 1)
        return command + 1

    def save(
        self,
        recordings: Iterable[Recording] = (),
        commands: Iterable[CommandRow] = (),
        position: int | None = None,
    ) -> None:
        saved = [msgspec.structs.replace(each) for each in recordings]
        rows = [msgspec.structs.replace(each) for each in commands]
        self._journal.call(lambda writer: writer.save_recordings(saved, rows, position)).result()

    def session(self, session: str) -> SessionRow:
        with self.readers() as reader:
            row = reader.session(session)
        if row is None:
            raise RecordingRefused(f"session {session} is not in the journal")
        return row

    def begun(self, no: int | None) -> Recording | None:
        """A recording whose file was being made when the last run ended."""
        if no is None:
            return None
        with self.readers() as reader:
            found = [each for each in reader.live_recordings() if each.no == no]
        return next((each for each in found if each.state == "starting"), None)

    def tell(self, row: CommandRow) -> None:
        """The logs hold no words of a conversation: not what was typed, only what became of it."""
        about = {"session": row.session, "command": row.name, "origin": row.origin}
        if row.state == "done":
            self.log.info("recording.command", **about, outcome=row.outcome)
            self._audit.info("command.done", **about, outcome=row.outcome)
        else:
            reason = row.outcome if row.name else "not a command"
            self.log.warning("recording.refused", **about, reason=reason)
            self._audit.info("command.refused", **about, reason=reason)
        self._keep(f"command.{row.state}", {**about, "no": row.no})

    def tell_event(self, event: str, recording: Recording) -> None:
        about = {
            "session": recording.session,
            "path": recording.path,
            "asked": recording.asked,
            "events": recording.events,
        }
        if event == "recording.lost":
            self.log.warning("recording.lost", **about, problem=recording.problem)
            self._audit.info("recording.lost", **about, problem=recording.problem)
        elif event == "recording.started":
            self.log.info("recording.started", **about)
            self._audit.info("recording.started", **about)
        else:
            self.log.info("recording.stopped", **about)
            self._audit.info("recording.stopped", **about)
        self._keep(event, about)

    def _keep(self, action: str, about: dict[str, object]) -> None:
        """The audit table of the journal; nobody waits for it."""
        with suppress(JournalError):
            self._journal.audit(
                [AuditRecord(instant(), action, msgspec.Raw(msgspec.json.encode(about)))]
            )
