"""What is said to the daemon about streams, and what its answers mean. No connections here."""

from __future__ import annotations

import json
import secrets
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, Final, Literal, NamedTuple, TypedDict
from urllib.parse import quote, urlencode

import msgspec

from holdfast.client import PutOff, Refused
from holdfast.errors import Exit, HoldfastError
from holdfast.events import Event, decode
from holdfast.journal.streams import NewEvent, WrongSequence
from holdfast.remote.sse import ServerEvent

LIVE: Final = "/v1/events/live"
SUBSCRIBED: Final = "holdfast.subscribed"
LAGGED: Final = "holdfast.lagged"
QUERY_LIMIT: Final = 1_000  # of events, when a query names none
_OWN: Final = "holdfast."


class Told(NamedTuple):
    """An event that was followed."""

    position: int  # to go on behind it: `after=position`
    event: Event


class Place(msgspec.Struct, frozen=True):
    seq: int
    position: int
    id: str


class Placed(msgspec.Struct, frozen=True):
    """Where appended events stand; they are on disk."""

    stream: str
    session: str
    events: list[Place]
    repeated: int = 0


class Missed(HoldfastError):
    """A follower that asked not to catch up was too slow; `first` and `last` went by."""

    def __init__(self, first: int, last: int) -> None:
        super().__init__(
            f"positions {first} to {last} went by before they were taken: follow again with "
            f"after={first - 1} to read them"
        )
        self.first, self.last = first, last


class Asked(TypedDict, total=False):
    """What a query may name; patterns have commas between them, and `*` for any characters."""

    stream: str  # a pattern
    kind: str  # a pattern
    actor: str
    correlation: str
    since: str  # ISO 8601
    until: str
    after: int  # a position
    limit: int  # 1,000 when it is not named


class Followed(TypedDict, total=False):
    """What one who follows may name."""

    streams: str  # a pattern
    kinds: str  # a pattern
    actor: str
    correlation: str
    after: int | None  # a position; None is whatever comes from now on
    on_lag: Literal["catch_up", "skip", "disconnect"]


class Ask(NamedTuple):
    method: str
    target: str
    body: bytes | None = None


class Answer(NamedTuple):
    headers: Mapping[str, str]  # by their names in small letters
    body: bytes


class Pages:
    """What a query found, answer after answer: one may hold nothing though there is more."""

    def __init__(self, wanted: Asked) -> None:
        self.told: list[Told] = []
        self._left = wanted.get("limit") or QUERY_LIMIT
        self.next: Asked | None = {**wanted, "limit": self._left}

    def add(self, told: Sequence[Told], *, after: int, complete: bool) -> None:
        self.told += told
        self._left -= len(told)
        assert self.next is not None
        self.next = {**self.next, "after": after, "limit": self._left}
        if complete or self._left <= 0:
            self.next = None

    def take(self, answer: Answer) -> None:
        """One of the daemon's, whose headers say how to go on."""
        told = found(answer.body)
        complete = answer.headers["holdfast-complete"] == str(True)
        self.add(told, after=int(answer.headers["holdfast-after"]), complete=complete)


def new_key() -> str:
    """By the time, so that keys of one moment stand side by side in the journal's index: random
    ones would touch a page each."""
    return f"{time.time_ns():x}-{secrets.token_hex(6)}"


def append(stream: str, events: Iterable[NewEvent], expected_seq: int | None) -> Ask:
    """Each event gets a key if it has none, so that asking again stores nothing twice."""
    keyed = [
        event if event.key else msgspec.structs.replace(event, key=new_key()) for event in events
    ]
    body = {"events": keyed} if expected_seq is None else _behind(keyed, expected_seq)
    path = f"/v1/streams/{quote(stream, safe='/')}/events"
    return Ask("POST", path, msgspec.json.encode(body))


def _behind(events: list[NewEvent], expected_seq: int) -> dict[str, object]:
    return {"events": events, "expected_seq": expected_seq}


def ask(method: str, path: str, query: Mapping[str, object] | None = None) -> Ask:
    """`path` is quoted already: whoever puts a name into it knows what a slash in it means."""
    given = {key: value for key, value in (query or {}).items() if value not in (None, "")}
    return Ask(method, path + (f"?{urlencode(given)}" if given else ""))


@contextmanager
def appending() -> Iterator[None]:
    """What an append conflicts with is always a sequence; of other requests it may be anything."""
    try:
        yield
    except Refused as problem:
        if problem.code == Exit.CONFLICT:
            raise WrongSequence(str(problem)) from problem
        raise


def passes(problem: Refused) -> bool:
    """Whether the daemon may say something else soon: it is stopping, or short of memory."""
    return problem.code in (Exit.JOURNAL, Exit.BUSY)


def pause_s(problem: Exception, usual_s: float) -> float:
    """After how long to ask again: as the daemon says, where it does."""
    return problem.retry_after_s if isinstance(problem, PutOff) else usual_s


def query(wanted: Asked) -> Ask:
    return ask("GET", "/v1/events", wanted)


def follow(wanted: Followed, after: int | None) -> Ask:
    named = {"streams": "stream", "kinds": "kind"}
    asked = {named.get(name, name): value for name, value in wanted.items()}
    return ask("GET", LIVE, {**asked, "after": after})


def placed(body: bytes) -> Placed:
    return msgspec.json.decode(body, type=Placed)


def found(body: bytes) -> list[Told]:
    """The lines of the answer to a query."""
    told = []
    for line in body.split(b"\n"):
        if line:
            each = msgspec.json.decode(line, type=_Positioned)
            told.append(Told(each.position, decode(each.event)))
    return told


class _Positioned(msgspec.Struct):
    position: int
    event: msgspec.Raw


class Heard(NamedTuple):
    """What the daemon said: an event, or from where on it tells of them."""

    after: int  # where to go on when the connection ends
    told: Told | None = None


def heard(event: ServerEvent) -> Heard | None:
    """None for what changes nothing."""
    if event.event.startswith(_OWN) and not event.id:
        about: dict[str, Any] = json.loads(event.data)
        if event.event == SUBSCRIBED:
            return Heard(about["next_position"] - 1)
        if event.event == LAGGED and about["policy"] != "catch_up":
            raise Missed(about["first"], about["last"])
        return None
    told = Told(int(event.id), decode(event.data.encode()))
    return Heard(told.position, told)
