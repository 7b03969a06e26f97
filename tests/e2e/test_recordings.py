"""Somebody types a command into a chat, and a file follows: the real daemon, real files."""

from __future__ import annotations

import json
import os
import uuid
from collections.abc import Iterator
from typing import Any, Final

import pytest

from holdfast.clock import instant
from holdfast.demo import lines
from tests.support.disks import fill, small_disk
from tests.support.home import Home, RunningDaemon, sid
from tests.support.recordings import body_of
from tests.support.waiting import until

OLD: Final = "2026-01-05T09:00:00.000Z"


class Chat:
    """One session in an agent's log, and the folder that it works in."""

    def __init__(self, home: Home, name: str = "s") -> None:
        self.home = home
        self.name = name
        self.cwd = os.path.join(home.folder, "proj")
        os.makedirs(self.cwd, exist_ok=True)

    def say(self, text: str, **place: Any) -> bytes:
        return self._append(lines.user_line(text, **self._place(place)))

    def reply(self, text: str, **place: Any) -> bytes:
        return self._append(lines.assistant_line(text, **self._place(place)))

    def path(self, *parts: str) -> str:
        return os.path.join(self.cwd, *parts)

    def _place(self, place: dict[str, Any]) -> Any:
        about = {"session": self.name, "cwd": self.cwd, "at": instant(), "uuid": str(uuid.uuid4())}
        return {**about, **place}

    def _append(self, line: bytes) -> bytes:
        self.home.append_log(self.name, line)
        return line


def text_of(path: str) -> str:
    try:
        with open(path, encoding="utf-8") as file:
            return file.read()
    except FileNotFoundError:
        return ""


def wait_for(path: str, text: str) -> str:
    until(lambda: text in text_of(path), f"{text!r} in {path}", detail=lambda: text_of(path)[-900:])
    return text_of(path)


def listing(home: Home) -> Any:
    return home.ok("recordings", "--json", "--all").json


def commands(home: Home) -> list[tuple[str, str]]:
    """Text and state, oldest first."""
    found = listing(home)["commands"]
    return [(each["text"], each["state"]) for each in reversed(found)]


def wait_for_command(home: Home, text: str) -> dict[str, Any]:
    def find() -> dict[str, Any] | None:
        found = [each for each in listing(home)["commands"] if each["text"] == text]
        return found[0] if found and found[0]["state"] != "pending" else None

    found = until(find, f"what becomes of {text}")
    assert found is not None
    return found


def inherited(home: Home, name: str) -> int:
    with home.reader() as reader:
        row = reader.session(sid(name))
    return row.inherited if row is not None else 0


def states(home: Home) -> dict[str, str]:
    return {os.path.basename(each["path"]): each["state"] for each in listing(home)["recordings"]}


@pytest.fixture
def chat(home: Home) -> Chat:
    """It has a past, with commands in it."""
    chat = Chat(home)
    chat.say("in the beginning\n::record", at=OLD)
    chat.reply("was a word", at=OLD)
    return chat


@pytest.fixture
def daemon(home: Home, chat: Chat) -> Iterator[RunningDaemon]:
    with home.daemon() as daemon:
        daemon.wait_for(chat.name, 2)
        yield daemon


def test_a_capture_has_everything_from_the_beginning_and_goes_on(
    home: Home, chat: Chat, daemon: RunningDaemon
) -> None:
    chat.say("and now?\n::capture notes.md")
    chat.reply("now it is written")
    notes = wait_for(chat.path("notes.md"), "now it is written")
    exported = home.ok("export", sid("s")).text
    assert body_of(notes) == body_of(exported)
    assert notes.index("::capture notes.md: recording into") < notes.index("now it is written")
    chat.say("enough\n::stop")
    wait_for(chat.path("notes.md"), "::stop: stopped recording")
    chat.reply("nobody writes this")
    daemon.wait_for(chat.name, 6)
    until(lambda: states(home) == {"notes.md": "stopped"}, "it is stopped")
    assert "nobody writes this" not in text_of(chat.path("notes.md"))
    head = text_of(chat.path("notes.md")).split("---")[1]
    assert 'participants: ["User", "Claude"]' in head
    assert 'title: "in the beginning"' in head


