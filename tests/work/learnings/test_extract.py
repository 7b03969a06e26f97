"""What is learnt from made-up conversations, and from what nothing is."""

from __future__ import annotations

import pytest

from holdfast.events import Kind
from holdfast.work.learnings.extract import LEARNINGS_PER_MESSAGE, TEXT_MAX_CHARS, extract
from holdfast.work.learnings.rules import RULES
from tests.work.learnings.talks import agent, event, talk, user

SAID_BY_PEOPLE = [
    ("standing", "preference", "Always run the linter before you commit."),
    ("standing", "preference", "please never push to main directly"),
    ("standing", "preference", "From now on, put new settings into the model first."),
    ("standing", "preference", "You should always ask before deleting files."),
    ("forbidden", "preference", "don't add comments that repeat the code"),
    ("forbidden", "preference", "Please do not touch the generated files."),
    ("forbidden", "preference", "stop using print for logging"),
    ("forbidden", "preference", "avoid global state in the parsers"),
    ("prefer", "preference", "I prefer small commits with one reason each."),
    ("prefer", "preference", "i'd rather have one function than three flags"),
    ("convention", "preference", "In this repo we only use pnpm for packages."),
    ("convention", "preference", "we never mock the database in these tests"),
    ("use_instead", "preference", "use httpx instead of requests in the client"),
    ("use_instead", "preference", "Please name it heartbeat_ms, not heartbeat."),
    ("make_sure", "preference", "Make sure every setting is in the docs."),
    ("no_but", "correction", "No, the timeout belongs to the client, the server has none."),
    ("convention", "preference", "there should be no helpers beside the classes"),
    ("approved", "decision", "The second one is the right approach."),
    ("meant", "correction", "that is good, but what I actually meant are the other tests"),
    ("is_wrong", "correction", "that's wrong, positions begin at one"),
    ("is_wrong", "correction", "This is not what I asked for at all."),
    ("meant", "correction", "I meant the retry counter of the queue."),
    ("meant", "correction", "I said two retries, not three in total"),
    ("you_failed", "correction", "You forgot the case where the file is empty."),
    ("lets", "decision", "ok, let's go with the second option"),
    ("lets", "decision", "yeah let's drop support for the old format"),
    ("go_with", "decision", "go with SQLite"),
    ("go_with", "decision", "We decided to keep one database for each machine."),
    ("we_should", "decision", "We should store times in UTC everywhere."),
    ("we_should", "decision", "the cursor must only move after the commit"),
]
SAID_BY_AGENTS = [
    ("chose", "decision", "I decided to keep the old column and fill it lazily."),
    ("because", "decision", "I'll use a lock file instead of a pid check here."),
    ("cause", "pattern", "The root cause is that the cache outlives its transaction."),
    ("cause", "pattern", "The problem was caused by two writers on one connection."),
    ("cause", "pattern", "The actual issue was the order of the migrations."),
    ("requires", "pattern", "The socket requires its folder to be there before it binds."),
    (
        "by_design",
        "pattern",
        "The index lags behind by design, because feeding it would slow appends.",
    ),
    ("turns_out", "pattern", "It turns out that inotify says nothing about network drives."),
    ("was_wrong", "correction", "I was wrong about the cache, it is read again each time."),
    ("was_wrong", "correction", "The stale cache was a misdiagnosis of mine."),
    ("was_wrong", "correction", "I misread the log, the second run is the one that failed."),
]


@pytest.mark.parametrize(("rule", "kind", "text"), SAID_BY_PEOPLE)
def test_what_people_say_is_learnt(rule: str, kind: str, text: str) -> None:
    (found,) = extract([user(f"Thanks for that. {text}")])
    assert (found.type, found.rule, found.place.said_by) == (kind, rule, "user")
    assert found.text == text
    assert rule not in {other.rule for other in extract([agent(text)])}


@pytest.mark.parametrize(("rule", "kind", "text"), SAID_BY_AGENTS)
def test_what_agents_say_is_learnt(rule: str, kind: str, text: str) -> None:
    (found,) = extract([agent(f"Done with that part. {text}")])
    assert (found.type, found.rule, found.place.said_by) == (kind, rule, "assistant")
    assert extract([event(0, Kind.USER, text, actor="tool")]) == []


def test_every_rule_has_an_example() -> None:
    tried = {rule for rule, _kind, _text in SAID_BY_PEOPLE + SAID_BY_AGENTS}
    assert tried == {rule.name for rule in RULES}


@pytest.mark.parametrize(
    "text",
    [
        "why does it never end?",
        "never mind, it works",
        "it has always been slow on this machine",
        "don't worry about the tests",
        "I don't know what is going on there",
        "don't commit yet",
        "don't fix anything, just look at it",
        "I think we should list them by branch. Does that make sense?",
        "is that the right approach?",
        "no need",
        "no problem, take your time",
        "let's look at the logs first",
        "let's debug the failing test in CI",
        "what should we use here?",
        "can you check whether we use tabs",
        "the tests should be in the other folder",
        "it should work now",
        "do you think you missed something?",
        "If you missed it, say so.",
        "you should have access to the database now",
        "I wonder whether we should use one table",
        "we know that",
        "yes, do it",
    ],
)
def test_nothing_is_learnt_from_small_talk_of_people(text: str) -> None:
    assert extract([user(text)]) == []


