"""One recording and its file: nothing missing, nothing twice, nothing of a person's lost."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from holdfast.events import Kind, encode
from holdfast.journal.model import Recording
from holdfast.journal.protocol import JournalReader
from holdfast.recording import follower as module
from holdfast.recording.follower import Follower, Missing, NotYet, Paused, Place, place_of
from holdfast.recording.policy import WriteFailed, WritePolicy, WriteRefused
from tests.support.recordings import SESSION, Talk, body_of

OWN_HEADING = "\n# User_2026-11-20_1000_02\n"  # of what is said next in a new desk's talk


class Died(BaseException):
    """The process was killed here."""


class Desk:
    """A talk, a folder, and what the journal remembers of one recording."""

    def __init__(self, folder: Path, form: str = "markdown") -> None:
        self.folder = folder
        self.path = folder / ("notes.md" if form == "markdown" else "notes.jsonl")
        self.talk = Talk()
        self.talk.say("hello", "and more")
        self.form = form
        self.saved: Recording | None = None
        self.die_at: Callable[[], bool] = lambda: False

    def save(self, recording: Recording) -> None:
        if self.die_at():
            raise Died
        self.saved = msgspec.structs.replace(recording)

    def new(self, **place: Any) -> Follower:
        recording = Recording(
            no=1,
            session=SESSION,
            path=str(self.path),
            form=self.form,
            state="active",
            asked="::capture",
            started_at="",
        )
        return self.follower(recording, Place(**{"next_seq": 0, **place}))

    def follower(self, recording: Recording, place: Place) -> Follower:
        return Follower(
            recording,
            place,
            agent="claude",
            policy=WritePolicy([str(self.folder)], str(self.folder), str(self.folder)),
            readers=self.talk.readers,
            save=self.save,
            clock_s=lambda: 4e9,
        )

    def again(self) -> Follower:
        """As the next run takes it up."""
        assert self.saved is not None
        recording = msgspec.structs.replace(self.saved)
        return self.follower(recording, place_of(recording))

    def begun(self) -> Follower:
        follower = self.new()
        follower.create(self.talk.row)
        follower.save()
        return follower

    def advance(self, follower: Follower) -> None:
        follower.advance(len(self.talk.events))

    @property
    def text(self) -> str:
        return self.path.read_text()

    @property
    def body(self) -> str:
        return body_of(self.text)


@pytest.fixture
def desk(tmp_path: Path) -> Desk:
    return Desk(tmp_path)


def test_a_recording_is_what_an_export_is(desk: Desk) -> None:
    follower = desk.begun()
    desk.advance(follower)
    desk.talk.say("an answer", kind=Kind.ASSISTANT)
    desk.talk.say("a question", "another")
    desk.advance(follower)
    assert desk.body == desk.talk.body()
    assert follower.recording.events == 5
    assert follower.place.participants == ["User", "Claude"]


def test_lines_of_json_are_the_canonical_ones(tmp_path: Path) -> None:
    desk = Desk(tmp_path, "jsonl")
    follower = desk.begun()
    follower.note(2, "something happened")
    desk.advance(follower)
    *lines, note = desk.path.read_bytes().splitlines()
    assert lines == [encode(event) for event in desk.talk.events]
    assert msgspec.json.decode(note)["kind"] == "holdfast.note"
    assert msgspec.json.decode(note)["text"] == "something happened"


def test_a_note_stands_where_it_belongs_and_is_told_from_what_was_said(desk: Desk) -> None:
    desk.talk.say("\n*holdfast: stopped*\n", "  *holdfast: stopped*", "behind")
    follower = desk.begun()
    follower.note(4, "a *note*\nin <one> line")
    desk.advance(follower)
    ours = [line for line in desk.text.splitlines() if line.lstrip().startswith("*holdfast: ")]
    assert ours == ["*holdfast: a \\*note\\* in \\<one> line*"]
    assert desk.text.index("holdfast: a") < desk.text.index("behind")


def test_it_ends_where_it_was_stopped(desk: Desk) -> None:
    follower = desk.begun()
    follower.place.stop_seq = 1
    follower.note(1, "stopped")
    assert not follower.is_done
    desk.advance(follower)
    assert follower.is_done
    assert desk.body == desk.talk.body(0, 1)
    assert desk.text.endswith("*holdfast: stopped*\n")


# Deaths.


def test_killed_between_any_two_steps_it_goes_on_as_if_nothing_had_been(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    """At each save, before and after each piece, and after each byte of a piece."""
    desk.begun()
    desk.talk.say("one\ntwo", kind=Kind.ASSISTANT)
    real = module._write_at_end
    for kept in [*range(80), 10_000]:

        def write_some(file: int, piece: bytes, kept: int = kept) -> None:
            real(file, piece[:kept])
            raise Died

        desk.talk.say(f"message {kept}")
        monkeypatch.setattr(module, "_write_at_end", write_some)
        follower = desk.again()
        follower.note(len(desk.talk.events), f"note {kept}")
        follower.save()
        with pytest.raises(Died):
            desk.advance(follower)
        monkeypatch.setattr(module, "_write_at_end", real)
        follower = desk.again()
        desk.advance(follower)
        assert desk.body == desk.talk.body(), kept
        assert desk.text.count(f"note {kept}*") == 1
        if kept % 2:
            follower.save()  # else the next run meets the old plan once more


@pytest.mark.parametrize("kept", range(9))
def test_killed_behind_a_line_that_a_person_left_open_it_ends_the_line_once(
    desk: Desk, monkeypatch: pytest.MonkeyPatch, kept: int
) -> None:
    follower = desk.begun()
    desk.advance(follower)
    follower.save()
    with desk.path.open("a") as file:
        file.write("a remark of mine")
    before = desk.text
    desk.talk.say("later")
    real = module._write_at_end

    def write_some(file: int, piece: bytes) -> None:
        real(file, piece[:kept])
        raise Died

    with monkeypatch.context() as patched:
        patched.setattr(module, "_write_at_end", write_some)
        with pytest.raises(Died):
            desk.advance(follower)
    desk.advance(desk.again())
    assert desk.text == f"{before}\n{OWN_HEADING}\nlater\n"


def test_a_line_that_a_person_left_open_after_a_kill_does_not_run_into_the_next(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    follower = desk.begun()
    desk.advance(follower)
    desk.talk.say("later")

    def die(*_: object) -> None:
        raise Died

    with monkeypatch.context() as patched:
        patched.setattr(module, "_write_at_end", die)
        with pytest.raises(Died):
            desk.advance(follower)
    with desk.path.open("a") as file:
        file.write("a remark of mine")
    desk.advance(desk.again())
    assert desk.text.endswith(f"\na remark of mine\n{OWN_HEADING}\nlater\n")


def test_a_plan_of_an_earlier_version_is_read() -> None:
    plan = module.Intent(3, 10, 5, b"digest", None)
    earlier = msgspec.msgpack.encode(list(msgspec.structs.astuple(plan))[:5])
    assert msgspec.msgpack.decode(earlier, type=module.Intent) == plan


def test_killed_before_a_plan_is_stored_nothing_is_written(desk: Desk) -> None:
    follower = desk.begun()
    before = desk.text
    desk.die_at = lambda: True
    with pytest.raises(Died):
        desk.advance(follower)
    assert desk.text == before
    desk.die_at = lambda: False
    desk.advance(desk.again())
    assert desk.body == desk.talk.body()


@pytest.mark.parametrize("above", ["", "# A heading of mine\n\n"])
@pytest.mark.parametrize("below", ["", "\na remark of mine\n"])
def test_what_a_person_adds_while_nobody_runs_does_not_confuse_it(
    desk: Desk, above: str, below: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    follower = desk.begun()
    desk.advance(follower)  # its last plan is stored, that it is done is not
    head, _, rest = desk.text.partition("\n# User")
    desk.path.write_text(f"{head}\n{above}# User{rest}{below}")
    desk.talk.say("later")
    desk.advance(desk.again())
    assert desk.text.count("hello") == 1
    assert above in desk.text
    assert below in desk.text
    assert desk.text.endswith("\nlater\n")


def test_a_file_that_was_being_made_is_made_again(desk: Desk) -> None:
    for left in ("", desk_head(desk)):
        desk.path.write_text(left)
        follower = desk.new()
        follower.create(desk.talk.row)
        desk.advance(follower)
        assert desk.text.count("---\n") == 2
        assert desk.body == desk.talk.body()


def desk_head(desk: Desk) -> str:
    desk.new().create(desk.talk.row)
    return desk.text


# People and their editors.


def test_what_a_person_writes_anywhere_is_kept(desk: Desk) -> None:
    follower = desk.begun()
    desk.advance(follower)
    desk.path.write_text(desk.text.replace("hello", "hello, dear") + "\nbelow\n")
    desk.talk.say("later")
    desk.advance(follower)
    assert "hello, dear" in desk.text
    assert desk.text.endswith(f"\nbelow\n{OWN_HEADING}\nlater\n")
    desk.path.write_text(desk.text.replace("and more", ""))
    desk.talk.say("at last")
    desk.advance(follower)
    assert desk.text.endswith("\nlater\n\nat last\n")


@pytest.mark.parametrize("is_seen_early", [False, True])
@pytest.mark.parametrize("notes", [0, 1])
def test_what_is_said_below_a_persons_words_has_a_heading_of_its_own(
    desk: Desk, notes: int, is_seen_early: bool
) -> None:
    follower = desk.begun()
    desk.advance(follower)
    with desk.path.open("a") as file:
        file.write("\nnot what anybody said\n")
    if is_seen_early:
        follower.check()
        follower.renew_head(desk.talk.row)
    for _ in range(notes):
        follower.note(2, "a note")
    desk.talk.say("later")
    desk.advance(follower)
    desk.talk.say("and on")
    desk.advance(follower)
    told = "\n*holdfast: a note*\n" * notes
    assert desk.text.endswith(f"\nnot what anybody said\n{told}{OWN_HEADING}\nlater\n\nand on\n")


def test_what_is_said_below_a_persons_words_that_came_after_a_kill_has_its_heading_too(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    follower = desk.begun()
    desk.advance(follower)
    desk.talk.say("later")
    real = module._write_at_end

    def write_and_die(file: int, piece: bytes) -> None:
        real(file, piece)
        raise Died

    with monkeypatch.context() as patched:
        patched.setattr(module, "_write_at_end", write_and_die)
        with pytest.raises(Died):
            desk.advance(follower)
    with desk.path.open("a") as file:
        file.write("mine\n")
    desk.talk.say("and on")
    desk.advance(desk.again())
    heading = OWN_HEADING.replace("_02", "_03")
    assert desk.text.endswith(f"\nlater\nmine\n{heading}\nand on\n")
    desk.path.write_text(desk.text.replace("hello", "edited above"))
    desk.talk.say("at last")
    desk.advance(follower := desk.again())
    assert desk.text.endswith("\nand on\n\nat last\n"), "an edit above the end asks for none"
    assert not follower.place.end_is_theirs


@pytest.mark.parametrize("form", ["markdown", "jsonl"])
def test_a_last_line_that_a_person_left_open_does_not_run_into_the_next(
    tmp_path: Path, form: str
) -> None:
    desk = Desk(tmp_path, form)
    desk.path.write_text('{"mine":1}')
    follower = desk.begun()
    desk.advance(follower)
    with desk.path.open("a") as file:
        file.write('{"mine":2}')
    desk.talk.say("later")
    desk.advance(follower)
    lines = desk.text.splitlines()
    assert '{"mine":1}' in lines
    assert '{"mine":2}' in lines


def save_as_editors_do(path: Path, text: str) -> None:
    beside = path.with_name(".swap")
    beside.write_text(text)
    os.replace(beside, path)


def test_a_file_that_an_editor_replaced_is_followed(desk: Desk) -> None:
    follower = desk.begun()
    desk.advance(follower)
    save_as_editors_do(desk.path, desk.text.replace("hello", "HELLO"))
    desk.talk.say("later")
    desk.advance(follower)
    assert "HELLO" in desk.text
    assert desk.text.endswith("later\n")


def test_without_front_matter_what_was_written_last_tells_whose_file_it_is(desk: Desk) -> None:
    follower = desk.begun()
    desk.advance(follower)
    save_as_editors_do(desk.path, "mine\r\n" + desk.body.replace("\n", "\r\n"))
    desk.talk.say("later")
    desk.advance(follower)
    assert desk.text.endswith("later\n")


def test_another_file_in_its_place_is_not_written_to(desk: Desk) -> None:
    follower = desk.begun()
    desk.advance(follower)
    save_as_editors_do(desk.path, "something else\n")
    desk.talk.say("later")
    for _ in range(2):
        with pytest.raises(Missing, match="replaced"):
            desk.advance(follower)
    with pytest.raises(Missing, match="replaced"):
        follower.check()
    assert desk.text == "something else\n"


SOMETHING_ELSE = [
    "other\n",
    "all of it is something else\n" * 40,
    f"---\nid: {'x' * 13}\n---\n\n# User_2026-11-20_1000_00\n\nhello\n",
]


@pytest.mark.parametrize("form", ["markdown", "jsonl"])
@pytest.mark.parametrize("content", SOMETHING_ELSE)
def test_something_else_under_the_same_inode_is_not_written_to(
    tmp_path: Path, content: str, form: str
) -> None:
    """`echo >` keeps the inode, and one that was let go of is given to the next file at once."""
    desk = Desk(tmp_path, form)
    follower = desk.begun()
    desk.advance(follower)
    inode = desk.path.stat().st_ino
    desk.path.write_text(content)
    assert desk.path.stat().st_ino == inode
    desk.talk.say("later")
    follower.renew_head(desk.talk.row)
    for _ in range(2):
        with pytest.raises(Missing, match="replaced"):
            desk.advance(follower)
    with pytest.raises(Missing, match="replaced"):
        follower.check()
    assert desk.text == content


@pytest.mark.parametrize("content", SOMETHING_ELSE)
def test_what_was_replaced_while_nobody_ran_is_not_written_to(desk: Desk, content: str) -> None:
    follower = desk.begun()
    desk.advance(follower)
    follower.save()
    desk.path.write_text(content)
    desk.talk.say("later")
    with pytest.raises(Missing, match="replaced"):
        desk.advance(desk.again())
    assert desk.text == content


def test_a_last_word_that_any_file_may_hold_makes_none_ours(desk: Desk) -> None:
    follower = desk.begun()
    desk.advance(follower)
    desk.talk.say("a")
    desk.advance(follower)
    desk.path.write_text("a foreign file\n")
    with pytest.raises(Missing, match="replaced"):
        follower.check()


@pytest.mark.parametrize("form", ["markdown", "jsonl"])
@pytest.mark.parametrize("save", [Path.write_text, save_as_editors_do])
def test_a_file_that_keeps_one_mark_at_a_time_stays_ours(
    tmp_path: Path, form: str, save: Callable[[Path, str], object]
) -> None:
    desk = Desk(tmp_path, form)
    desk.talk.say(*(f"message {number} {'x' * 200}" for number in range(20)))
    follower = desk.begun()
    desk.advance(follower)
    for edited in (
        lambda text: f"mine\n{text[len(text) // 2 :]}",  # no front matter, no first messages
        lambda text: f"{text[:-100]}\nmine\n",  # and later not what was written last
        lambda text: f"{text}{'mine ' * 20_000}\n",
        lambda text: text[:100],
    ):
        save(desk.path, edited(desk.text))
        before = desk.text
        follower.check()
        desk.talk.say("later")
        desk.advance(follower)
        assert desk.text.startswith(before)
        assert "later" in desk.text[len(before) :]


def test_a_file_in_which_nothing_is_yet_may_be_filled_by_a_person(tmp_path: Path) -> None:
    desk = Desk(tmp_path, "jsonl")
    follower = desk.begun()
    desk.path.write_text('{"mine":1}\n')
    desk.advance(follower)
    assert desk.text.startswith('{"mine":1}\n{')
    assert len(desk.text.splitlines()) == 3


def test_a_deleted_file_is_not_made_again(desk: Desk) -> None:
    follower = desk.begun()
    desk.advance(follower)
    desk.path.unlink()
    desk.talk.say("later")
    with pytest.raises(Missing, match="deleted"):
        desk.advance(follower)
    assert not desk.path.exists()
    os.rmdir(desk.folder)
    with pytest.raises(Missing, match="deleted"):
        follower.check()
    assert not desk.folder.exists()


def test_replaced_in_the_moment_of_writing_nothing_is_missing(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    follower = desk.begun()
    desk.advance(follower)
    desk.talk.say("later")
    old, real = desk.text, module._write_at_end
    left = [2]

    def write_and_be_replaced(file: int, piece: bytes) -> None:
        real(file, piece)
        if left.pop():
            left.append(0)
            save_as_editors_do(desk.path, old)

    monkeypatch.setattr(module, "_write_at_end", write_and_be_replaced)
    desk.advance(follower)
    assert desk.body == desk.talk.body()


def test_an_editor_that_is_writing_the_file_is_waited_for(desk: Desk) -> None:
    follower = desk.begun()
    desk.advance(follower)
    follower._clock_s = lambda: desk.path.stat().st_mtime + 0.1
    desk.path.write_text("---\n")
    desk.talk.say("later")
    with pytest.raises(NotYet):
        desk.advance(follower)
    follower._clock_s = lambda: desk.path.stat().st_mtime + 1
    desk.advance(follower)
    assert desk.text.endswith("later\n")


# Front matter.


def test_the_front_matter_is_renewed_in_place_and_keeps_what_a_person_added(desk: Desk) -> None:
    follower = desk.begun()
    desk.advance(follower)
    desk.path.write_text(desk.text.replace('tags: ["claude"]', "tags: [mine]\nkey: value"))
    follower.renew_head(desk.talk.row)
    inode = desk.path.stat().st_ino
    desk.talk.say("an answer", kind=Kind.ASSISTANT)
    desk.talk.title("Another title, which is longer than the one before")
    desk.advance(follower)
    follower.renew_head(desk.talk.row)
    assert 'title: "Another title, which is longer than the one before"\n' in desk.text.replace(
        " \n", "\n"
    )
    assert 'participants: ["User", "Claude"]' in desk.text
    assert f'updated: "{desk.talk.row.updated_at}"' in desk.text
    assert "tags: [mine]\nkey: value\n" in squeezed(desk.text)
    assert desk.path.stat().st_ino == inode
    assert desk.body == desk.talk.body()


def squeezed(text: str) -> str:
    return "\n".join(line.rstrip() for line in text.split("\n"))


@pytest.mark.parametrize("left", ["", "\n"])
@pytest.mark.parametrize("save", [Path.write_text, save_as_editors_do])
def test_a_file_that_was_emptied_begins_again_with_a_head_and_says_so(
    desk: Desk, left: str, save: Callable[[Path, str], object]
) -> None:
    follower = desk.begun()
    desk.advance(follower)
    save(desk.path, left)
    follower.check()
    desk.advance(follower)
    follower.renew_head(desk.talk.row)
    assert desk.text == left  # nothing was said since
    desk.talk.say("an answer", kind=Kind.ASSISTANT)
    desk.advance(follower)
    desk.talk.say("a question")
    desk.advance(follower)
    follower.renew_head(desk.talk.row)
    assert desk.text.startswith("---\nid: ")
    assert 'participants: ["User", "Claude"]' in squeezed(desk.text)
    assert desk.text.count("*holdfast: the file was emptied") == 1
    assert desk.body == desk.talk.body(2)


def test_lines_of_json_that_were_emptied_say_so(tmp_path: Path) -> None:
    desk = Desk(tmp_path, "jsonl")
    follower = desk.begun()
    desk.advance(follower)
    desk.path.write_text("")
    desk.talk.say("an answer")
    desk.advance(follower)
    note, line = desk.path.read_bytes().splitlines()
    assert "was emptied" in msgspec.json.decode(note)["text"]
    assert line == encode(desk.talk.events[-1])


def test_killed_while_an_emptied_file_begins_again_it_has_one_head(desk: Desk) -> None:
    follower = desk.begun()
    desk.advance(follower)
    follower.save()
    desk.path.write_text("")
    desk.talk.say("an answer")
    saves = iter([False, True])
    desk.die_at = lambda: next(saves, False)
    with pytest.raises(Died):
        desk.advance(follower)
    again = desk.again()
    desk.advance(again)
    assert desk.text.count("\nsession: ") == 1
    assert desk.text.count("*holdfast: the file was emptied") == 1
    assert desk.body == desk.talk.body(2)


def test_a_title_that_a_person_wrote_stays(desk: Desk) -> None:
    follower = desk.begun()
    desk.advance(follower)
    desk.path.write_text(desk.text.replace('title: "A talk"', "title: Mine"))
    desk.talk.title("Another title")
    desk.advance(follower)
    follower.renew_head(desk.talk.row)
    follower.renew_head(desk.talk.row)
    assert "title: Mine\n" in desk.text
    assert "Another" not in desk.text


def test_without_room_the_file_is_written_anew_and_followed(desk: Desk) -> None:
    follower = desk.begun()
    desk.advance(follower)
    desk.path.write_text(squeezed(desk.text))
    desk.path.chmod(0o640)
    desk.talk.title("T" * 90)
    follower.renew_head(desk.talk.row)
    assert "T" * 90 in desk.text
    assert desk.path.stat().st_mode & 0o777 == 0o640
    desk.talk.say("later")
    desk.advance(follower)
    assert desk.body == desk.talk.body()


def test_killed_while_the_front_matter_is_renewed_it_stays_ours(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    follower = desk.begun()
    desk.advance(follower)
    desk.talk.title("Second")

    def die(*_: object) -> None:
        raise Died

    monkeypatch.setattr(follower, "_change_head", die)
    with pytest.raises(Died):
        follower.renew_head(desk.talk.row)
    desk.talk.title("Third")
    again = desk.again()
    desk.advance(again)
    again.renew_head(desk.talk.row)
    assert 'title: "Third"' in desk.text


def test_front_matter_that_cannot_be_written_for_a_while_is_renewed_later(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    follower = desk.begun()
    desk.advance(follower)

    def fail(*_: object) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patched:
        patched.setattr(follower, "_change_head", fail)
        for title in ("Second", "Third"):
            desk.talk.title(title)
            with pytest.raises(Paused):
                follower.renew_head(desk.talk.row)
            assert follower.stale_head
    follower.renew_head(desk.talk.row)
    assert 'title: "Third"' in desk.text


def test_a_file_that_is_there_gets_front_matter_and_keeps_its_text(desk: Desk) -> None:
    desk.path.write_text("my own words, without an end")
    follower = desk.begun()
    desk.advance(follower)
    assert desk.text.startswith("---\nid: ")
    assert "\nmy own words, without an end\n" in desk.text
    assert body_of(desk.text).endswith(desk.talk.body())


def test_front_matter_that_is_there_is_completed(desk: Desk) -> None:
    desk.path.write_text("---\ntitle: Mine\naliases:\n  - x\n---\ntext\n")
    follower = desk.begun()
    desk.advance(follower)
    follower.renew_head(desk.talk.row)
    assert desk.text.startswith("---\ntitle: Mine\naliases:\n  - x\nid: ")
    assert desk.text.count("title:") == 1
    assert 'participants: ["User"]' in desk.text


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=60)
@given(st.binary(max_size=400), st.booleans())
def test_whatever_a_file_begins_with_is_kept(tmp_path: Path, content: bytes, dashed: bool) -> None:
    if dashed:
        content = b"---\n" + content + b"\n---\n"
    desk = Desk(tmp_path)
    desk.path.write_bytes(content)
    follower = desk.new()
    follower.create(desk.talk.row)
    desk.advance(follower)
    follower.renew_head(desk.talk.row)
    after = desk.path.read_bytes()
    desk.path.unlink()
    assert after.endswith(desk.talk.body().encode())
    for line in content.splitlines():
        if line.rstrip():
            assert line.rstrip() in after


# What cannot be written.


def test_a_full_disk_pauses_and_loses_nothing(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    follower = desk.begun()
    desk.advance(follower)
    before, real = desk.text, os.write
    room = [5]

    def write(file: int, data: bytes) -> int:
        if not room[0]:
            raise OSError(28, "No space left on device")
        count = real(file, bytes(data)[: room[0]])
        room[0] -= count
        return count

    monkeypatch.setattr(os, "write", write)
    desk.talk.say("later")
    with pytest.raises(Paused, match="free some space"):
        desk.advance(follower)
    assert desk.text == before
    room[0] = 10_000
    desk.advance(follower)
    assert desk.body == desk.talk.body()


def test_however_often_it_is_tried_each_event_counts_once_and_each_note_is_written(
    desk: Desk,
) -> None:
    follower = desk.begun()
    desk.advance(follower)
    second = desk.folder / "second.md"
    desk.talk.say("later")
    follower.note(2, "a note")
    with desk.path.open("a") as file:
        file.write("mine\n")
    second.hardlink_to(desk.path)
    for _ in range(3):  # refused before anything is planned
        with pytest.raises(WriteRefused, match="hard links"):
            desk.advance(follower)
    second.unlink()
    follower.advance(2)
    with desk.path.open("a") as file:
        file.write("mine\n")
    second.hardlink_to(desk.path)
    for _ in range(3):
        with pytest.raises(WriteRefused, match="hard links"):
            desk.advance(follower)
    second.unlink()
    desk.advance(follower)
    assert follower.recording.events == 3
    assert desk.text.count("*holdfast: a note*") == 1
    assert desk.text.endswith(f"mine\n{OWN_HEADING}\nlater\n")


def test_a_link_in_its_place_is_not_written_through(desk: Desk, tmp_path: Path) -> None:
    elsewhere = tmp_path / "elsewhere.md"
    follower = desk.begun()
    desk.advance(follower)
    os.rename(desk.path, elsewhere)
    before = elsewhere.read_text()
    desk.path.symlink_to("/etc/hostname")
    desk.talk.say("later")
    with pytest.raises(Missing, match="replaced"):
        desk.advance(follower)
    desk.path.unlink()
    desk.path.symlink_to(elsewhere)
    with pytest.raises(Missing, match="replaced"):
        desk.advance(follower)
    desk.path.unlink()
    os.link(elsewhere, desk.path)
    with pytest.raises(WriteRefused, match="hard links"):
        desk.advance(follower)
    assert elsewhere.read_text() == before


@pytest.mark.parametrize("place", ["folder", "pipe"])
def test_what_is_no_file_is_refused(desk: Desk, place: str) -> None:
    (os.mkdir if place == "folder" else os.mkfifo)(desk.path)
    with pytest.raises((WriteRefused, WriteFailed)):
        desk.new().create(desk.talk.row)


def test_an_append_reads_nothing_of_the_file_and_of_the_session_what_is_new(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    """However long both are."""
    follower = desk.begun()
    desk.talk.say(*(f"message {number} {'x' * 200}" for number in range(3_000)))
    desk.advance(follower)
    read: list[int] = []
    asked: list[tuple[int, int]] = []
    real = module.read_piece

    def pread(*_about: int) -> bytes:
        read.append(1)
        return b""

    def read_piece(
        reader: JournalReader, session: str, first: int, stop: int
    ) -> tuple[bytes, int, str]:
        asked.append((first, stop))
        return real(reader, session, first, stop)

    monkeypatch.setattr(os, "pread", pread)
    monkeypatch.setattr(module, "read_piece", read_piece)
    desk.talk.say("one more")
    desk.advance(follower)
    assert (read, asked) == ([], [(3_002, 3_003)])
    assert desk.text.endswith("one more\n")
