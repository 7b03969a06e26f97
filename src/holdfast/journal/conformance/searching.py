"""What a search finds."""

from __future__ import annotations

from typing import Any

from holdfast.events import Kind
from holdfast.journal.conformance.kit import (
    AGENT,
    Nonconformant,
    Trial,
    at,
    known,
    many,
    require,
    same,
)
from holdfast.journal.model import (
    SessionFilter,
)
from holdfast.journal.words import MARKS


@require
def search_finds_what_the_index_was_fed(trial: Trial) -> None:
    trial.say("one", "apples", "pears")
    same(trial.writer.index_lag, 2, "index_lag")
    same(trial.found("apples"), [], "a search before the index is fed")
    trial.settle()
    same(trial.writer.index_lag, 0, "index_lag")
    same(trial.found("apples"), ["one/0"], "a search behind the feeding")
    same(trial.writer.feed_index(), False, "feed_index() when nothing waits")


@require
def a_text_that_was_superseded_is_not_found(trial: Trial) -> None:
    """Whether the index was fed between the two, had both at once, or reads both again."""
    trial.say("one", "apples", "bread")
    trial.settle()
    trial.say("one", "pears", supersedes=0)
    trial.say("two", "plums")
    trial.say("two", "figs", supersedes=0)
    trial.settle()
    seen = [trial.found(word) for word in ("apples", "bread", "pears", "plums", "figs")]
    same(seen, [[], ["one/1"], ["one/2"], [], ["two/1"]], "what is found")
    trial.say("one", "cherries", supersedes=2)
    trial.reopen()
    trial.settle()
    same([trial.found("pears"), trial.found("cherries")], [[], ["one/3"]], "behind reopening")


@require
def a_text_that_is_read_again_goes_when_it_was_superseded_since(trial: Trial) -> None:
    trial.say("one", "apples")
    trial.reopen()
    trial.say("one", "pears", supersedes=0)
    trial.settle()
    same([trial.found("apples"), trial.found("pears")], [[], ["one/1"]], "what is found")


@require
def texts_that_were_not_fed_are_read_again_after_reopening(trial: Trial) -> None:
    trial.say("one", "apples")
    trial.settle()
    trial.say("one", "pears", "plums", sealed=True)
    trial.say("two", "cherries")
    trial.say("one", "figs")
    trial.reopen()
    same(trial.writer.index_lag, 4, "index_lag after reopening")
    trial.say("three", "dates")  # this one is new, the others were lost
    same(trial.writer.index_lag, 5, "index_lag")
    trial.settle()
    same(trial.writer.index_lag, 0, "index_lag")
    fruit = ("apples", "pears", "plums", "cherries", "figs", "dates")
    seen = [trial.found(word) for word in fruit]
    expected = [["one/0"], ["one/1"], ["one/2"], ["two/0"], ["one/3"], ["three/0"]]
    same(seen, expected, "what is found after reopening")


@require
def what_was_lost_and_what_is_new_are_each_found_once(trial: Trial) -> None:
    """Catching up takes steps; one of them ends amid what was written since."""
    for number in range(3):
        trial.say("one", *many(f"lost{number}", 1_000), sealed=True)
    trial.reopen()
    for number in range(3):
        trial.say("one", *many(f"new{number}", 1_000), sealed=True)
    trial.writer.feed_index()
    trial.say("one", "meanwhile")
    trial.settle()
    same(trial.writer.index_lag, 0, "index_lag")
    for word in ("lost2", "new1"):
        found = trial.found(word, limit=1_500)
        same((len(found), len(set(found))), (1_000, 1_000), f"how often {word} is found")
    same(trial.first("meanwhile"), "one/6000", "what was written meanwhile")
    trial.verify()


