"""A daemon is killed again and again while programs write to streams, follow, and work on a queue.

`HOLDFAST_TEST_KILLS` sets how often, `HOLDFAST_TEST_SEED` at which moments.
"""

from __future__ import annotations

import os
import time
from random import Random
from typing import Final

import pytest

from tests.support.home import Home
from tests.support.loads import QueueLoad, StreamLoad

KILLS: Final = int(os.environ.get("HOLDFAST_TEST_KILLS", "36")) * 2 // 3
SEED: Final = int(os.environ.get("HOLDFAST_TEST_SEED", "20261120"))
BETWEEN_S: Final = (0.05, 0.5)


@pytest.mark.slow
def test_a_daemon_that_is_killed_loses_nothing_that_was_acknowledged_and_repeats_nothing(
    home: Home,
) -> None:
    throw, how = Random(SEED), f"seed {SEED}, {KILLS} kills"
    loads: list[StreamLoad | QueueLoad] = [StreamLoad(home), QueueLoad(home, SEED)]
    daemon = home.start()
    began_s = time.monotonic()
    try:
        for load in loads:
            load.start()
        for _ in range(KILLS):
            time.sleep(throw.uniform(*BETWEEN_S))  # the moment of the kill, not a wait
            daemon.kill()
            daemon = home.start()
        took_s = time.monotonic() - began_s
        for load in loads:
            load.finish()
        assert daemon.terminate() == 0
    finally:
        for load in loads:
            load.stop()
        daemon.stop()
    print(f"{how} in {took_s:.0f} s: {', '.join(load.check(how) for load in loads)}")
