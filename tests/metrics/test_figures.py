"""The catalogue: well-formed names, few labels, and nothing that the status says otherwise."""

from __future__ import annotations

import re
from typing import Final

import msgspec
import pytest

from holdfast.metrics.figures import FIGURES, Figure, read_all
from tests.support.statuses import full_status, numbers

# Figures of one session or one file have no bound; the rest is said by another figure.
NOT_FIGURES: Final = {
    "schema_version": "a label of holdfast_build_info",
    "daemon.pid": "a process id",
    "daemon.last_run.pid": "a process id",
    "memory.process.children[].pid": "a process id",
    "memory.process.children[].file_bytes": "of `mapped files`, which is a component",
    "memory.process.children[].peak_rss_bytes": "the peaks of several do not add up",
    "memory.machine.physical_bytes": "of the machine's memory, where it tells no more",
    "memory.machine.group.version": "of an interface, not a figure",
    "memory.machine.descriptors.hard_limit": "the soft limit is the one that holds",
    "memory.snapshots.idle_eviction.idle_ms": "a setting",
    "memory.pressure.actions[].cause_pct": "of one action; the log has them all",
    "memory.pressure.actions[].took_ms": "of one action; the log has them all",
    "memory.pressure.actions[].given_bytes": "of one action; the log has them all",
    "memory.near_limit[].pct": "a component's bytes and its limit say it",
    "memory.connections.held_too_long[].for_s": "of one connection; how many is what counts",
    "queues.pending": "the states of holdfast_queue_items add up to it",
    "alerts.rules[].values.some": "values of other figures",
    "sources[].lag_bytes": "the same of each: holdfast_sources_lag_bytes",
    "sources[].unknown_types[].records": "their types are other people's words",
    "sources[].unknown_types[].bytes": "in holdfast_source_bytes",
    "sources[].expiring.warn_days": "a setting",
    "sources[].expiring.due_files": "how soon the files of the warning go",
    "sources[].expiring.bytes": "files are what the warning counts",
    "sources[].expiring.kept_files": "the others than the ones not kept",
    "sessions.newest[].events": "of a session",
    "sessions.newest[].resident_bytes": "of a session",
}
ALLOWED_LABELS: Final = {
    "action",
    "agent",
    "alert",
    "component",
    "kind",
    "level",
    "outcome",
    "part",
    "process",
    "reading",
    "reason",
    "schema_version",
    "severity",
    "state",
    "step",
    "version",
}


PERCENT: Final = 100  # the status says percent, figures say shares


def values() -> set[float]:
    return {point.value for _figure, points in read_all(full_status()) for point in points}


def test_every_number_of_the_status_is_a_figure_or_has_a_reason_not_to_be() -> None:
    shown = values()
    status = full_status()
    summed = {  # of all children together
        "memory.process.children[].rss_bytes": "holdfast_process_resident_bytes",
        "memory.process.children[].pss_bytes": "holdfast_process_proportional_bytes",
        "memory.process.children[].swap_bytes": "holdfast_process_swap_bytes",
    }
    missing = {
        path
        for path, number in numbers(msgspec.to_builtins(status))
        if number not in shown and number / PERCENT not in shown and path not in summed
    }
    assert missing - set(NOT_FIGURES) == set()
    assert set(NOT_FIGURES) <= {path for path, _number in numbers(msgspec.to_builtins(status))}


def test_what_children_take_is_added_up() -> None:
    status = full_status()
    assert status.memory is not None
    process = status.memory.process
    for name, measure in [
        ("holdfast_process_resident_bytes", "rss_bytes"),
        ("holdfast_process_proportional_bytes", "pss_bytes"),
        ("holdfast_process_swap_bytes", "swap_bytes"),
    ]:
        figure = next(each for each in FIGURES if each.name == name)
        found = {point.labels[0]: point.value for point in figure.read(status)}
        assert found == {
            "daemon": getattr(process, measure),
            "children": sum(getattr(child, measure) for child in process.children),
        }


def test_the_level_is_told_by_its_name_and_as_a_number() -> None:
    readings = {figure.name: points for figure, points in read_all(full_status())}
    assert [point.value for point in readings["holdfast_memory_pressure_level"]] == [2]
    on = [point.labels for point in readings["holdfast_memory_pressure"] if point.value]
    assert on == [("high",)]


def test_without_a_daemon_there_are_figures_of_what_is_kept_only() -> None:
    status = full_status(memory=None, health=None, work=None)
    told = {figure.name for figure, points in read_all(status) if points}
    assert "holdfast_events" in told
    assert not any(
        name.startswith(("holdfast_memory_", "holdfast_tasks", "holdfast_work")) for name in told
    )


def test_what_a_platform_does_not_tell_is_left_out() -> None:
    status = full_status()
    assert status.memory is not None
    machine = msgspec.structs.replace(
        status.memory.machine, system=None, group=None, stall=None, disk=None, descriptors=None
    )
    memory = msgspec.structs.replace(status.memory, machine=machine)
    told = {
        figure.name
        for figure, points in read_all(msgspec.structs.replace(status, memory=memory))
        if points
    }
    assert not {name for name in told if name.startswith(("holdfast_machine_", "holdfast_cgroup_"))}
    assert "holdfast_memory_tree_bytes" in told


@pytest.mark.parametrize("figure", FIGURES, ids=lambda figure: str(figure.name))
def test_a_figure_is_named_as_others_expect(figure: Figure) -> None:
    assert re.fullmatch(r"holdfast(_[a-z0-9]+)+", figure.name)
    assert (figure.kind == "counter") == figure.name.endswith("_total")
    said = set(figure.name.split("_")) & {
        "bytes",
        "seconds",
        "ratio",
        "mb",
        "kb",
        "ms",
        "secs",
        "pct",
        "percent",
    }
    assert said <= set(figure.unit.split("_")), "one unit, a base unit, at the end of the name"
    assert figure.help.endswith(".")
    assert "\n" not in figure.help
    assert set(figure.labels) <= ALLOWED_LABELS


def test_no_name_stands_twice() -> None:
    names = [figure.name.removesuffix("_total") for figure in FIGURES]
    assert len(names) == len(set(names))


def test_each_point_has_a_value_for_each_label_and_none_stands_twice() -> None:
    for figure, points in read_all(full_status()):
        assert all(len(point.labels) == len(figure.labels) for point in points)
        assert len({point.labels for point in points}) == len(points)


def test_what_is_kept_in_the_history_is_one_number() -> None:
    for figure, points in read_all(full_status()):
        if figure.kept:
            assert not figure.labels
            assert len(points) == 1
