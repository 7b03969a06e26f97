"""Learnings in a stretch of one session. Pure: events go in, learnings come out."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from typing import Final

from holdfast.events import Event, Kind
from holdfast.work.learnings.model import Learning, LearningType, place_of
from holdfast.work.learnings.rules import RULES, Speaker, is_unsure
from holdfast.work.learnings.said import Sentence, plain, sentences, word_count

TEXT_MAX_CHARS: Final = 300
QUOTE_MAX_CHARS: Final = 600
ANNOUNCED_CONFIDENCE: Final = 0.85
LEARNINGS_PER_MESSAGE: Final = 8  # a message that settles more than that is a document
CONCEDED_CONFIDENCE: Final = 0.85
DECISION_CONFIDENCE: Final = 0.95

_SPEAKER: Final[dict[str, Speaker]] = {Kind.USER: "user", Kind.ASSISTANT: "assistant"}

# An agent that gives in: what the person had said before was a correction.
_CONCEDES: Final = re.compile(
    r"\A\W*(?:ah,?\ |oh,?\ |yes,?\ |sorry,?\ |apologies,?\ |good\ catch[,!.—-]+\s*)?"
    r"(?:you'?re|you\ are)\ (?:absolutely\ |completely\ |totally\ |quite\ |entirely\ )?"
    r"(?:right|correct)\b|\A\W*good\ catch\b|\A\W*i\ was\ wrong\b|\A\W*my\ (?:mistake|bad)\b"
    r"|\A\W*(?:i\ )?apologi[sz]e\b|\A\W*(?:my\ )?apologies\b",
    re.IGNORECASE,
)

# An agent that says it found something: what follows is the finding.
_ANNOUNCES: Final = re.compile(
    r"\A\W*(?:(?:ah|ok|okay|aha|great|perfect|interesting|yes)[,!.\s]+)*(?:now )?"
    r"(?:i'?(?:ve)? (?:have )?)?(?:found|see|spotted|identified) "
    r"(?:it|(?:the|what) (?:actual |real |root )?(?:issue|bug|problem|cause|culprit))"
    r"(?: now)?[.!:]*\Z",
    re.IGNORECASE,
)
_NO_FINDING: Final = re.compile(
    r"\b(?:could|might|may|likely|probably|perhaps|possibly|suspect)\b"
    r"|\A\W*(?:let|look|now|i(?:'ll)?|so we|here(?:'s| is)|line)\b",
    re.IGNORECASE,
)
ANNOUNCED_WORDS_MIN: Final = 6


def extract(events: Iterable[Event], *, from_seq: int = 0) -> list[Learning]:
    """In the order in which things were said.

    What is before `from_seq` only says what the rest answers. Events are those of one session, in
    their order. Of a message that was changed in place, only the last version given counts.
    """
    given = list(events)
    replaced = {event.supersedes for event in given}
    found: list[Learning] = []
    asked: tuple[Event, list[Sentence]] | None = None
    for event in given:
        if event.sidechain or event.seq in replaced:
            continue
        here: list[Learning] = []
        speaker = _SPEAKER.get(event.kind)
        if event.kind == Kind.DECISION_ACCEPTED:
            here = _settled(event)
        elif speaker and event.actor == speaker:
            said = sentences(event.text, typed=speaker == "user")
            if speaker == "user":
                asked = (event, said)
            elif asked and said:
                if _CONCEDES.match(said[0].text):
                    here = _conceded(*asked)
                asked = None
            here += _by_rules(event, said, speaker)
        if event.seq >= from_seq:
            found += here
    return _once(found)


def _by_rules(event: Event, said: Sequence[Sentence], speaker: Speaker) -> list[Learning]:
    found: list[Learning] = []
    announced = False
    for sentence in said:
        fitting = (rule for rule in RULES if rule.by == speaker and rule.fits(sentence))
        if rule := next(fitting, None):
            found.append(_learning(rule.type, rule.name, rule.confidence, event, sentence))
        elif announced and _is_finding(sentence):
            found.append(_learning("pattern", "announced", ANNOUNCED_CONFIDENCE, event, sentence))
        announced = speaker == "assistant" and bool(_ANNOUNCES.match(sentence.text))
    return found if len(found) <= LEARNINGS_PER_MESSAGE else []


def _is_finding(sentence: Sentence) -> bool:
    if sentence.asks or sentence.introduces:
        return False
    if word_count(sentence.text) < ANNOUNCED_WORDS_MIN:
        return False
    return not (_NO_FINDING.search(sentence.text) or is_unsure(sentence.text))


def _conceded(event: Event, said: Sequence[Sentence]) -> list[Learning]:
    """The first thing that the person stated; a question states nothing."""
    for sentence in said:
        if not sentence.asks and word_count(sentence.text) >= 5:
            return [_learning("correction", "conceded", CONCEDED_CONFIDENCE, event, sentence)]
    return []


def _settled(event: Event) -> list[Learning]:
    """What somebody accepted by an act of their own, where an agent has one for that."""
    for quote in event.text.split("\n"):
        text = plain(quote.lstrip("# -*>"))
        if word_count(text) >= 3:
            sentence = Sentence(text, quote.strip())
            return [_learning("decision", "accepted", DECISION_CONFIDENCE, event, sentence)]
    return []


def _learning(
    kind: LearningType, rule: str, confidence: float, event: Event, sentence: Sentence
) -> Learning:
    place = place_of(event, _cut(sentence.quote, QUOTE_MAX_CHARS))
    return Learning(kind, _cut(sentence.text, TEXT_MAX_CHARS), rule, confidence, place)


def _cut(text: str, limit: int) -> str:
    return text if len(text) <= limit else text[: limit - 1].rstrip() + "…"


def _once(found: Iterable[Learning]) -> list[Learning]:
    """One sentence of one record is one learning, whichever rule was first."""
    kept: dict[str, Learning] = {}
    for learning in sorted(found, key=lambda each: each.place.seq):
        kept.setdefault(learning.key, learning)
    return list(kept.values())
