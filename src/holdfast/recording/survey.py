"""What must be known of a conversation before its first line is written: a pass of its own."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

import msgspec

from holdfast.events import Event, Kind
from holdfast.recording.markdown import speaker
from holdfast.recording.view import LastWords, View, shows

TURNS_LISTED_MAX: Final = 5_000
TURN_CHARS: Final = 120


class Turn(msgspec.Struct, frozen=True, gc=False):
    """Where a turn begins, and with what words."""

    number: int
    seq: int
    at: str
    words: str


class Survey(msgspec.Struct, frozen=True):
    participants: list[str]  # in the order in which they speak
    turns: list[Turn]  # the first of them
    turns_left: int  # how many more there are
    last_words: LastWords


def survey(events: Iterable[Event], view: View, agent: str = "") -> Survey:
    """Of what `view` shows; bounded, however long the conversation is."""
    participants: dict[str, None] = {}
    turns: list[Turn] = []
    turn = left = 0
    last_words = LastWords(view)
    for event in events:
        if not shows(view, event):
            continue
        last_words.see(event)
        if event.kind in (Kind.USER, Kind.ASSISTANT):
            participants[speaker(event, agent)] = None
        if event.kind == Kind.USER and event.turn > turn:
            turn = event.turn
            if len(turns) < TURNS_LISTED_MAX:
                words = " ".join(event.text[: 4 * TURN_CHARS].split())
                turns.append(Turn(turn, event.seq, event.at, words[:TURN_CHARS]))
            else:
                left += 1
    return Survey(list(participants), turns, left, last_words)
