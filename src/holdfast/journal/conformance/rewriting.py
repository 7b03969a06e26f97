"""What is taken out of what is stored."""

from __future__ import annotations

import msgspec

from holdfast.journal.conformance.kit import (
    AGENT,
    BLOCK_BYTES,
    Erased,
    Erasing,
    Trial,
    at,
    cursor,
    known,
    refuses,
    require,
    same,
)
from holdfast.journal.conformance.recording import command, recording
from holdfast.journal.model import (
    AuditRecord,
    Blob,
    TitleRank,
    UnknownType,
)
from holdfast.journal.streams import Projection


def _told(trial: Trial) -> None:
    facts = known("one", title="a secret title", project="/secret", started_at=at(1))
    facts.title_rank = TitleRank.PERSON
    trial.write(trial.batch("one", "apples secret", "pears", facts=facts, sealed=True))
    trial.say("two", "a secret elsewhere")
    batch = trial.batch("one", "plums", "a secret plum", facts=facts)
    batch.cursor = cursor("one", "/log", offset=9, state=b"a secret state")
    trial.write(batch)


def _erased(trial: Trial, session: str) -> None:
    """What the trial holds of a session, as it should be now."""
    held = trial.held[known(session).id]
    held[:] = [line.replace(b"secret", b"[gone]") for line in held]


@require
def what_was_superseded_is_not_found_again_when_it_is_rewritten(trial: Trial) -> None:
    trial.say("one", "secret apples")
    trial.say("one", "secret pears", supersedes=0)
    trial.settle()
    trial.writer.rewrite(known("one").id, Erasing("secret"))
    same([trial.found("apples"), trial.found("pears")], [[], ["one/1"]], "what is found")


@require
def a_session_is_rewritten_in_place(trial: Trial) -> None:
    _told(trial)
    trial.settle()
    changed = trial.writer.rewrite(known("one").id, Erasing("secret"))
    same(changed, 2, "how many events changed")
    _erased(trial, "one")
    trial.verify()
    row = trial.row("one")
    same((row.title, row.project), ("a [gone] title", "/[gone]"), "what is told of it")
    same(row.raw_bytes, sum(map(len, trial.held[row.id])), "raw_bytes")
    (found,) = trial.reader.cursors()
    same((found.offset, found.state), (9, b"a [gone] state"), "its cursor")
    same(trial.found("secret"), ["two/0"], "a word that is left in another session only")
    same(set(trial.found("gone")), {"one/0", "one/3"}, "a word that took its place")
    same(trial.found("pears"), ["one/1"], "an event that did not change")
    same(trial.reader.redactions(), {"word": 2}, "redactions()")
    same([blob.digest for blob in trial.reader.blobs()], ["new"], "blobs()")
    trial.writer.purge()
    trial.verify()
    trial.reopen()
    trial.say("one", "and on it goes")
    trial.verify()
    trial.settle()
    same(trial.found("goes"), ["one/4"], "what comes behind it")


@require
def a_rewriting_that_fails_changes_nothing(trial: Trial) -> None:
    _told(trial)
    trial.settle()
    before = trial.reader.session(known("one").id)
    refuses(Erased, lambda: trial.writer.rewrite(known("one").id, Erasing("secret", fails_at=1)))
    trial.verify()
    same(trial.reader.session(known("one").id), before, "the session")
    same(trial.reader.redactions(), {}, "redactions()")
    same(set(trial.found("secret")), {"one/0", "one/3", "two/0"}, "a search")


@require
def texts_that_were_not_fed_are_rewritten_too(trial: Trial) -> None:
    _told(trial)
    trial.writer.rewrite(known("one").id, Erasing("secret"))
    trial.settle()
    same(trial.found("secret"), ["two/0"], "a word that was never indexed")
    same(trial.writer.rewrite(known("nobody").id, Erasing("secret")), 0, "nobody")


