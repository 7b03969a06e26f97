"""How clients ask in scenarios: again and again, more slowly each time, until they are answered."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Final, TypeVar

from holdfast.journal.sqlite import JournalError
from holdfast.simulation import ConnectionLost, Host, Simulation

RETRY_S: Final = 0.05
RETRY_MAX_S: Final = 5.0
PUT_OFF: Final = (ConnectionLost, JournalError)

P = TypeVar("P")
T = TypeVar("T")


async def again(
    world: Simulation,
    host: Host[P],
    ask: Callable[[P], Awaitable[T]],
    *,
    put_off: tuple[type[Exception], ...] = PUT_OFF,
) -> T:
    """What it answers in the end. What was not answered may have been done."""
    tries = 0
    while True:
        try:
            return await host.request(ask)
        except put_off:
            tries += 1
            await later(world, host, tries)


async def later(world: Simulation, host: Host[P], tries: int = 1) -> None:
    """When it is time to try again."""
    await world.pause(min(RETRY_MAX_S, RETRY_S * 2.0 ** min(tries, 10)))
    await host.up()
