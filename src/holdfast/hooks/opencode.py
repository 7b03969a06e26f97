"""OpenCode: one JavaScript file, which it loads by itself from a folder of its configuration.

The file is complete in itself: the socket, the folder of the buffer and the projects of which
nothing is kept are written into it when it is installed, so that OpenCode needs nothing of
holdfast's environment. One that was installed for another home, with other settings or by another
version is outdated, and `install` writes it anew.

`plugin/` is read by every version; `plugins/`, which newer ones read too, is only looked into.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterator, Mapping
from functools import cache
from importlib.resources import files
from typing import Final

from holdfast import __version__
from holdfast.hooks.base import Done, Status, Where
from holdfast.paths import Paths
from holdfast.written import Found, look, remove, stamped, write

FILE_NAME: Final = "holdfast.js"
FOLDERS: Final = ("plugin", "plugins")  # the first is where we write
_MARK: Final = re.compile(r"^// holdfast-plugin: opencode (\S+)$", re.MULTILINE)
_HEAD: Final = """\
// Written by `holdfast hooks install opencode`; `holdfast hooks uninstall opencode` removes it.
// holdfast-plugin: opencode {version}
// {digest}

"""


class OpenCode:
    agent: Final = "opencode"

    def text(self, where: Where) -> str:
        body = _body()
        for name, value in (
            ("socket", where.paths.socket),
            ("buffer", buffer_folder(where.paths)),
            ("excluded", list(where.excluded)),
        ):
            assert body.count(f'"@{name}@"') == 1, name
            body = body.replace(f'"@{name}@"', json.dumps(value))
        return stamped(lambda digest: _HEAD.format(version=__version__, digest=digest) + body)

    def path(self, where: Where) -> str:
        return next(_places(where.environ))

    def install(self, where: Where, *, force: bool) -> Done:
        path = self.path(where)
        done = Done(agent=self.agent, path=path)
        wanted = self.text(where)
        before = _version(path)
        done.changed = write(path, wanted, force=force)
        if not done.changed:
            done.steps.append(f"{path} is as it should be")
        elif before and before != __version__:
            done.steps.append(f"Wrote {path}, which was of holdfast {before}")
        else:
            done.steps.append(f"Wrote {path}")
        if done.changed:
            done.notes.append("OpenCode loads it when it starts: restart OpenCode")
        done.notes += [
            f"{other} is there too: `holdfast hooks uninstall opencode` removes both"
            for other in self._elsewhere(where)
        ]
        if not os.path.exists(where.paths.socket):
            done.notes.append(
                "no daemon runs: events wait in files until `holdfast start` has started one"
            )
        return done

    def uninstall(self, where: Where, *, force: bool) -> Done:
        done = Done(agent=self.agent, path=self.path(where))
        for place in (done.path, *self._elsewhere(where)):
            if remove(place, "", force=force):
                done.changed = True
                done.steps.append(f"Removed {place}")
        if done.changed:
            done.notes.append("an OpenCode that runs goes on sending: restart OpenCode")
        else:
            done.steps.append(f"There is no {done.path}: nothing to remove")
        count, size = _waiting(where.paths)
        if count:
            done.notes.append(
                f"events that no daemon took are in {buffer_folder(where.paths)} ({size:,} B): "
                "they are sent when the plugin runs again; remove the folder to be rid of them"
            )
        return done

    def status(self, where: Where) -> Status:
        path = self.path(where)
        found = look(path, self.text(where))
        count, size = _waiting(where.paths)
        return Status(
            agent=self.agent,
            path=path,
            installed=found is not Found.NOTHING,
            up_to_date=found is Found.CURRENT,
            edited=found is Found.EDITED,
            version=_version(path),
            elsewhere=self._elsewhere(where),
            buffer=buffer_folder(where.paths),
            buffer_files=count,
            buffer_bytes=size,
        )

    def _elsewhere(self, where: Where) -> list[str]:
        first, *others = _places(where.environ)
        return [each for each in others if each != first and _version(each)]


def buffer_folder(paths: Paths) -> str:
    return os.path.join(paths.state_dir, "hooks", "opencode")


def _places(environ: Mapping[str, str]) -> Iterator[str]:
    """Where OpenCode looks, whatever the project; the first is the one to write to."""
    base = environ.get("XDG_CONFIG_HOME", "")
    if not os.path.isabs(base):
        base = os.path.join(environ.get("HOME") or os.path.expanduser("~"), ".config")
    ordinary = os.path.join(base, "opencode")
    chosen = environ.get("OPENCODE_CONFIG_DIR")
    for top in (os.path.abspath(os.path.expanduser(chosen)), ordinary) if chosen else (ordinary,):
        for folder in FOLDERS:
            yield os.path.join(top, folder, FILE_NAME)


def _version(path: str) -> str:
    """Of the holdfast that wrote the file; nothing when it is not ours."""
    try:
        with open(path, encoding="utf-8", errors="replace") as file:
            found = _MARK.search(file.read(1_024))
    except OSError:
        return ""
    return found[1] if found else ""


def _waiting(paths: Paths) -> tuple[int, int]:
    try:
        with os.scandir(buffer_folder(paths)) as found:
            sizes = [each.stat().st_size for each in found if each.name.endswith(".jsonl")]
    except OSError:  # there is none, or a file was sent while we looked
        return 0, 0
    return len(sizes), sum(sizes)


@cache
def _body() -> str:
    return files("holdfast.hooks").joinpath("opencode.js").read_text("utf-8")