def test_a_record_begins_with_its_message_and_goes_on_where_it_was_stopped(
    home: Home, chat: Chat, daemon: RunningDaemon
) -> None:
    chat.say('::init "my talks/day one.md"')
    chat.reply("not recorded yet")
    chat.say("from here\n::record")
    path = chat.path("my talks", "day one.md")
    text = wait_for(path, "from here")
    assert "not recorded yet" not in text
    assert "in the beginning\n" not in text
    chat.say("::stop")
    wait_for(path, "stopped recording")
    chat.say("meanwhile")
    chat.say("again\n::record")
    text = wait_for(path, "again\n::record")
    assert "meanwhile" not in text
    assert len(states(home)) == 1


def test_a_record_that_nobody_named_goes_where_the_settings_say(home: Home, chat: Chat) -> None:
    home.config('[recording]\ndefault_folder = "~/talks"\nfilename_template = "{agent}_{project}"')
    with home.daemon():
        chat.say("::record")
        wait_for(os.path.join(home.folder, "talks", "claude_proj.md"), "::record")


def test_an_export_is_written_once_and_replaces_only_itself(
    home: Home, chat: Chat, daemon: RunningDaemon
) -> None:
    chat.say("::export talk.jsonl")
    assert wait_for_command(home, "::export talk.jsonl")["state"] == "done"
    assert text_of(chat.path("talk.jsonl")).encode() == home.export("s")
    chat.say("more to export")
    chat.say("again\n::export talk.jsonl")
    wait_for(chat.path("talk.jsonl"), "more to export")
    with open(chat.path("mine.md"), "w", encoding="utf-8") as file:
        file.write("mine")
    chat.say("::export mine.md")
    refused = wait_for_command(home, "::export mine.md")
    assert refused["state"] == "refused"
    assert "name a new file" in refused["outcome"]
    assert text_of(chat.path("mine.md")) == "mine"


def test_several_at_once_and_one_stop_for_all(
    home: Home, chat: Chat, daemon: RunningDaemon
) -> None:
    chat.say("::capture a.md\n::capture b.jsonl\n::init c.md\n::record\n::record")
    chat.reply("to all of them")
    for name in ("a.md", "b.jsonl", "c.md"):
        wait_for(chat.path(name), "to all of them")
    chat.say("::stop")
    until(lambda: set(states(home).values()) == {"stopped"}, "all are stopped")
    spoken = [json.loads(line) for line in text_of(chat.path("b.jsonl")).splitlines()]
    seqs = [each["seq"] for each in spoken if each["kind"] != "holdfast.note"]
    assert seqs == list(range(5))


def test_bad_commands_are_told_everywhere_and_good_ones_beside_them_run(
    home: Home, chat: Chat, daemon: RunningDaemon
) -> None:
    chat.say("::capture notes.md")
    chat.say("::captrue x.md\n::export /etc/x.md\n::export good.md\n::stop now")
    text = wait_for(chat.path("notes.md"), "::stop now: ::stop takes nothing")
    assert "there is no ::captrue; did you mean" in text
    assert "::export /etc/x.md: refused to write" in text
    assert os.path.exists(chat.path("good.md"))
    assert [state for _text, state in commands(home)] == [
        *("done", "refused", "refused", "done", "refused"),
    ]
    status = daemon.status()["recordings"]
    assert (status["active"], status["commands_done"], status["commands_refused"]) == (1, 2, 3)
    assert any("::captrue" in problem for problem in status["last_problems"])
    assert "there is no ::captrue" in home.ok("status").text
    with open(os.path.join(home.paths.logs, "holdfast.log.jsonl"), encoding="utf-8") as file:
        log = [json.loads(line) for line in file]
    refused = [each for each in log if each["event"] == "recording.refused"]
    assert len(refused) == 3
    assert "captrue" not in json.dumps(log)


