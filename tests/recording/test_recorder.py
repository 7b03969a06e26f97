"""The recorder without its thread: what becomes of commands, whatever dies between two steps."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from holdfast.events import Kind, encode
from holdfast.journal.conformance import Erasing
from holdfast.journal.model import CommandRow, Recording
from holdfast.journal.service import JournalService
from holdfast.journal.sqlite import JournalFull
from holdfast.recording.conduct import Limits
from holdfast.recording.destinations import Rules
from holdfast.recording.follower import Follower, Paused
from holdfast.recording.followers import RETRY_PAUSED_S, SYNC_EVERY_S
from holdfast.recording.ledger import RecordingRefused
from holdfast.recording.recorder import ASKS_MAX, Recorder, RecorderClosed
from holdfast.recording.view import View
from tests.support.recordings import SESSION, Talk, body_of


class Died(BaseException):
    """The process was killed here."""


class Silent:
    """A log that counts."""

    def __init__(self) -> None:
        self.events: list[str] = []

    def debug(self, event: str, /, **fields: object) -> None:
        self.events.append(event)

    info = warning = error = debug


class Machine:
    """A journal, a folder, a clock, and one recorder after the other."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.talk = Talk()
        self.talk.journal.state.first_run_ms = 0
        self.now_s = 100.0
        self.log = Silent()
        self.service = JournalService(self.talk.journal.writer, self.talk.journal.reader)

    def recorder(self, **limits: Any) -> Recorder:
        about = {"max_active": 8, "in_chat_commands": True, "options": View()}
        recorder = Recorder(
            self.service,
            Rules(
                allowed_write_roots=("~",),
                default_folder="~/talks",
                filename_template="{title}",
                form="markdown",
                home=str(self.folder),
                config_file="config.toml",
                guarded=(),
            ),
            Limits(**{**about, **limits}),
            export=self.export,
            export_forms=("markdown", "jsonl"),
            log=self.log,
            audit=Silent(),
            clock_s=lambda: self.now_s,
        )
        self.live = recorder
        return recorder

    def export(self, _session: str, _form: str, _options: object) -> Iterator[bytes]:
        yield from (encode(event) + b"\n" for event in self.talk.events)

    def run(self, recorder: Recorder | None = None) -> None:
        """A second goes by."""
        self.now_s += 1.1
        (recorder or self.live)._round()

    def commands(self) -> list[CommandRow]:
        return self.talk.journal.reader().commands()[::-1]

    def recordings(self) -> list[Recording]:
        return self.talk.journal.reader().recordings()[::-1]

    def text(self, name: str) -> str:
        return (self.folder / name).read_text()

    def ask(self, recorder: Recorder, name: str, path: str = "") -> Any:
        done = recorder.ask(SESSION, name, path, str(self.folder))
        self.run(recorder)
        return done.result(0)


@pytest.fixture
def machine(tmp_path: Path) -> Iterator[Machine]:
    machine = Machine(tmp_path.resolve())
    yield machine
    machine.service.close()


def dying(recorder: Recorder, steps: int, *, stored: bool) -> Callable[[], int]:
    """Make it die at a save, before or after it is stored; how many saves there were."""
    real = recorder._ledger.save
    count = [0]

    def save(*rows: Any, **about: Any) -> None:
        count[0] += 1
        if count[0] == steps and not stored:
            raise Died
        real(*rows, **about)
        if count[0] == steps:
            raise Died

    recorder._ledger.save = save  # type: ignore[method-assign]  # that is the test
    return lambda: count[0]


COMMANDS = "::capture ~/a.md\n::init ~/b.jsonl\n::recrod\n::record\n::export ~/c.jsonl"


