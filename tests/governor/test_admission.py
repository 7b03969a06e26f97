"""Who is let in while memory is scarce."""

from __future__ import annotations

import pytest

from holdfast.governor.admission import Admission, Cost, PutOff, Throttled


def test_costly_work_is_put_off_when_somebody_else_asks_for_it() -> None:
    wanted: list[str] = []
    admission = Admission(asked=lambda: wanted)
    admission.check(Cost.COSTLY)
    wanted = ["queue-long", "disk-full"]
    with pytest.raises(Throttled, match=r"an alert says so \(queue-long, disk-full\)") as error:
        admission.check(Cost.COSTLY)
    assert "memory" not in str(error.value)
    admission.check(Cost.CHEAP)
    assert admission.status().throttling
    assert admission.status().throttled == 1


def test_what_says_how_we_are_gets_through_while_all_is_refused() -> None:
    admission = Admission()
    admission.refusing = True
    admission.check(Cost.ALWAYS)
    for cost in (Cost.CHEAP, Cost.COSTLY):
        with pytest.raises(PutOff) as error:
            admission.check(cost)
        assert error.value.status == 503
