"""Which sessions a made-up corpus has: how large, about what, how old, and which are special.

The specials come at fixed numbers instead of by chance, so that a corpus of a dozen sessions has
one of each, and so that they do not meet: what a fork replays has no needle.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import permutations
from random import Random
from typing import Final, NamedTuple

from holdfast.demo.conversation import uuid
from holdfast.demo.english import ENGLISH, Grammar
from holdfast.demo.files import Project
from holdfast.demo.languages import OTHERS
from holdfast.demo.text import dice, pick

DAYS: Final = 60
NEEDLE_EVERY: Final = 10  # sessions
SUBAGENTS_EVERY: Final = 20
OTHER_LANGUAGE_EVERY: Final = 7
FORK_SHARE: Final = 0.02


class Needle(NamedTuple):
    """Something to search for: `word` and all words of `question` occur in this session."""

    session: str
    word: str  # in no other session
    question: str


@dataclass(frozen=True, kw_only=True)
class Plan:
    seed: str
    session: str
    weight: float
    project: Project
    language: Grammar
    end: datetime
    forked_from: str
    needle: Needle | None
    spawns: bool
    largest: bool


def plan_sessions(seed: int, sessions: int, projects: int, now: datetime) -> list[Plan]:
    """The sessions, the smallest first: the large ones make up for what those wrote too much."""
    throw = dice(seed, "plan")
    places = [Project(_cwd(throw), f"{seed}/project/{number}") for number in range(projects)]
    days = throw.sample(range(sessions), sessions)
    forks = _fork_numbers(sessions)
    rare = iter(throw.sample(_RARE, sessions // NEEDLE_EVERY + 1))
    plans: list[Plan] = []
    for number in reversed(range(sessions)):
        parent = plans[-1] if number in forks else None
        session = uuid(throw)
        back = DAYS * ((days[number] + throw.random()) / sessions) ** 1.5
        hides = number % NEEDLE_EVERY == min(3, sessions - 1)
        plans.append(
            Plan(
                seed=f"{seed}/session/{number}",
                session=session,
                weight=_weight(number, sessions),
                project=parent.project if parent else _place(throw, places),
                language=parent.language if parent else _language(number),
                end=now - timedelta(days=back, minutes=3),
                forked_from=parent.session if parent else "",
                needle=_needle(throw, session, next(rare)) if hides else None,
                spawns=number % SUBAGENTS_EVERY == 1,
                largest=number == 0,
            )
        )
    return plans


def _weight(number: int, sessions: int) -> float:
    """Log-normal sizes by their quantiles, so that each seed has the same heavy tail."""
    above = (number + 0.5) / sessions
    deviations = math.log((1 - above) / above) / 1.702
    return math.exp(1.65 * min(deviations, 2.4))


def _fork_numbers(sessions: int) -> set[int]:
    """Neither a fork nor the session after it, its parent, has a needle: it would be in both."""
    candidates = range(6, sessions - 1, NEEDLE_EVERY)
    wanted = min(len(candidates), max(1, round(sessions * FORK_SHARE)))
    return {candidates[at * len(candidates) // wanted] for at in range(wanted)} if wanted else set()


def _language(number: int) -> Grammar:
    turn, rest = divmod(number, OTHER_LANGUAGE_EVERY)
    return OTHERS[turn % len(OTHERS)] if rest == 2 else ENGLISH


def _place(throw: Random, places: list[Project]) -> Project:
    """Most sessions are about few projects."""
    return places[int(throw.random() ** 2 * len(places))]


def _cwd(throw: Random) -> str:
    home = pick(throw, ("/Users/hana/Work", "/home/hana/src", "/home/hana/.worktrees"))
    name = f"{pick(throw, ENGLISH.adjectives)}{pick(throw, '-_.')}{pick(throw, ENGLISH.nouns)}"
    return f"{home}/{name}{int(throw.random() * 90) + 10}"


_SYLLABLES: Final = ("quor", "vex", "zam", "brul", "yth", "ozk", "fwe", "jurn", "xil", "moq")
_RARE: Final = tuple(map("".join, permutations(_SYLLABLES, 4)))


def _needle(throw: Random, session: str, word: str) -> Needle:
    nouns, done = throw.sample(ENGLISH.nouns, 2), pick(throw, ENGLISH.done)
    return Needle(session, word, f"why must the {word} {nouns[0]} be {done} before the {nouns[1]}")