@require
def a_feed_in_haste_feeds_a_part_and_goes_on_behind_it(trial: Trial) -> None:
    """The first and the last text are superseded by one that is not fed in haste, as they are."""
    texts = [f"fruit{number:02} {'padding ' * 2_500}" for number in range(60)]
    trial.say("one", *texts)
    trial.say("one", "apples", supersedes=0)
    trial.say("one", "pears", supersedes=59)
    more = trial.writer.feed_index(lambda: True)
    same(more, True, "feed_index() in haste: whether more is waiting")
    if not 0 < trial.writer.index_lag < len(trial.order):
        raise Nonconformant(f"in haste it left {trial.writer.index_lag} of {len(trial.order)}")
    same(trial.found("pears"), [], "what was not fed")
    same(trial.found("fruit01"), ["one/1"], "what was fed")
    lag = trial.writer.index_lag
    trial.writer.feed_index(lambda: True)
    if not trial.writer.index_lag < lag:
        raise Nonconformant("in haste nothing was fed")
    trial.reopen()
    trial.settle()
    seen = [trial.found(f"fruit{number:02}") for number in range(60)]
    expected = [[], *([f"one/{number}"] for number in range(1, 59)), []]
    same(seen, expected, "what is found in the end")
    same([trial.found("apples"), trial.found("pears")], [["one/60"], ["one/61"]], "what is new")
    trial.verify()


@require
def a_feed_that_nobody_hurries_any_more_goes_on_to_the_end(trial: Trial) -> None:
    trial.say("one", *(f"fruit{number:02} {'padding ' * 2_500}" for number in range(60)))
    trial.say("one", "apples", supersedes=59)
    trial.writer.feed_index(lambda: True)
    trial.say("one", "pears", supersedes=0)
    trial.settle()
    same(trial.writer.index_lag, 0, "index_lag")
    seen = [trial.found(f"fruit{number:02}") for number in range(60)]
    same(seen, [[], *([f"one/{number}"] for number in range(1, 59)), []], "what is found")


def _fruit(trial: Trial) -> None:
    """A few conversations about little."""
    trial.say("red", "Apples and pears", "pears only", day=2)
    trial.say("red", "apples: the agent's view", kind=Kind.ASSISTANT, day=2)
    trial.say("red", "apples in output", kind=Kind.TOOL_RESULT, day=2)
    trial.say(
        "blue",
        "pears and apples, café",
        "foo_bar.baz(); approx",
        facts=known("blue", project="/home/Web", agent="other", updated_at=at(8)),
        day=8,
    )
    trial.say("cjk", "全文検索を直した", "검색 색인", "搜索引擎很快", "索搜", day=3)
    trial.settle()


def _set(trial: Trial, words: str, **filters: Any) -> set[str]:
    return set(trial.found(words, **filters))


@require
def a_search_wants_all_words(trial: Trial) -> None:
    _fruit(trial)
    both = {"red/0", "blue/0"}
    strict = trial.found("apples PEARS")[:2]
    same(set(strict), both, "events with both words come first")
    same(_set(trial, "apples"), {"red/0", "red/2", "blue/0"}, "one word")
    same(_set(trial, "Cafe"), {"blue/0"}, "without its accent")
    same(_set(trial, "baz"), {"blue/1"}, "a part of a name in code")
    same(_set(trial, "output"), set(), "the output of a tool is not indexed")
    same(_set(trial, "nowhere"), set(), "a word that is nowhere")
    same(len(trial.found("apples", limit=2)), 2, "with a limit")
    same(trial.found("apples", limit=0), [], "with a limit of none")


@require
def a_search_knows_phrases_and_beginnings(trial: Trial) -> None:
    _fruit(trial)
    same(trial.first('"pears and apples"'), "blue/0", "a phrase")
    same(trial.first('"apples and pears"'), "red/0", "a phrase, whatever the case")
    same(trial.found('"foo bar baz"'), ["blue/1"], "a phrase over punctuation")
    same(trial.found("foo.bar"), ["blue/1"], "a name in code is a phrase")
    same(_set(trial, "app*"), {"red/0", "red/2", "blue/0", "blue/1"}, "a beginning")
    same(trial.first('"pears on*"'), "red/1", "a phrase with a beginning")
    same(trial.found('apples "pears and'), trial.found('apples "pears and"'), "an open quote")