@pytest.mark.parametrize("stored", [False, True])
def test_killed_at_any_step_each_command_is_done_once_and_nothing_is_missing(
    tmp_path: Path, stored: bool
) -> None:
    steps = 0
    while True:
        steps += 1
        folder = tmp_path / str(steps)
        folder.mkdir()
        machine = Machine(folder.resolve())
        machine.talk.say("before", COMMANDS, "between", "\n::stop", "behind")
        first = machine.recorder()
        count = dying(first, steps, stored=stored)
        try:
            machine.run()
        except Died:
            machine.recorder()
        machine.run()
        machine.run()
        given = [(each.text, each.state) for each in machine.commands()]
        assert given == [
            ("::capture ~/a.md", "done"),
            ("::init ~/b.jsonl", "done"),
            ("::recrod", "refused"),
            ("::record", "done"),
            ("::export ~/c.jsonl", "done"),
            ("::stop", "done"),
        ], f"died at save {steps}"
        assert sorted(path.name for path in folder.iterdir()) == ["a.md", "b.jsonl", "c.jsonl"]
        states = {Path(each.path).name: each.state for each in machine.recordings()}
        assert states == {"a.md": "stopped", "b.jsonl": "stopped", "c.jsonl": "exported"}
        text = machine.text("a.md")
        assert body_of(text) == machine.talk.body(0, 4), f"died at save {steps}"
        for told in ("::capture ~/a.md: ", "::recrod: ", "::export ~/c.jsonl: ", "::stop: "):
            assert text.count(f"*holdfast: {told}") == 1, f"{told} died at save {steps}"
        lines = machine.text("b.jsonl").splitlines()
        wanted = [encode(event).decode() for event in machine.talk.events[1:4]]
        assert [line for line in lines if '"holdfast.note"' not in line] == wanted
        machine.service.close()
        if count() < steps:
            break
    assert steps > 15, "it died at many places"


def test_a_journal_that_is_full_for_a_while_costs_nothing(machine: Machine) -> None:
    recorder = machine.recorder()
    machine.talk.say("::capture ~/a.md")
    machine.run()
    real, full = recorder._ledger.save, [True]

    def save(*rows: Any, **about: Any) -> None:
        if full[0]:
            raise JournalFull("no room")
        real(*rows, **about)

    recorder._ledger.save = save  # type: ignore[method-assign]  # that is the test
    machine.talk.say("one", "::export ~/b.jsonl")
    with pytest.raises(JournalFull):
        machine.run()
    recorder._fail(JournalFull("no room"))
    assert recorder.failure == "no room"
    full[0] = False
    machine.run()
    machine.run()
    assert body_of(machine.text("a.md")) == machine.talk.body()
    assert [each.state for each in machine.commands()] == ["done", "done"]


def test_what_is_said_before_a_command_is_written_before_it_acts(machine: Machine) -> None:
    machine.recorder()
    machine.talk.say("::capture ~/a.md", "one", "::stop", "two", "::record", "three")
    machine.run()
    machine.run()
    assert body_of(machine.text("a.md")) == (machine.talk.body(0, 3) + machine.talk.body(4))


@pytest.mark.parametrize("stored", [False, True])
def test_what_is_quoted_in_one_part_of_a_message_is_quoted_in_the_next(
    tmp_path: Path, stored: bool
) -> None:
    """Also when it is read again after a kill."""
    for steps in range(1, 8):
        folder = tmp_path / str(steps)
        folder.mkdir()
        machine = Machine(folder.resolve())
        machine.talk.say_in_parts("::export ~/a.jsonl", "```\n::export ~/b.jsonl", "::stop", "```")
        machine.talk.say_in_parts("```", "```\n::export ~/c.jsonl")
        first = machine.recorder()
        dying(first, steps, stored=stored)
        with suppress(Died):
            machine.run()
        machine.recorder()
        machine.run()
        assert [(each.text, each.state) for each in machine.commands()] == [
            ("::export ~/a.jsonl", "done"),
            ("::export ~/c.jsonl", "done"),
        ]
        machine.service.close()


def test_a_file_that_stays_away_is_lost_and_one_that_comes_back_is_not(machine: Machine) -> None:
    recorder = machine.recorder()
    machine.talk.say("::capture ~/a.md\n::capture ~/b.md")
    machine.run()
    (machine.folder / "a.md").unlink()
    kept = machine.text("b.md")
    (machine.folder / "b.md").unlink()
    machine.run()
    (machine.folder / "b.md").write_text(kept)
    for _ in range(4):
        machine.run()
    states = {Path(each.path).name: each.state for each in machine.recordings()}
    assert states == {"a.md": "lost", "b.md": "active"}
    assert recorder.problems() == {}
    assert machine.log.events.count("recording.lost") == 1
    assert "a.md was deleted" in machine.recordings()[0].problem


