"""Recordings and commands as people and programs see them; the same with and without a daemon."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

import msgspec

from holdfast.journal.model import CommandRow, Recording
from holdfast.journal.protocol import JournalReader

LAST_PROBLEMS: Final = 5


class RecordingEntry(msgspec.Struct, frozen=True):
    no: int
    state: str  # as in the journal; an active one that cannot be written now is "paused"
    session: str
    title: str
    path: str
    format: str
    asked: str
    started_at: str
    written_at: str
    ended_at: str
    events: int
    problem: str


class CommandEntry(msgspec.Struct, frozen=True):
    no: int
    at: str
    session: str
    text: str
    origin: str
    state: str
    outcome: str


class Listing(msgspec.Struct, frozen=True):
    recordings: list[RecordingEntry]
    commands: list[CommandEntry]
    recordings_left_out: int = 0  # older ones, beyond the limit
    commands_left_out: int = 0


class RecordingsStatus(msgspec.Struct, frozen=True):
    active: int
    paused: int  # of the active ones
    prepared: int
    stopped: int
    lost: int
    failed: int
    exported: int
    commands_done: int
    commands_refused: int
    last_problems: list[str]  # of the paused ones first

    @property
    def problems_now(self) -> list[str]:
        """Of those that are paused: they go on when what is wrong is mended."""
        return self.last_problems[: min(self.paused, LAST_PROBLEMS)]

    @property
    def problems_before(self) -> list[str]:
        """Of what is over: files that were lost, files that were not made, commands refused."""
        return self.last_problems[len(self.problems_now) :]


def list_recordings(
    reader: JournalReader, problems: Mapping[int, str], limit: int | None
) -> Listing:
    """Newest first; those that are live stand in it whatever the limit."""
    rows = {each.no: each for each in reader.recordings(limit=limit)}
    rows |= {each.no: each for each in reader.live_recordings()}
    commands = reader.commands(limit=limit)
    return Listing(
        [_entry(reader, rows[no], problems) for no in sorted(rows, reverse=True)],
        [_command(each) for each in commands],
        max(0, sum(reader.recording_counts().values()) - len(rows)),
        max(0, sum(reader.command_counts().values()) - len(commands)),
    )


def recordings_status(reader: JournalReader, problems: Mapping[int, str]) -> RecordingsStatus:
    counts, commands = reader.recording_counts(), reader.command_counts()
    live = ("starting", "active", "stopping")
    return RecordingsStatus(
        active=sum(counts.get(state, 0) for state in live),
        paused=len(problems),
        prepared=counts.get("prepared", 0),
        stopped=counts.get("stopped", 0),
        lost=counts.get("lost", 0),
        failed=counts.get("failed", 0),
        exported=counts.get("exported", 0),
        commands_done=commands.get("done", 0),
        commands_refused=commands.get("refused", 0),
        last_problems=[
            *list(problems.values())[:LAST_PROBLEMS],
            *(problem for _path, problem in reader.recording_problems(LAST_PROBLEMS)),
            *(
                f"{each.text}: {each.outcome}"
                for each in reader.commands(limit=LAST_PROBLEMS)
                if each.state == "refused"
            ),
        ],
    )


def _entry(reader: JournalReader, row: Recording, problems: Mapping[int, str]) -> RecordingEntry:
    session = reader.session(row.session)
    problem = problems.get(row.no, "")
    return RecordingEntry(
        no=row.no,
        state="paused" if problem and row.state == "active" else row.state,
        session=row.session,
        title=session.title if session else "",
        path=row.path,
        format=row.form,
        asked=row.asked,
        started_at=row.started_at,
        written_at=row.written_at,
        ended_at=row.ended_at,
        events=row.events,
        problem=problem or row.problem,
    )


def _command(row: CommandRow) -> CommandEntry:
    return CommandEntry(row.no, row.at, row.session, row.text, row.origin, row.state, row.outcome)
