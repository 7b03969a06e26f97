"""An answer of a queue that is lost on the way. Kills of the daemon are in `test_together.py`."""

from __future__ import annotations

import os
from typing import Final

import pytest

from holdfast import Holdfast
from holdfast.remote import Queue
from holdfast.remote.talk import Answer, Ask
from tests.support.home import Home

KILLS: Final = int(os.environ.get("HOLDFAST_TEST_KILLS", "36")) // 3
SEED: Final = int(os.environ.get("HOLDFAST_TEST_SEED", "20261120"))
PRODUCERS: Final = 3
WORKERS: Final = 4
LEASE_SECS: Final = 2  # of work that is abandoned: it comes again soon
PATIENCE_S: Final = 120.0
QUEUE: Final = "crash"


def test_an_answer_that_was_lost_is_asked_for_again_without_harm(
    home: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What the kill loop rests on: keys for what is put in, `gone` for what was confirmed."""
    lost: list[int] = []
    ask = Holdfast._request_once

    def loses(self: Holdfast, asked: Ask) -> Answer:
        answer = ask(self, asked)
        if not lost:
            lost.append(1)
            raise ConnectionResetError
        return answer

    monkeypatch.setattr(Holdfast, "_request_once", loses)
    with home.daemon(), Holdfast(home.env) as holdfast:
        queue = Queue(holdfast, QUEUE)
        number = queue.add("once")
        [item] = queue.claim(count=5)
        assert (item.id, item.payload) == (number, "once")
        lost.clear()
        outcome = queue.confirm(item.told.claim)
        assert (outcome.done, outcome.gone) == (0, [item.told.claim])
        assert queue.counts().pending == 0