@pytest.mark.parametrize("is_down", [False, True])
def test_a_file_that_something_else_was_written_over_is_lost(
    machine: Machine, is_down: bool
) -> None:
    machine.recorder()
    machine.talk.say("::capture ~/a.md\n::capture ~/b.md")
    machine.run()
    (machine.folder / "a.md").write_text("something else\n" * 200)
    (machine.folder / "b.md").write_text(machine.text("b.md").replace("---", "===", 1))
    if is_down:
        machine.recorder()
    machine.talk.say("later")
    for _ in range(4):
        machine.run()
    states = {Path(each.path).name: each.state for each in machine.recordings()}
    assert states == {"a.md": "lost", "b.md": "active"}
    assert machine.log.events.count("recording.lost") == 1
    assert machine.text("a.md") == "something else\n" * 200
    assert machine.text("b.md").endswith("\nlater\n")


def lead_elsewhere(path: Path) -> None:
    kept = path.with_name("kept.md")
    kept.write_text("kept\n")
    path.symlink_to(kept)


@pytest.mark.parametrize("put", [Path.mkdir, os.mkfifo, lead_elsewhere])
def test_what_is_no_file_in_its_place_ends_the_recording_and_is_left_alone(
    machine: Machine, put: Callable[[Path], object]
) -> None:
    recorder = machine.recorder()
    machine.talk.say("::capture ~/a.md")
    machine.run()
    (machine.folder / "a.md").unlink()
    put(machine.folder / "a.md")
    machine.talk.say("later")
    machine.run()
    assert [each.state for each in machine.recordings()] == ["active"], "it may be back in a moment"
    machine.run()
    machine.run()
    [row] = machine.recordings()
    assert row.state == "lost"
    assert "a.md was replaced" in row.problem
    assert recorder.problems() == {}
    assert put is not lead_elsewhere or machine.text("kept.md") == "kept\n"


def test_a_folder_that_became_a_file_takes_its_recordings_along(machine: Machine) -> None:
    machine.recorder()
    machine.talk.say("::capture ~/talks/a.md")
    machine.run()
    (machine.folder / "talks").rename(machine.folder / "elsewhere")
    (machine.folder / "talks").write_text("a file")
    for _ in range(4):
        machine.run()
    assert [each.state for each in machine.recordings()] == ["lost"]


def test_what_cannot_be_written_is_paused_told_once_and_goes_on(machine: Machine) -> None:
    recorder = machine.recorder()
    machine.talk.say("::capture ~/a.md")
    machine.run()
    second = machine.folder / "second.md"
    second.hardlink_to(machine.folder / "a.md")
    machine.talk.say("one")
    for _ in range(3):
        machine.run()
    assert "hard links" in recorder.problems()[1]
    assert machine.log.events.count("recording.paused") == 1
    second.unlink()
    machine.now_s += RETRY_PAUSED_S
    machine.run()
    assert recorder.problems() == {}
    assert machine.log.events.count("recording.resumed") == 1
    assert body_of(machine.text("a.md")) == machine.talk.body()


def test_what_was_wrong_is_known_after_a_restart_and_over_when_it_is(machine: Machine) -> None:
    machine.recorder()
    machine.talk.say("::capture ~/a.md")
    machine.run()
    second = machine.folder / "second.md"
    second.hardlink_to(machine.folder / "a.md")
    machine.talk.say("one")
    machine.run()
    recorder = machine.recorder()
    machine.run()
    assert "hard links" in recorder.problems()[1]
    second.unlink()
    machine.now_s += RETRY_PAUSED_S
    machine.run()
    assert recorder.problems() == {}
    assert machine.recordings()[0].problem == ""
    assert body_of(machine.text("a.md")) == machine.talk.body()


def test_what_was_wrong_with_what_is_no_longer_live_is_not_told(machine: Machine) -> None:
    recorder = machine.recorder()
    machine.talk.say("::capture ~/a.md")
    machine.run()
    (machine.folder / "second.md").hardlink_to(machine.folder / "a.md")
    machine.talk.say("one")
    machine.run()
    assert recorder.problems()
    [row] = machine.recordings()
    row.state = "stopped"
    machine.service.call(lambda writer: writer.save_recordings([row])).result()
    recorder._fail(JournalFull("the disk was full"))
    machine.run()
    assert recorder.problems() == {}


