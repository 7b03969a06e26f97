"""What a task waits for, in words: for the report of a run in which nobody gets on."""

from __future__ import annotations

import asyncio
import gc
import os
from collections.abc import Iterator
from types import AsyncGeneratorType, CodeType, FrameType
from typing import Any, Final

FRAMES_MAX: Final = 6
_FRAME_OF: Final = ("cr_frame", "gi_frame", "ag_frame")
_AWAITED_BY: Final = ("cr_await", "gi_yieldfrom", "ag_await")


def waiting_told(task: asyncio.Task[Any]) -> str:
    """Its name, and the functions in which it waits, the outermost first."""
    places = list(_places(task.get_coro()))
    left_out = ["…"] if len(places) > FRAMES_MAX else []
    return f"{task.get_name()} waits in " + " > ".join([*left_out, *places[-FRAMES_MAX:]])


def _places(awaited: object) -> Iterator[str]:
    while awaited is not None:
        frame: FrameType | None = _first_of(awaited, _FRAME_OF)
        if frame is not None:
            yield _place(frame.f_code, frame.f_lineno)
        awaited = _first_of(awaited, _AWAITED_BY) or _generator_of(awaited)


def _generator_of(awaited: object) -> AsyncGeneratorType[Any, Any] | None:
    """Of one step of an asynchronous generator, which does not say whose step it is."""
    if type(awaited).__name__ not in ("async_generator_asend", "async_generator_athrow"):
        return None
    held = gc.get_referents(awaited)
    return next((each for each in held if isinstance(each, AsyncGeneratorType)), None)


def _first_of(thing: object, names: tuple[str, ...]) -> Any:
    return next((getattr(thing, name) for name in names if hasattr(thing, name)), None)


def _place(code: CodeType, line: int) -> str:
    return f"{code.co_qualname} ({os.path.basename(code.co_filename)}:{line})"
