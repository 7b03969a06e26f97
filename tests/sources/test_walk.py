"""Walking finds every folder once, whatever links, rights and other programs do."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from holdfast.sources.walk import walk_folders


def walked(root: Path) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for folder, names in walk_folders(str(root)):
        assert folder not in found
        found[folder.removeprefix(str(root))] = sorted(names)
    return found


def test_every_folder_comes_with_its_files(tmp_path: Path) -> None:
    (tmp_path / "a" / "b").mkdir(parents=True)
    (tmp_path / "c").mkdir()
    for name in ("top", "a/one", "a/two", "a/b/three"):
        (tmp_path / name).touch()
    assert walked(tmp_path) == {
        "": ["top"],
        "/a": ["one", "two"],
        "/a/b": ["three"],
        "/c": [],
    }


def test_a_loop_of_links_ends(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "up").symlink_to(tmp_path)
    (tmp_path / "a" / "self").symlink_to("self")
    (tmp_path / "a" / "file").touch()
    assert walked(tmp_path) == {"": [], "/a": ["file"]}


def test_a_linked_folder_is_followed_once_and_named_without_the_link(tmp_path: Path) -> None:
    (tmp_path / "z").mkdir()
    (tmp_path / "z" / "file").touch()
    (tmp_path / "a-link").symlink_to(tmp_path / "z")
    elsewhere = tmp_path / "elsewhere"
    root = tmp_path / "root"
    elsewhere.mkdir()
    root.mkdir()
    (elsewhere / "log").touch()
    (root / "b-link").symlink_to(elsewhere)
    assert walked(root) == {"": [], "/b-link": ["log"]}
    assert "/z" in walked(tmp_path)
    assert "/a-link" not in walked(tmp_path)


def test_a_link_to_nothing_is_no_folder(tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to("nowhere")
    assert walked(tmp_path) == {"": ["link"]}


def test_a_root_that_is_not_there_or_no_folder_is_empty(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    errors: list[str] = []
    for root in (tmp_path / "nowhere", tmp_path / "file"):
        assert list(walk_folders(str(root), lambda path, _error: errors.append(path))) == []
    assert errors == []


def test_a_folder_that_cannot_be_listed_costs_only_itself(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("closed", "open"):
        (tmp_path / name).mkdir()
    scandir = os.scandir

    def refuse(path: str) -> object:
        if path.endswith("closed"):
            raise PermissionError(13, "Permission denied")
        return scandir(path)

    monkeypatch.setattr(os, "scandir", refuse)
    errors: list[tuple[str, str | None]] = []
    found = [
        folder
        for folder, _ in walk_folders(
            str(tmp_path), lambda path, error: errors.append((path, error.strerror))
        )
    ]
    assert found == [str(tmp_path), str(tmp_path / "open")]
    assert errors == [(str(tmp_path / "closed"), "Permission denied")]


@pytest.mark.parametrize("becomes", ["nothing", "a file"])
def test_a_folder_that_goes_away_meanwhile_is_no_error(tmp_path: Path, becomes: str) -> None:
    (tmp_path / "a").mkdir()
    errors: list[str] = []
    walk = walk_folders(str(tmp_path), lambda path, _error: errors.append(path))
    next(walk)
    (tmp_path / "a").rmdir()
    if becomes == "a file":
        (tmp_path / "a").touch()
    assert list(walk) == []
    assert errors == []


def test_an_entry_that_the_system_does_not_describe_is_passed_over(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Broken:
        name, path = "broken", "/broken"

        def is_dir(self) -> bool:
            raise OSError(5, "Input/output error")

    class Entries:
        def __enter__(self) -> list[Broken]:
            return [Broken()]

        def __exit__(self, *_error: object) -> None: ...

    monkeypatch.setattr(os, "scandir", lambda _path: Entries())
    assert walked(tmp_path) == {"": []}


def test_whoever_watches_is_told_before_a_folder_is_listed(tmp_path: Path) -> None:
    """What is made between listing and watching would be missed for good."""
    (tmp_path / "a").mkdir()

    def make(folder: str) -> None:
        Path(folder, "made now").touch()

    found = dict(walk_folders(str(tmp_path), before_listing=make))
    assert found == {str(tmp_path): ["made now"], str(tmp_path / "a"): ["made now"]}


def test_names_that_are_no_text_are_walked_too(tmp_path: Path) -> None:
    folder = os.fsdecode(os.fsencode(tmp_path) + b"/\xff")
    os.mkdir(folder)
    Path(folder, "log").touch()
    assert dict(walk_folders(str(tmp_path)))[folder] == ["log"]