def test_the_listing_shows_outcomes_whole_and_says_what_it_leaves_out(
    home: Home, chat: Chat, daemon: RunningDaemon
) -> None:
    chat.say("::export a.md\n::export b.md\n::export /etc/" + "x" * 150 + ".md")
    last = wait_for_command(home, "::export /etc/" + "x" * 150 + ".md")
    shown = home.ok("recordings", "-n", "1")
    assert last["outcome"] in shown.text
    assert shown.err == "1 older recording and 2 older commands: --all lists them.\n"
    assert home.ok("recordings").err == ""
    told = home.ok("recordings", "-n", "2", "--json").json
    assert (told["recordings_left_out"], told["commands_left_out"]) == (0, 1)


def test_nobody_but_the_user_gives_commands(home: Home, chat: Chat, daemon: RunningDaemon) -> None:
    chat.reply("::record")
    chat.say("```\n::record\n```\n> ::record")
    chat.say("::record", extra={"isMeta": True})
    chat.say("::record", agent="a1")
    home.append_log("s", lines.tool_result_line("::record", at=instant(), session="s"))
    home.append_log(
        "s/subagents/agent-a1",
        lines.user_line("::record", session="s", agent="a1", at=instant(), cwd=chat.cwd),
    )
    chat.say("::export last.md")
    wait_for_command(home, "::export last.md")
    assert commands(home) == [("::export last.md", "done")]


# Once, ever.


def test_the_past_never_acts_and_what_was_typed_while_nobody_listened_does(
    home: Home, chat: Chat
) -> None:
    with home.daemon() as daemon:
        daemon.wait_for(chat.name, 2)
        assert commands(home) == []
    chat.say("while nobody listens\n::capture notes.md")
    home.ok("import", "--quiet")
    with home.daemon():
        wait_for(chat.path("notes.md"), "while nobody listens")
    with home.daemon():
        chat.reply("the next day")
        wait_for(chat.path("notes.md"), "the next day")
    assert len(commands(home)) == 1
    assert text_of(chat.path("notes.md")).count("::capture notes.md: recording") == 1


def test_a_log_that_is_written_anew_or_forked_or_read_in_a_new_home_repeats_nothing(
    home: Home, chat: Chat, daemon: RunningDaemon
) -> None:
    chat.say("::export once.md")
    wait_for_command(home, "::export once.md")
    os.unlink(chat.path("once.md"))
    past = text_of(home.log_path("s")).encode()
    home.write_exactly("s", lines.user_line("put in front", session="s", at=OLD), past)
    home.write_exactly("fork", past.replace(b'"sessionId":"s"', b'"sessionId":"fork"'))
    chat.say("::export after.md")
    wait_for_command(home, "::export after.md")
    until(lambda: inherited(home, "fork") == 3, "the fork is read")
    assert b"::export once.md" in past
    assert [text for text, _state in commands(home)] == ["::export once.md", "::export after.md"]
    daemon.stop()
    home.env["HOLDFAST_HOME"] = os.path.join(home.folder, "new home")
    with home.daemon(env=home.env) as new:
        new.wait_for("s", 4)
        assert new.status()["recordings"]["commands_done"] == 0
    assert not os.path.exists(chat.path("once.md"))


def test_an_export_of_a_fork_counts_what_it_begins_with(
    home: Home, chat: Chat, daemon: RunningDaemon
) -> None:
    past = text_of(home.log_path("s")).encode()
    home.write_exactly("fork", past.replace(b'"sessionId":"s"', b'"sessionId":"fork"'))
    until(lambda: inherited(home, "fork") == 2, "the fork is read")
    fork = Chat(home, "fork")
    fork.say("::export fork.jsonl")
    wait_for_command(home, "::export fork.jsonl")
    [entry] = listing(home)["recordings"]
    assert entry["events"] == len(text_of(fork.path("fork.jsonl")).splitlines()) == 3