def test_a_prepared_file_that_is_gone_is_lost_and_record_makes_another(machine: Machine) -> None:
    machine.recorder()
    machine.talk.say("::init ~/a.md")
    machine.run()
    (machine.folder / "a.md").unlink()
    machine.talk.say("::record")
    machine.run()
    assert [each.state for each in machine.recordings()] == ["lost", "active"]
    assert machine.recordings()[1].path == str(machine.folder / "talks" / "a-talk.md")


def test_a_capture_without_a_path_fills_the_file_that_was_prepared_and_then_new_ones(
    machine: Machine,
) -> None:
    """Whoever names a file first and records then means that file, with either command."""
    machine.recorder()
    machine.talk.say("one", "::init ~/a.md", "two", "::capture", "::stop", "::capture")
    machine.run()
    machine.run()
    assert [(Path(each.path).name, each.state) for each in machine.recordings()] == [
        ("a.md", "stopped"),
        ("a-talk.md", "active"),
    ]
    assert body_of(machine.text("a.md")) == machine.talk.body(0, 5)
    assert body_of(machine.text("talks/a-talk.md")) == machine.talk.body()


def test_one_file_belongs_to_one_recording(machine: Machine) -> None:
    machine.recorder()
    machine.talk.say("::capture ~/a.md\n::capture ~/a.md\n::export ~/a.md")
    machine.run()
    assert [each.state for each in machine.commands()] == ["done", "refused", "refused"]
    assert "already" in machine.commands()[1].outcome


def test_a_name_that_a_recording_has_is_given_to_no_other(machine: Machine) -> None:
    recorder = machine.recorder()
    machine.talk.say("one")
    paths = [machine.ask(recorder, "capture").paths[0] for _ in range(3)]
    assert [Path(path).name for path in paths] == ["a-talk.md", "a-talk-2.md", "a-talk-3.md"]


def test_asking_is_bounded_and_ends_with_the_recorder(machine: Machine) -> None:
    recorder = machine.recorder()
    machine.talk.say("one")
    waiting = [recorder.ask(SESSION, "stop", "", "") for _ in range(ASKS_MAX)]
    with pytest.raises(RecordingRefused, match="wait"):
        recorder.ask(SESSION, "stop", "", "")
    recorder.close()
    recorder._leave()
    for each in waiting:
        with pytest.raises(RecorderClosed):
            each.result(0)
    with pytest.raises(RecorderClosed):
        recorder.ask(SESSION, "stop", "", "")


def test_a_command_from_outside_that_was_cut_off_is_told_as_refused(machine: Machine) -> None:
    machine.talk.say("one")
    recorder = machine.recorder()
    dying(recorder, 2, stored=True)
    recorder.ask(SESSION, "capture", "~/a.md", str(machine.folder))
    with pytest.raises(Died):
        machine.run()
    machine.recorder()
    machine.run()
    (command,) = machine.commands()
    assert (command.state, command.origin) == ("refused", "cli")
    assert "give it again" in command.outcome
    assert [each.state for each in machine.recordings()] == ["failed"]


def test_a_command_from_outside_that_meets_a_full_journal_leaves_no_file_followed(
    machine: Machine,
) -> None:
    recorder = machine.recorder()
    machine.talk.say("one")
    machine.run()
    real, left = recorder._ledger.save, [2]

    def save(*rows: Any, **about: Any) -> None:
        left[0] -= 1
        if left[0] == -1:
            raise JournalFull("no room")
        real(*rows, **about)

    recorder._ledger.save = save  # type: ignore[method-assign]  # that is the test
    done = recorder.ask(SESSION, "capture", "~/a.md", str(machine.folder))
    with pytest.raises(JournalFull):
        machine.run()
    with pytest.raises(JournalFull):
        done.result(0)
    recorder._fail(JournalFull("no room"))
    machine.talk.say("two")
    machine.run()
    assert [each.state for each in machine.commands()] == ["refused"]
    assert [each.state for each in machine.recordings()] == ["failed"]
    assert body_of(machine.text("a.md")) == "", "nothing is written into what was refused"