@pytest.mark.parametrize(
    "text",
    [
        "Let me check whether the root cause is in the parser module.",
        "The root cause could be a race between the two writers.",
        "The issue is likely not the cache at all in this case.",
        "Now I'll run the tests to see whether it works because they changed.",
        "I see the issue. Let me look at the parser before I change it.",
        "I found it! Look at these three lines of the parser.",
        "You should always use tabs, never spaces.",
        "The root cause is:",
        "The root cause was in one of these three places of the parser:",
        "Found the bug! In the function that reads the last line of files:",
        "All tests pass.",
    ],
)
def test_nothing_is_learnt_from_agents_who_think_aloud(text: str) -> None:
    assert extract([agent(text)]) == []


def test_what_an_agent_gives_in_to_was_a_correction() -> None:
    events = talk(
        "why is it slow?",
        "The cache is stale.",
        "But this is a fresh process each time. is it not?",
        "You're absolutely right. Each run reads the file again.",
    )
    (found,) = extract(events)
    assert (found.type, found.rule) == ("correction", "conceded")
    assert found.text == "But this is a fresh process each time."
    assert found.place.seq == 2
    assert extract(talk("But this is a fresh process each time.", "Yes. Shall I go on?")) == []


def test_a_finding_that_was_announced_is_the_sentence_behind_it() -> None:
    (found,) = extract([agent("Found the bug! The parser drops the last line of every file.")])
    assert (found.type, found.rule) == ("pattern", "announced")
    assert found.text == "The parser drops the last line of every file."


def test_what_was_accepted_is_a_decision() -> None:
    accepted = event(3, Kind.DECISION_ACCEPTED, "## Plan: move the queue into the journal\n\n1. …")
    (found,) = extract([accepted])
    assert (found.type, found.text) == ("decision", "Plan: move the queue into the journal")
    assert extract([event(3, Kind.DECISION_PROPOSED, "## Plan: move the queue")]) == []


@pytest.mark.parametrize(
    "other",
    [
        event(0, Kind.TOOL_RESULT, "Always use tabs in this repo.", actor="tool"),
        event(0, Kind.THINKING, "I decided to use tabs in this repo."),
        event(0, Kind.SYSTEM, "Always use tabs in this repo.", actor="system"),
        event(0, Kind.SESSION_SUMMARIZED, "We decided to use tabs in this repo.", actor="system"),
        user("Always use tabs in this repo.", sidechain=True),
        agent("I decided to use tabs in this repo.", sidechain=True),
        user("<system-reminder>Always use tabs in this repo.</system-reminder>"),
        user("```\nAlways use tabs in this repo.\n```"),
    ],
)
def test_only_what_people_and_agents_say_themselves_counts(other: object) -> None:
    assert extract([other]) == []  # type: ignore[list-item]  # pytest knows no types


def test_a_learning_says_where_it_is_from() -> None:
    quote = "**Always** run `make check` first."
    (found,) = extract([user(f"Fine.\n\n- {quote}", 4)])
    assert found.text == "Always run `make check` first."
    place = found.place
    assert (place.seq, place.quote, place.at) == (4, quote, "2026-11-20T10:00:04.000Z")
    assert place.event == user("", 4).id


def test_the_same_thing_is_the_same_learning_wherever_and_however_it_is_said() -> None:
    first, second = extract(
        [user("Always run the linter.", 0), user("always run the **linter**", 2)]
    )
    assert first.id == second.id
    assert first.key != second.key
    (other,) = extract([user("Always run the tests.", 4)])
    assert other.id != first.id


def test_a_message_that_changed_in_place_says_what_its_last_version_says() -> None:
    first = user("Always use tabs for this.", 0)
    later = user(
        "Always use spaces for this.", 1, id=f"{first.id.rpartition('.')[0]}.1", supersedes=0
    )
    assert [found.text for found in extract([first, later])] == ["Always use spaces for this."]
    same = user("Always use tabs for this.", 1, id=later.id, supersedes=0)
    assert extract([same])[0].key == extract([first])[0].key


def test_what_stands_before_a_stretch_is_only_its_context() -> None:
    events = talk("This is no server at all.", "You're right.", "Never use spaces for it.")
    assert [found.rule for found in extract(events)] == ["conceded", "standing"]
    assert [found.rule for found in extract(events, from_seq=1)] == ["conceded", "standing"]
    assert [found.rule for found in extract(events, from_seq=2)] == ["standing"]


def test_what_is_very_long_is_cut_and_a_message_full_of_rules_is_a_document() -> None:
    (found,) = extract([user("Always " + "do the thing " * 18 + "x" * 200)])
    assert len(found.text) == TEXT_MAX_CHARS
    assert found.text.endswith("…")
    rules = [
        f"Always do thing {chr(97 + number)} first." for number in range(LEARNINGS_PER_MESSAGE + 1)
    ]
    assert extract([user(" ".join(rules))]) == []
    assert len(extract([user(" ".join(rules[1:]))])) == LEARNINGS_PER_MESSAGE