@require
def a_search_knows_text_without_spaces(trial: Trial) -> None:
    _fruit(trial)
    same(trial.first("検索"), "cjk/0", "Japanese")
    same(trial.found("색인"), ["cjk/1"], "Korean")
    same(trial.first("搜索"), "cjk/2", "Chinese")
    same(trial.found("索搜"), ["cjk/3"], "the order of the characters counts")
    same(trial.first("搜索*"), "cjk/2", "a beginning")


@require
def nothing_that_is_typed_is_an_error(trial: Trial) -> None:
    _fruit(trial)
    odd = [
        *("", " ", '"', '""', "*", '"*', "-", "NOT", "AND OR", "(", "user:", "^x", "a + b", "\0"),
        *(
            "—",
            "🙏",
            "\ud800",
            "'; DROP TABLE sessions; --",
            "{user} : apples",
            "NEAR(a b)",
            "x" * 9,
        ),
    ]
    for words in odd:
        trial.found(words)
        trial.reader.sessions(SessionFilter(text=words))
    same(trial.found("🙏 — …"), [], "signs only")
    same(trial.found("apples — pears")[:1], trial.found("apples pears")[:1], "a dash between words")
    page = " ".join(f"word{number}" for number in range(5_000))
    same(trial.found(page), [], "a pasted page")
    same(_set(trial, "apples " * 3_000), _set(trial, "apples"), "the same word many times")


@require
def a_search_is_filtered(trial: Trial) -> None:
    _fruit(trial)
    same(_set(trial, "apples", kind=Kind.ASSISTANT), {"red/2"}, "by kind")
    same(_set(trial, "apples", kind=Kind.TOOL_RESULT), set(), "by a kind that is not indexed")
    same(_set(trial, "apples", agent="other"), {"blue/0"}, "by agent")
    same(_set(trial, "apples", project="hOME/wEB"), {"blue/0"}, "by a part of the project")
    same(_set(trial, "apples", since=at(5)), {"blue/0"}, "by time")
    same(_set(trial, "apples", since=at(9)), set(), "by a time when nothing was said")
    same(_set(trial, "apples", agent="nobody"), set(), "by an agent that is not there")
    same(_set(trial, "pears", agent=AGENT, kind=Kind.USER), {"red/0", "red/1"}, "by two")


@require
def since_looks_at_the_event_and_not_at_its_session(trial: Trial) -> None:
    trial.say("one", "apples early", day=1)
    trial.say("one", "apples late", day=9)
    trial.settle()
    same(trial.found("apples", since=at(5)), ["one/1"], "since")


@require
def a_question_finds_its_session(trial: Trial) -> None:
    """No event holds all of the words, and some are in another form."""
    trial.say("noise", *many("the build was green and we were done", 8))
    trial.say("target", "The uploader fails with a timeout", "Then we retried with a backoff")
    trial.say("other", "The uploader is green")
    trial.say("cjk", "今天的缓存已经失效了", "重新构建索引")
    trial.settle()
    first = trial.first("how did we fix the failing uploader with retries and a backoff?")
    same(first.split("/")[0], "target", "the session that a question is about")
    first = trial.first("缓存失效怎么修复索引")
    same(first.split("/")[0], "cjk", "the session that a question without spaces is about")


@require
def a_snippet_marks_the_words(trial: Trial) -> None:
    trial.say("one", f"{'before ' * 100}\nthe Needle, in\ta café{' behind' * 100}")
    trial.say("one", "短い全文検索の例")
    trial.settle()
    mark, end = MARKS
    hit = trial.hit("needle CAFE")
    same(f"the {mark}Needle{end}, in a {mark}café{end} behind" in hit.snippet, True, hit.snippet)
    same((hit.snippet[0], hit.snippet[-1], "\n" in hit.snippet), ("…", "…", False), "its ends")
    same((hit.kind, hit.at), (Kind.USER, at(1)), "the hit")
    hit = trial.hit("検索")
    same(hit.snippet, f"短い全文{mark}検索{end}の例", "a snippet without spaces")