def test_a_command_that_was_cut_off_takes_no_recording_that_is_live_down(
    machine: Machine,
) -> None:
    recorder = machine.recorder()
    machine.talk.say("one")
    machine.ask(recorder, "capture", "~/a.md")
    command = machine.commands()[0]
    command.state = "pending"
    machine.talk.journal.writer().save_recordings([], [command])
    machine.recorder()
    machine.run()
    assert [each.state for each in machine.commands()] == ["refused"]
    assert [each.state for each in machine.recordings()] == ["active"]


def test_who_speaks_stands_in_the_front_matter_as_soon_as_they_do(machine: Machine) -> None:
    recorder = machine.recorder()
    machine.talk.say("hello")
    machine.run()
    machine.ask(recorder, "capture", "a.md")
    assert 'participants: ["User"]' in machine.text("a.md")
    machine.now_s -= 1.1  # no time goes by: nothing is tended
    machine.talk.say("an answer", kind=Kind.ASSISTANT)
    machine.run()
    assert 'participants: ["User", "Claude"]' in machine.text("a.md")


def test_what_was_redacted_meanwhile_is_not_stored_again(machine: Machine) -> None:
    recorder = machine.recorder()
    machine.talk.say("::capture ~/a.md", "a secret")
    machine.run()
    machine.talk.journal.writer().rewrite_records(
        Erasing("secret")
    )  # as long as what takes its place
    recorder.begin_again()
    machine.run()
    (live,) = recorder._followers
    live.save()
    (stored,) = machine.recordings()
    assert b"secret" not in stored.place
    machine.talk.say("goes on")
    machine.run()
    assert body_of(machine.text("a.md")) == machine.talk.body()
    assert [each.state for each in machine.commands()] == ["done"]


def test_front_matter_that_cannot_be_renewed_keeps_nothing_else_back(
    machine: Machine, monkeypatch: pytest.MonkeyPatch
) -> None:
    recorder = machine.recorder()
    machine.talk.say("::capture ~/a.md")
    machine.run()

    def fail(*_: object) -> None:
        raise Paused("the folder cannot be written")

    synced: list[Follower] = []
    real = Follower.sync

    def sync(follower: Follower) -> None:
        synced.append(follower)
        real(follower)

    with monkeypatch.context() as patched:
        patched.setattr(Follower, "renew_head", fail)
        patched.setattr(Follower, "sync", sync)
        for number in range(int(SYNC_EVERY_S) * 3):
            machine.talk.say(f"message {number}")
            machine.run()
        assert len(synced) > 1
        assert "front matter" in recorder.problems()[1]
        assert "the folder cannot be written" in recorder.problems()[1]
        events = machine.log.events
        assert (events.count("recording.paused"), events.count("recording.resumed")) == (1, 0)
        assert body_of(machine.text("a.md")) == machine.talk.body()
        before = len(synced)
        machine.talk.say("::stop")
        machine.run()
        assert len(synced) > before, "what was said is on disk when a recording has ended"
    assert recorder.problems() == {}


def test_front_matter_that_can_be_renewed_again_is_no_problem_any_more(
    machine: Machine, monkeypatch: pytest.MonkeyPatch
) -> None:
    recorder = machine.recorder()
    machine.talk.say("::capture ~/a.md")

    def fail(*_: object) -> None:
        raise Paused("the folder cannot be written")

    with monkeypatch.context() as patched:
        patched.setattr(Follower, "renew_head", fail)
        machine.run()
    assert recorder.problems()
    machine.now_s += 10
    machine.run()
    assert recorder.problems() == {}


