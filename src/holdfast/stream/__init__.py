"""The durable stream: what programs append, and following all that is stored."""

from holdfast.journal.streams import Appended, NewEvent, WrongSequence
from holdfast.stream.frames import Frame, called
from holdfast.stream.patterns import BadPattern
from holdfast.stream.streams import (
    BadAppend,
    Figures,
    Found,
    Limits,
    OwnStream,
    Query,
    Streams,
    TooManyAppends,
    id_of,
)
from holdfast.stream.subscription import ON_LAG, Lagged, OnLag, Subscription, subscribe

__all__ = [
    "ON_LAG",
    "Appended",
    "BadAppend",
    "BadPattern",
    "Figures",
    "Found",
    "Frame",
    "Lagged",
    "Limits",
    "NewEvent",
    "OnLag",
    "OwnStream",
    "Query",
    "Streams",
    "Subscription",
    "TooManyAppends",
    "WrongSequence",
    "called",
    "id_of",
    "subscribe",
]