def test_commands_can_be_switched_off_and_do_not_act_later(home: Home, chat: Chat) -> None:
    with home.daemon(env={"HOLDFAST_RECORDING__IN_CHAT_COMMANDS": "false"}) as daemon:
        chat.say("::export off.md")
        daemon.wait_for(chat.name, 3)
        home.ok("capture", sid("s"), chat.path("outside.md"))
    with home.daemon():
        chat.say("::export on.md")
        wait_for_command(home, "::export on.md")
    assert sorted(os.listdir(chat.cwd)) == ["on.md", "outside.md"]


# From outside of the chat.


def test_the_command_line_records_captures_and_stops(
    home: Home, chat: Chat, daemon: RunningDaemon
) -> None:
    said = home.ok("capture", "claude/s", "all.md", cwd=chat.cwd)
    assert said.err == f"Recording into {chat.path('all.md')}, from the beginning of the session.\n"
    assert "was a word" in text_of(chat.path("all.md"))
    home.ok("record", "s", "some.jsonl", cwd=chat.cwd)
    assert '"text":"was a word"' not in text_of(chat.path("some.jsonl"))
    chat.reply("for both")
    wait_for(chat.path("all.md"), "for both")
    wait_for(chat.path("some.jsonl"), "for both")
    table = home.ok("recordings").text
    assert table.count("active") == 2
    answer = home.ok("stop", "s", "--json").json
    assert sorted(answer["paths"]) == [chat.path("all.md"), chat.path("some.jsonl")]
    assert set(states(home).values()) == {"stopped"}
    assert home.run("stop", "s").code == 9
    assert daemon.process.poll() is None, "the daemon goes on"
    home.ok("record", "s")
    assert states(home)["some.jsonl"] == "active", "it goes on with what was stopped last"


@pytest.mark.parametrize(
    ("arguments", "code", "says"),
    [
        (["record", "nobody"], 4, "no session fits"),
        (["capture", "s", "/etc/x.md"], 9, "allowed_write_roots"),
        (["capture", "s", "x.html"], 9, ".jsonl"),
        (["stop", "s"], 9, "nothing is recorded"),
        (["record"], 2, "SESSION"),
        (["stop", "--json"], 2, "SESSION"),
    ],
)
def test_what_is_refused_says_why(
    home: Home, chat: Chat, daemon: RunningDaemon, arguments: list[str], code: int, says: str
) -> None:
    result = home.run(*arguments, cwd=chat.cwd)
    assert result.code == code
    assert says in result.err
    assert os.listdir(chat.cwd) == []


def test_without_a_daemon_nothing_is_recorded_and_the_list_is_there(home: Home, chat: Chat) -> None:
    with home.daemon() as daemon:
        daemon.wait_for(chat.name, 2)
        home.ok("capture", "s", cwd=chat.cwd)
    assert home.run("record", "s").code == 6
    assert home.run("stop", "s").code == 6
    assert [each["state"] for each in listing(home)["recordings"]] == ["active"]
    assert home.ok("status", "--json").json["recordings"]["active"] == 1


def test_no_more_than_may_be_active_at_once(home: Home, chat: Chat) -> None:
    with home.daemon(env={"HOLDFAST_RECORDING__MAX_ACTIVE": "2"}) as daemon:
        daemon.wait_for(chat.name, 2)
        for name in ("a.md", "b.md"):
            home.ok("capture", "s", name, cwd=chat.cwd)
        refused = home.run("capture", "s", "c.md", cwd=chat.cwd)
        assert refused.code == 9
        assert "recording.max_active" in refused.err
        assert not os.path.exists(chat.path("c.md"))


# What happens to files.


