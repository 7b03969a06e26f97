"""Recordings and commands."""

from __future__ import annotations

from typing import Any

from holdfast.journal.conformance.kit import (
    Trial,
    at,
    known,
    refuses,
    require,
    same,
)
from holdfast.journal.model import (
    CommandRow,
    Recording,
)
from holdfast.journal.sqlite import JournalError


def recording(no: int, **fields: Any) -> Recording:
    about = {
        "session": known("one").id,
        "path": f"/home/hana/{no}.md",
        "form": "markdown",
        "state": "active",
        "asked": "::record",
        "started_at": at(no),
    }
    return Recording(no=no, **{**about, **fields})


def command(no: int, **fields: Any) -> CommandRow:
    about = {
        "key": f"key-{no}",
        "session": known("one").id,
        "seq": no,
        "at": at(no),
        "name": "record",
        "text": "::record",
        "origin": "chat",
        "state": "pending",
    }
    return CommandRow(no=no, **{**about, **fields})


@require
def recordings_are_kept_as_they_were_saved_last(trial: Trial) -> None:
    first = recording(1, place=b"\x00place", events=3)
    other = recording(2, session=known("other").id, form="jsonl")
    trial.writer.save_recordings([first, other])
    first.state, first.problem, first.ended_at = "lost", "it was deleted", at(9)
    trial.writer.save_recordings([first])
    trial.reopen()
    same(trial.reader.recordings(), [other, first], "the recordings, newest first")
    same(trial.reader.recordings(limit=1), [other], "a limit")
    same(trial.reader.recordings(session=first.session), [first], "those of a session")
    same(trial.reader.last_numbers(), (2, 0), "the last numbers")
    same(trial.reader.exports(first.path), [], "the exports into a file that is recorded into")
    once = [recording(no, state="exported", path="/once.md") for no in (3, 4)]
    trial.writer.save_recordings([*once, recording(5, state="exported", path="/other.md")])
    same(trial.reader.exports("/once.md"), once[::-1], "the exports into a file, newest first")


@require
def live_recordings_are_those_that_something_is_still_to_be_written_to(trial: Trial) -> None:
    states = ["starting", "prepared", "active", "stopping", "stopped", "lost", "failed", "exported"]
    rows = [recording(no, state=state) for no, state in enumerate(states, 1)]
    rows[5].problem = rows[2].problem = "something"
    rows[6].problem = "another thing"
    trial.writer.save_recordings(rows)
    live = [each.state for each in trial.reader.live_recordings()]
    same(live, ["starting", "active", "stopping"], "the live ones, oldest first")
    same(trial.reader.recording_counts(), dict.fromkeys(states, 1), "how many of each state")
    bad = [(rows[6].path, "another thing"), (rows[5].path, "something")]
    same(trial.reader.recording_problems(5), bad, "what ended badly, newest first")
    same(trial.reader.recording_problems(1), bad[:1], "a limit")


@require
def a_command_has_one_turn_ever(trial: Trial) -> None:
    trial.writer.save_recordings([], [command(1)], 7)
    same(trial.reader.commands_position(), 7, "the position that goes with it")
    same(trial.reader.pending_commands(), [command(1)], "what is begun")
    done = command(1, state="done", outcome="recording", recording=4)
    trial.writer.save_recordings([recording(4)], [done])
    trial.reopen()
    same(trial.reader.pending_commands(), [], "what is begun and was seen through")
    same(trial.reader.known_commands(["key-1", "key-2"]), {"key-1"}, "the known keys")
    again = command(2, key="key-1")
    refuses(
        JournalError, lambda: trial.writer.save_recordings([recording(9)], [command(3), again], 99)
    )
    same(trial.reader.commands(), [done], "the commands after one came again")
    same(trial.reader.recordings(), [recording(4)], "the recordings of a refused transaction")
    same(trial.reader.commands_position(), 7, "the position of a refused transaction")


@require
def commands_are_listed_newest_first_and_counted(trial: Trial) -> None:
    rows = [command(1, state="done"), command(2, state="refused"), command(3, state="refused")]
    trial.writer.save_recordings([], rows)
    same(trial.reader.commands(), rows[::-1], "all")
    same(trial.reader.commands(limit=2), rows[:0:-1], "a limit")
    same(trial.reader.command_counts(), {"done": 1, "refused": 2}, "how many of each state")
    same(trial.reader.last_numbers(), (0, 3), "the last numbers")


@require
def the_first_run_is_remembered(trial: Trial) -> None:
    first = trial.reader.first_run_ms()
    same(first > 1_700_000_000_000, True, "a time of this age")
    same(trial.reader.commands_position(), 1, "nothing was searched yet")
    trial.say("one", "a")
    trial.reopen()
    same(trial.reader.first_run_ms(), first, "the first run after reopening")