@require
def a_session_is_rewritten_that_was_written_in_turns_with_another(trial: Trial) -> None:
    filler = "pad " * (BLOCK_BYTES // 40)
    for number in range(20):
        for name in ("one", "two"):
            trial.say(name, f"number{number:02} secret{name}{number:02} {filler}")
    trial.settle()
    same(
        trial.writer.rewrite(known("one").id, Erasing("secretone03")), 1, "how many events changed"
    )
    same(trial.found("secretone03"), [], "the word that went")
    same(trial.found("gone"), ["one/3"], "what took its place")
    for number in range(20):
        both = {f"one/{number}", f"two/{number}"}
        same(set(trial.found(f"number{number:02}")), both, "what stood beside it")


@require
def what_belongs_to_no_session_is_rewritten(trial: Trial) -> None:
    trial.say("one", "a", unknown_types={"secret type": (1, 10), "[gone] type": (2, 5)})
    detail = msgspec.Raw(b'{"what":"a secret"}')
    trial.writer.audit([AuditRecord(at(1), "did", detail)])
    same(trial.writer.rewrite_records(Erasing("secret")), 2, "how many changed")
    same(trial.reader.unknown_types(), [UnknownType(AGENT, "[gone] type", 3, 15)], "unknown types")
    (record,) = trial.reader.audit()
    same(bytes(record.detail), b'{"what":"a [gone]"}', "an audit record")


@require
def commands_and_recordings_are_rewritten(trial: Trial) -> None:
    """But a file that is still written to keeps its name."""
    ended = recording(1, path="/secret.md", problem="a secret", place=b"secret", state="stopped")
    live = recording(2, path="/secret.md", problem="a secret", place=b"secret", state="active")
    given = command(1, text="::capture secret", outcome="no secret")
    trial.writer.save_recordings([ended, live], [given, command(2, text="::stop")])
    same(trial.writer.rewrite_records(Erasing("secret")), 3, "how many changed")
    found = {each.no: (each.path, each.problem, each.place) for each in trial.reader.recordings()}
    same(found[1], ("/[gone].md", "a [gone]", b"[gone]"), "a recording that ended")
    same(found[2], ("/secret.md", "a [gone]", b"[gone]"), "one that goes on")
    told = {each.no: (each.text, each.outcome, each.key) for each in trial.reader.commands()}
    same(told[1], ("::capture [gone]", "no [gone]", given.key), "a command")
    same(trial.writer.rewrite_records(Erasing("secret")), 0, "how many change once more")


@require
def states_that_were_made_of_events_are_emptied_and_keep_their_place(trial: Trial) -> None:
    trial.writer.transact(
        [lambda writer: writer.save_projection("tasks", Projection(7, b"a secret"))]
    )
    trial.writer.rewrite_records(Erasing("secret"))
    same(trial.reader.projection("tasks"), Projection(7, b""), "projection()")


@require
def payloads_can_be_forgotten(trial: Trial) -> None:
    trial.say("one", "a", blobs=[Blob("b", 9, 3), Blob("a", 7, 2)])
    trial.writer.forget_blobs(["b", "nowhere"])
    same([blob.digest for blob in trial.reader.blobs()], ["a"], "blobs()")


@require
def what_was_taken_out_on_the_way_in_is_counted(trial: Trial) -> None:
    trial.say("one", "a", redacted={"private": 2, "token": 1})
    trial.say("two", "b", redacted={"token": 4})
    same(trial.reader.redactions(), {"token": 5, "private": 2}, "redactions()")


@require
def a_log_that_is_left_alone_counts_as_skipped(trial: Trial) -> None:
    left = cursor("one", "/left", size=100, mtime_ns=7, excluded="/project")
    trial.writer.save_cursors([left, cursor("two", "/read", size=50, offset=20)])
    ledger = trial.reader.ledger()
    same((ledger.files, ledger.skipped, ledger.torn, ledger.excluded), (2, 100, 30, 1), "ledger()")
    same(next(iter(trial.reader.marks())).excluded, "/project", "its mark")
    same(trial.reader.cursor(AGENT, "/left"), left, "its cursor")