def test_what_is_paused_is_not_tried_whenever_something_is_said(
    machine: Machine, monkeypatch: pytest.MonkeyPatch
) -> None:
    recorder = machine.recorder()
    machine.talk.say("::capture ~/a.md")
    machine.run()
    tried: list[int] = []
    real = Follower.advance

    def advance(follower: Follower, upto: int) -> bool:
        tried.append(upto)
        raise Paused("no space")

    with monkeypatch.context() as patched:
        patched.setattr(Follower, "advance", advance)
        for number in range(20):
            machine.talk.say(f"message {number}")
            recorder._round()
        assert len(tried) == 1
        machine.now_s += RETRY_PAUSED_S
        recorder._round()
        assert len(tried) == 2
        assert machine.log.events.count("recording.paused") == 1
    assert Follower.advance is real
    machine.now_s += RETRY_PAUSED_S
    recorder._round()
    assert recorder.problems() == {}
    assert body_of(machine.text("a.md")) == machine.talk.body()


def test_a_damaged_stretch_is_told_and_passed_over(
    machine: Machine, monkeypatch: pytest.MonkeyPatch
) -> None:
    from holdfast.blocks import DamagedBlock
    from holdfast.journal.memory import MemoryReader

    machine.talk.say("one", "two", "three", "::capture ~/a.md")
    real = MemoryReader.read

    def read(self: Any, session: str, first: int = 0, stop: int | None = None, **how: Any) -> Any:
        if first < 2 and (stop is None or stop > first):
            yield how["on_damage"](0, 2, DamagedBlock("its checksum fails"))
        yield from real(self, session, max(first, 2), stop)

    monkeypatch.setattr(MemoryReader, "read", read)
    machine.recorder()
    machine.run()
    assert "2 events from number 0 on are damaged" in machine.text("a.md")
    assert body_of(machine.text("a.md")) == machine.talk.body(2)


def test_a_recording_keeps_the_options_it_began_with(machine: Machine) -> None:
    from holdfast.events import Kind

    machine.recorder(options=View(thinking=True))
    machine.talk.say("::capture ~/a.md")
    machine.run()
    machine.recorder()
    machine.talk.say("let me see", kind=Kind.THINKING)
    machine.run()
    assert "let me see" in machine.text("a.md")


def test_a_session_that_is_gone_does_not_keep_the_others_from_going_on(machine: Machine) -> None:
    machine.recorder()
    machine.talk.say("::capture ~/a.md")
    machine.run()
    strange = Recording(
        no=7,
        session="gone",
        path="/x.md",
        form="markdown",
        state="active",
        asked="",
        started_at="",
        place=machine.recordings()[0].place,
    )
    machine.talk.journal.writer().save_recordings([strange])
    machine.recorder()
    machine.talk.say("one")
    machine.run()
    assert [each.state for each in machine.recordings()] == ["active", "lost"]
    assert body_of(machine.text("a.md")) == machine.talk.body()


@pytest.mark.parametrize(
    "typed",
    [
        "/dev/full",
        "/proc/self/environ",
        "~/../../escaped.md",
        "~bob/x.md",
        '"a\0b.md"',
        "~/way/x.md",
        "~/way/",
        "~/leads-out.md",
        "~/leads-to-itself.md",
        "~/pipe.md",
        "~/two-names.md",
        "~/file/x.md",
        "~/" + "n" * 300 + ".md",
    ],
)
@pytest.mark.parametrize("command", ["init", "capture", "export"])
def test_hostile_paths_are_refused_with_a_word_and_change_nothing(
    machine: Machine, tmp_path: Path, command: str, typed: str
) -> None:
    outside = tmp_path.parent / f"{tmp_path.name}-outside"
    outside.mkdir()
    (outside / "precious.md").write_text("precious")
    home = machine.folder
    (home / "way").symlink_to(outside)
    (home / "leads-out.md").symlink_to(outside / "precious.md")
    (home / "leads-to-itself.md").symlink_to("leads-to-itself.md")
    os.mkfifo(home / "pipe.md")
    (home / "two-names.md").hardlink_to(outside / "precious.md")
    (home / "file").write_text("a file")
    before = sorted(path.name for path in home.iterdir())
    machine.recorder()
    machine.talk.say(f"::{command} {typed}", "::capture ~/good.md")
    machine.run()
    machine.run()
    assert [each.state for each in machine.commands()] == ["refused", "done"]
    assert machine.commands()[0].outcome
    assert sorted(path.name for path in home.iterdir()) == sorted([*before, "good.md"])
    assert [path.name for path in outside.iterdir()] == ["precious.md"]
    assert (outside / "precious.md").read_text() == "precious"
