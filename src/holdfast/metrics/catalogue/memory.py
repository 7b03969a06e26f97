"""Memory."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Final

from holdfast.governor.protocol import Level
from holdfast.metrics.figure import (
    Figure,
    Number,
    Point,
    Read,
    each_of_memory,
    from_memory,
    one_of,
    share,
)
from holdfast.status.model import PressureReading, Status


def _of_readings(read: Callable[[PressureReading], Number | None]) -> Read:
    return each_of_memory(
        lambda memory: [(each.name, read(each)) for each in memory.pressure.readings]
    )


def _thresholds(status: Status) -> Iterator[Point]:
    for each in status.memory.pressure.readings if status.memory is not None else ():
        yield Point((each.name, "moderate"), each.moderate_pct / 100)
        yield Point((each.name, "high"), each.high_pct / 100)
        yield Point((each.name, "critical"), each.critical_pct / 100)


FIGURES: Final = (
    Figure(
        "holdfast_memory_budget_bytes",
        "gauge",
        "The ceiling on the whole process tree, `daemon.max_memory_mb`.",
        from_memory(lambda m: m.budget_bytes),
    ),
    Figure(
        "holdfast_memory_tree_bytes",
        "gauge",
        "PSS + swap of the process tree: what the ceiling is about.",
        from_memory(lambda m: m.process.tree_bytes),
        kept=True,
    ),
    Figure(
        "holdfast_memory_tree_peak_bytes",
        "gauge",
        "The most of it that was seen since the start.",
        from_memory(lambda m: m.process.peak_tree_bytes),
    ),
    Figure(
        "holdfast_memory_used_ratio",
        "gauge",
        "The tree as a share of the ceiling; 1 is the ceiling.",
        from_memory(lambda m: share(m.process.tree_bytes, m.budget_bytes)),
        kept=True,
    ),
    Figure(
        "holdfast_memory_over_budget",
        "gauge",
        "1 while the tree is above the ceiling.",
        from_memory(lambda m: int(m.over_budget)),
    ),
    Figure(
        "holdfast_memory_exact",
        "gauge",
        "0 where the system has no PSS and RSS stands in.",
        from_memory(lambda m: int(m.process.exact)),
    ),
    Figure(
        "holdfast_memory_baseline_bytes",
        "gauge",
        "The program itself, before it held anything.",
        from_memory(lambda m: m.baseline_bytes),
    ),
    Figure(
        "holdfast_memory_unaccounted_bytes",
        "gauge",
        "The tree without the baseline and the components; may be below zero. A leak shows here.",
        from_memory(lambda m: m.unaccounted_bytes),
        kept=True,
    ),
    Figure(
        "holdfast_memory_pressure_level",
        "gauge",
        f"Pressure as a number: {', '.join(f'{each.value} {each.label}' for each in Level)}.",
        from_memory(lambda m: Level[m.level.upper()].value),
        kept=True,
    ),
    Figure(
        "holdfast_memory_pressure",
        "gauge",
        "1 for the level that pressure is at.",
        each_of_memory(lambda m: one_of((each.label for each in Level), m.level)),
        ("level",),
    ),
    Figure(
        "holdfast_memory_own_pressure_level",
        "gauge",
        "The same without the memory of the machine: by this one work is turned away.",
        from_memory(lambda m: Level[m.pressure.own_level.upper()].value),
    ),
    Figure(
        "holdfast_memory_pressure_age_seconds",
        "gauge",
        "How long pressure has been at its level.",
        from_memory(lambda m: m.pressure.for_s),
    ),
    Figure(
        "holdfast_memory_pressure_cause",
        "gauge",
        "1 for the reading that decides the level.",
        each_of_memory(lambda m: one_of((r.name for r in m.pressure.readings), m.pressure.cause)),
        ("reading",),
    ),
    Figure(
        "holdfast_memory_reading_ratio",
        "gauge",
        "What a reading says: memory as a share of its limit, or time as a share of ten seconds.",
        _of_readings(lambda r: None if r.pct is None else r.pct / 100),
        ("reading",),
    ),
    Figure(
        "holdfast_memory_reading_level",
        "gauge",
        "The level of that reading by itself, as a number.",
        _of_readings(lambda r: Level[r.level.upper()].value),
        ("reading",),
    ),
    Figure(
        "holdfast_memory_reading_own",
        "gauge",
        "1 when that reading counts for `holdfast_memory_own_pressure_level`.",
        _of_readings(lambda r: int(r.own)),
        ("reading",),
    ),
    Figure(
        "holdfast_memory_reading_age_seconds",
        "gauge",
        "How long it has been at its level.",
        _of_readings(lambda r: r.for_s),
        ("reading",),
    ),
    Figure(
        "holdfast_memory_threshold_ratio",
        "gauge",
        "Where a level of a reading begins.",
        _thresholds,
        ("reading", "level"),
    ),
    Figure(
        "holdfast_memory_step_held",
        "gauge",
        "1 for each step against pressure that holds now.",
        each_of_memory(lambda m: [(step, 1) for step in m.pressure.holding]),
        ("step",),
    ),
    Figure(
        "holdfast_memory_jobs_paused",
        "gauge",
        "Background jobs that wait for better times.",
        from_memory(lambda m: len(m.pressure.paused)),
    ),
    Figure(
        "holdfast_admission_closed",
        "gauge",
        "1 while costly requests are throttled, and while all new work is refused.",
        each_of_memory(
            lambda m: [
                ("throttled", int(m.pressure.requests.throttling)),
                ("refused", int(m.pressure.requests.refusing)),
            ]
        ),
        ("outcome",),
    ),
    Figure(
        "holdfast_requests_put_off_total",
        "counter",
        "Requests that were answered with 429 (`throttled`) and with 503 (`refused`).",
        each_of_memory(
            lambda m: [
                ("throttled", m.pressure.requests.throttled),
                ("refused", m.pressure.requests.refused),
            ]
        ),
        ("outcome",),
    ),
    Figure(
        "holdfast_component_bytes",
        "gauge",
        "What a part of the program takes, by its own account.",
        each_of_memory(lambda m: [(c.name, c.bytes) for c in m.components]),
        ("component",),
    ),
    Figure(
        "holdfast_component_items",
        "gauge",
        "How many things that are.",
        each_of_memory(lambda m: [(c.name, c.items) for c in m.components]),
        ("component",),
    ),
    Figure(
        "holdfast_component_limit_bytes",
        "gauge",
        "What it may take; absent without a limit.",
        each_of_memory(lambda m: [(c.name, c.limit_bytes) for c in m.components]),
        ("component",),
    ),
    Figure(
        "holdfast_component_limit_items",
        "gauge",
        "How many things it may hold; absent without a limit.",
        each_of_memory(lambda m: [(c.name, c.limit_items) for c in m.components]),
        ("component",),
    ),
    Figure(
        "holdfast_component_high_water_bytes",
        "gauge",
        "The most it took since the start.",
        each_of_memory(lambda m: [(c.name, c.high_water_bytes) for c in m.components]),
        ("component",),
    ),
    Figure(
        "holdfast_component_growth_bytes_per_second",
        "gauge",
        "What it grew by in the last half minute; below zero when it shrank.",
        each_of_memory(lambda m: [(c.name, c.rate_bytes_s) for c in m.components]),
        ("component",),
    ),
    Figure(
        "holdfast_components_near_limit",
        "gauge",
        "Components at 90 % of their own limit or more.",
        from_memory(lambda m: len(m.near_limit)),
    ),
)