def test_a_deleted_file_ends_its_recording_and_is_told(
    home: Home, chat: Chat, daemon: RunningDaemon
) -> None:
    chat.say("::capture notes.md")
    wait_for(chat.path("notes.md"), "recording into")
    os.unlink(chat.path("notes.md"))
    until(lambda: states(home) == {"notes.md": "lost"}, "it is lost")
    chat.reply("nowhere")
    daemon.wait_for(chat.name, 4)
    assert not os.path.exists(chat.path("notes.md"))
    status = daemon.status()
    assert status["recordings"]["lost"] == 1
    assert "was deleted" in status["recordings"]["last_problems"][0]
    assert "1 lost" in home.ok("status").text


def test_an_editor_that_saves_does_not_end_a_recording(
    home: Home, chat: Chat, daemon: RunningDaemon
) -> None:
    chat.say("::capture notes.md")
    path = chat.path("notes.md")
    text = wait_for(path, "recording into")
    os.rename(path, f"{path}~")  # as some do, with a moment in which there is no file
    with open(path, "w", encoding="utf-8") as file:
        file.write(text.replace("in the beginning", "In the Beginning"))
    chat.reply("and on")
    text = wait_for(path, "and on")
    assert "In the Beginning" in text
    assert states(home) == {"notes.md": "active"}


def test_a_full_disk_pauses_a_recording_until_there_is_room(home: Home, chat: Chat) -> None:
    with small_disk(1) as disk:
        roots = json.dumps(["~", ".", disk])
        with home.daemon(env={"HOLDFAST_RECORDING__ALLOWED_WRITE_ROOTS": roots}) as daemon:
            daemon.wait_for(chat.name, 2)
            path = os.path.join(disk, "notes.md")
            home.ok("capture", "s", path)
            filler = fill(disk)
            for number in range(40):
                chat.say(f"message {number} {'x' * 400}")

            def paused() -> bool:
                return bool(daemon.status()["recordings"]["paused"])

            until(paused, "it is paused", detail=lambda: daemon.status()["recordings"])
            assert any("free some space" in each for each in daemon.status()["problems"])
            assert states(home) == {"notes.md": "paused"}
            os.unlink(filler)
            wait_for(path, "message 39 ")
            until(lambda: not paused(), "it goes on")
            assert body_of(text_of(path)) == body_of(home.ok("export", "s").text)


def test_a_session_that_left_memory_is_recorded_all_the_same(home: Home, chat: Chat) -> None:
    with home.daemon(env={"HOLDFAST_SNAPSHOTS__MAX_SESSIONS": "1"}) as daemon:
        chat.say("::capture notes.md")
        wait_for(chat.path("notes.md"), "recording into")
        other = Chat(home, "other")
        for number in range(3):
            other.say(f"elsewhere {number}")
        daemon.wait_for("other", 3)
        assert not home.sessions()["s"]["resident"]
        chat.reply("still here")
        wait_for(chat.path("notes.md"), "still here")


def test_a_stop_in_order_leaves_whole_files_that_the_next_run_goes_on_with(
    home: Home, chat: Chat
) -> None:
    with home.daemon():
        chat.say("::capture notes.md\n::capture lines.jsonl")
        for number in range(50):
            chat.reply(f"reply {number}")
        home.ok("stop")
    with home.daemon():
        chat.reply("reply 50")
        wait_for(chat.path("lines.jsonl"), "reply 50")
        text = wait_for(chat.path("notes.md"), "reply 50")
        assert body_of(text) == body_of(home.ok("export", "s").text)


def test_init_prepares_and_starts_nothing(home: Home) -> None:
    first = home.ok("init")
    assert "Wrote" in first.err
    assert os.path.exists(home.paths.config_file)
    assert os.path.isdir(home.paths.data_dir)
    home.config("[recording]\nmax_active = 3\n")
    assert "Kept" in home.ok("init").err
    assert home.run("stop").code == 6
