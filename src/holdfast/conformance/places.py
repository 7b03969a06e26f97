"""Where logs are found, and whose each one is."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Final

from holdfast.conformance.desk import identified
from holdfast.conformance.sample import Sample, expect, require, requirement
from holdfast.sources.base import LineSource
from holdfast.sources.walk import walk_folders

ODD_NAMES: Final = ("a b", "ünï-čødé", "名前", "%s{}", "x" * 120, "-", "a\nb", "it's", '"')


@requirement
def every_log_is_found_and_nothing_else(sample: Sample, folder: Path) -> None:
    root = os.path.realpath(folder / "root")
    source = sample.source([root])
    logs = {sample.path: sample.session, **{path: each[0] for path, each in sample.logs.items()}}
    for path in [*logs, *sample.others]:
        _touch(os.path.join(root, path))
    expect(_found(source), {os.path.join(root, path) for path in logs}, "logs found by walking")
    for path, session in logs.items():
        log = identified(source, os.path.join(root, path))
        expect(log.agent, source.agent, f"agent of {path}")
        expect(log.agent_session_id, session, f"session of {path}")
        expect(log.key, os.path.join(root, path), f"key of {path}")
        require(not log.relative.startswith("/"), f"{path} is not relative to its root")
    for path, (_session, parent) in sample.logs.items():
        expect(identified(source, os.path.join(root, path)).parent, parent, f"parent of {path}")


@requirement
def a_path_outside_the_roots_is_no_log(sample: Sample, folder: Path) -> None:
    root = str(folder / "root")
    source = sample.source([root])
    for outside in (f"{root}-other/{sample.path}", f"/{sample.path}", sample.path, root, "/", ""):
        require(source.identify(outside) is None, f"{outside!r} is taken for a log")


@requirement
def odd_names_are_told_apart(sample: Sample, folder: Path) -> None:
    """Whatever folders and sessions are called, each log is one session and keeps its path."""
    root = str(folder / "root")
    source = sample.source([root])
    seen: dict[str, str] = {}
    for odd in ODD_NAMES:
        path = os.path.join(os.path.realpath(root), sample.path.replace(sample.session, odd))
        log = identified(source, path)
        expect(log.path, path, "path of a log with an odd name")
        require(
            log.agent_session_id not in seen,
            f"{path!r} and {seen.get(log.agent_session_id)!r} are the same session",
        )
        seen[log.agent_session_id] = path


@requirement
def a_name_that_is_no_text_is_no_log(sample: Sample, folder: Path) -> None:
    root = os.path.realpath(folder / "root")
    odd = os.path.join(root, sample.path.replace(sample.session, "\udcff"))
    require(sample.source([root]).identify(odd) is None, "bytes that are no UTF-8 are taken")


@requirement
def several_roots_keep_their_logs_apart(sample: Sample, folder: Path) -> None:
    roots = [os.path.realpath(folder / name) for name in ("one", "one-more")]
    source = sample.source(roots)
    for root in roots:
        log = identified(source, os.path.join(root, sample.path))
        require(log.root.startswith(root), f"{log.root} is not in {root}")
        expect(os.path.join(log.root, log.relative), log.path, "root and relative path")


def _touch(path: str) -> None:
    os.makedirs(os.path.dirname(path), exist_ok=True)
    with open(path, "wb"):
        pass


def _found(source: LineSource) -> set[str]:
    """As the planner finds them."""
    return {
        path
        for root in source.roots()
        for folder, names in walk_folders(root, enters=source.enters)
        for name in names
        if name.endswith(source.suffixes())
        and source.identify(path := os.path.join(folder, name)) is not None
    }
