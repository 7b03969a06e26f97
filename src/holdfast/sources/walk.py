"""Walking log folders: links followed once, unreadable folders passed over, in bounded memory."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator


def walk_folders(
    root: str,
    on_error: Callable[[str, OSError], None] = lambda _path, _error: None,
    before_listing: Callable[[str], None] = lambda _path: None,
    enters: Callable[[str], bool] = lambda _path: True,
) -> Iterator[tuple[str, list[str]]]:
    """Each folder at and below `root` with the names of its files.

    A loop of symbolic links ends where it began, and what can be reached without links is named
    without them; a folder that cannot be read costs only itself, and one that goes away meanwhile
    is no error. `before_listing` is for whoever must not miss what is made in a folder after that;
    what `enters` refuses is left out with all that is below it.
    """
    seen: set[tuple[int, int]] = set()
    waiting, linked = [root], list[str]()
    while waiting or linked:
        folder = (waiting or linked).pop()
        try:
            about = os.stat(folder)
            identity = (about.st_dev, about.st_ino)
            if identity in seen:
                continue
            seen.add(identity)
            before_listing(folder)
            files, folders, links = _entries(folder)
        except (FileNotFoundError, NotADirectoryError):
            continue
        except OSError as error:
            on_error(folder, error)
            continue
        waiting += filter(enters, folders)
        linked += filter(enters, links)
        yield folder, files


def _entries(folder: str) -> tuple[list[str], list[str], list[str]]:
    """Names of files, paths of folders, paths of links to folders."""
    files: list[str] = []
    folders: list[str] = []
    links: list[str] = []
    with os.scandir(folder) as entries:
        for entry in entries:
            try:
                is_folder = entry.is_dir()
            except OSError:
                continue
            if is_folder:
                (links if entry.is_symlink() else folders).append(entry.path)
            else:
                files.append(entry.name)
    return files, folders, links
