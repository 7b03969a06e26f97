"""Steps hold in order, are undone in reverse, and each leaves a record."""

from __future__ import annotations

from holdfast.governor import Effect, Ladder, Level, Levels, Pressure, Step, Thresholds, lines_of
from tests.governor.test_governor import Clock
from tests.support.logs import RememberedLog

NORMAL, MODERATE, HIGH, CRITICAL = Level


class Course:
    """A ladder of three steps, and what they did."""

    def __init__(self) -> None:
        self.clock = Clock()
        self.log, self.audit = RememberedLog(), RememberedLog()
        self.done: list[str] = []
        self.effect = Effect(5, "something")
        self.ladder = Ladder(
            [
                self.step("shrink", HIGH, own=False),
                self.step("refuse", CRITICAL, own=True),
                self.step("stop", CRITICAL, own=True, after_s=10.0),
            ],
            self.log,
            audit=self.audit,
            clock=self.clock,
            now=lambda: "2026-01-01T00:00:00.000Z",
        )

    def step(self, name: str, level: Level, *, own: bool, after_s: float = 0.0) -> Step:
        def act(done: str, effect: Effect | None = None) -> Effect:
            self.done.append(f"{done} {name}")
            return self.effect if effect is None else effect

        return Step(
            name=name,
            level=level,
            own=own,
            after_s=after_s,
            apply=lambda _: act("apply"),
            hold=lambda _: act("hold", Effect()),
            undo=lambda _: act("undo"),
        )

    def follow(self, budget: float, system: float = 0.0) -> tuple[str, ...]:
        levels = Levels(lines_of(Thresholds()), self.clock())
        judgement = levels.take({"budget": budget, "system": system}, self.clock())
        pressure = Pressure(
            judgement=judgement, excess_bytes=0, missing_bytes=0, footprint_bytes=0, worse=False
        )
        self.ladder.follow(pressure, self.clock())
        return self.ladder.held


def test_steps_are_applied_in_order_and_undone_in_reverse() -> None:
    course = Course()
    course.follow(99)
    assert course.follow(10) == ()
    assert course.done == ["apply shrink", "apply refuse", "undo refuse", "undo shrink"]


def test_a_step_that_goes_by_our_own_level_is_left_when_others_are_the_cause() -> None:
    assert Course().follow(10, system=99) == ("shrink",)


def test_a_step_waits_for_as_long_as_its_level_must_last() -> None:
    course = Course()
    course.follow(99)
    course.clock.now_s += 9.9
    assert course.follow(99) == ("shrink", "refuse")
    course.clock.now_s += 0.1
    assert course.follow(99) == ("shrink", "refuse", "stop")


def test_a_level_that_was_left_meanwhile_begins_to_last_anew() -> None:
    course = Course()
    course.follow(99)
    course.clock.now_s += 9
    course.follow(90)
    course.follow(99)
    course.clock.now_s += 9
    assert course.follow(99) == ("shrink", "refuse")


def test_a_record_has_level_cause_cost_and_effect_of_the_level_that_the_step_goes_by() -> None:
    course = Course()
    course.follow(97, system=85)
    shrink, refuse = course.ladder.records
    assert (shrink.step, shrink.done, shrink.level) == ("shrink", "applied", "critical")
    assert (refuse.cause, refuse.cause_pct, refuse.level) == ("budget", 97.0, "critical")
    assert (refuse.given_bytes, refuse.effect) == (5, "something")
    assert refuse.took_ms >= 0
    assert course.log.names() == ["governor.step", "governor.step"]
    assert course.audit.names() == ["pressure.step", "pressure.step"]


def test_holding_on_is_no_record_when_nothing_came_of_it() -> None:
    course = Course()
    course.follow(90)
    course.follow(90)
    assert course.done == ["apply shrink", "hold shrink"]
    assert [each.done for each in course.ladder.records] == ["applied"]


def test_a_step_that_fails_is_told_and_the_others_have_their_turn() -> None:
    log = RememberedLog()
    done: list[str] = []

    def fail(_pressure: Pressure) -> Effect:
        raise RuntimeError("broken")

    def act(_pressure: Pressure) -> Effect:
        done.append("act")
        return Effect()

    ladder = Ladder(
        [
            Step(name="bad", level=HIGH, own=True, apply=fail, undo=act),
            Step(name="good", level=HIGH, own=True, apply=act),
        ],
        log,
    )
    judgement = Levels(lines_of(Thresholds()), 0.0).take({"budget": 90.0}, 0.0)
    ladder.follow(Pressure(judgement, 0, 0, 0, worse=True), 0.0)
    assert (ladder.held, done) == (("bad", "good"), ["act"])
    assert "governor.step_failed" in log.names()
    assert ladder.records[0].effect == "failed: broken"
