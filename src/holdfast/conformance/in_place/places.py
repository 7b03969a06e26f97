"""Stores are found where the agent keeps them, and each log in them by its key."""

from __future__ import annotations

import os
from pathlib import Path

from holdfast.conformance.in_place.desk import Desk, identified
from holdfast.conformance.in_place.sample import StoreSample, store_requirement
from holdfast.conformance.sample import Nonconformant, expect, require
from holdfast.ingest.plan import make_plan
from holdfast.journal.memory import MemoryJournal


@store_requirement
def every_log_is_found_and_nothing_else(sample: StoreSample, folder: Path) -> None:
    desk = Desk(sample, folder)
    desk.write(sample.entries)
    for path in sample.others:
        _touch(os.path.join(desk.root, path))
    plan = make_plan({desk.source.agent: desk.source}, desk.reader)
    found = {pending.path for pending in plan.pending}
    expect(found, set(desk.log_keys(*sample.logs)), "logs found by walking")
    expect(plan.problems, {}, "problems of walking")
    for key in desk.log_keys():
        log = identified(desk.source, key)
        expect(log.agent, desk.source.agent, f"agent of {key}")
        expect(log.agent_session_id, sample.session, f"session of {key}")
        expect(log.key, key, "the key of a log")
        require(log.in_place, f"{key} is not taken for a log that changes in place")
        require(not log.relative.startswith("/"), f"{key} is not relative to its root")
    for key, (session, _parent) in sample.logs.items():
        log = identified(desk.source, os.path.join(desk.root, key))
        expect(log.agent_session_id, session, f"session of {key}")


@store_requirement
def a_change_of_any_of_its_files_leads_to_the_log(sample: StoreSample, folder: Path) -> None:
    """Of what a database has beside it too."""
    desk = Desk(sample, folder)
    desk.write(sample.entries)
    there = [
        os.path.join(parent, name) for parent, _, names in os.walk(desk.root) for name in names
    ]
    held = tuple(desk.keeper.paths())
    keys, told = set(desk.log_keys(*sample.logs)), 0
    for path in there:
        is_silent = sample.silent and f"/{sample.silent}/" in path
        if not path.startswith(held) or path.endswith("-shm") or is_silent:
            continue
        store = desk.source.store_of(path)
        if store is None:
            raise Nonconformant(f"nobody looks into a store when {path} was changed")
        logs = {log.key for log, _stamp in desk.source.logs(store)}
        require(logs and logs <= keys, f"{store} holds {logs}")
        told += 1
    require(told, "no file was looked at")


@store_requirement
def a_path_outside_the_roots_is_no_log(sample: StoreSample, folder: Path) -> None:
    desk = Desk(sample, folder)
    key = sample.keys[0]
    root = desk.root
    for outside in (f"{root}-other/{key}", f"/{key}", key, root, "/", ""):
        require(desk.source.identify(outside) is None, f"{outside!r} is taken for a log")
        require(desk.source.store_of(outside) is None, f"{outside!r} is taken for a store")
    odd = os.path.join(root, key.replace(sample.session, "\udcff"))
    if odd != os.path.join(root, key):
        require(desk.source.identify(odd) is None, "bytes that are no UTF-8 are taken")


@store_requirement
def a_root_that_is_not_there_yet_is_no_problem(sample: StoreSample, folder: Path) -> None:
    source = sample.source([str(folder / "later")])
    plan = make_plan({source.agent: source}, MemoryJournal().reader())
    expect((plan.pending, plan.problems), ([], {}), "a plan for a root that is not there")


def _touch(path: str) -> None:
    os.makedirs(os.path.dirname(path), exist_ok=True)
    with open(path, "wb"):
        pass
