"""The house: folders and their modes, the socket, the configuration, what a dead run left."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from datetime import datetime
from typing import Final

from holdfast.checks import Check, Fact, maker
from holdfast.doctor.evidence import Evidence
from holdfast.settings import load

FOLDER_MODE: Final = 0o700
FILE_MODE: Final = 0o600

_check: Final = maker("house")


def checks(evidence: Evidence) -> Iterator[Check]:
    yield _modes(evidence)
    yield _socket(evidence)
    yield _config(evidence)
    yield _overridden(evidence)


def _modes(evidence: Evidence) -> Check:
    """What others of this machine could read, and what we ourselves cannot."""
    paths = evidence.paths
    folders = [paths.data_dir, paths.blobs, paths.state_dir, paths.logs, paths.runtime_dir]
    files = [paths.journal, paths.status_file, paths.run_file, paths.crash_file]
    places = [(each, FOLDER_MODE) for each in folders] + [(each, FILE_MODE) for each in files]
    looked = 0
    remedies: list[str] = []
    closed = foreign = False
    for place, mode in places:
        try:
            found = os.stat(place)
        except OSError:
            continue
        looked += 1
        if found.st_uid != os.getuid():
            foreign = True
            remedies.append(f"chown {os.getuid()} '{place}'")
        elif stat.S_IMODE(found.st_mode) & 0o077:
            remedies.append(f"chmod {mode:o} '{place}'")
        if not os.access(place, os.R_OK | os.W_OK):
            closed = True
            remedies.append(f"chmod u+rwX '{place}'")
    facts: dict[str, Fact] = {"looked_at": looked, "to_mend": len(remedies)}
    if not remedies:
        return _check("permissions", "ok", f"{looked} places, for this user alone", facts)
    if closed:
        said = "some of holdfast's places cannot be read or written"
    elif foreign:
        said = "some of holdfast's places belong to another user"
    else:
        said = "other users of this machine can look into holdfast's places"
    return _check(
        "permissions", "problem" if closed or foreign else "warning", said, facts, *remedies
    )


def _socket(evidence: Evidence) -> Check:
    path = evidence.paths.socket
    try:
        found = os.lstat(path)
    except OSError:
        if evidence.answers:
            return _check(
                "socket", "problem", "the socket of the running daemon was removed", {},
                "`holdfast restart`",
            )  # fmt: skip
        return _check("socket", "ok", "no socket, as without a daemon")
    mode = stat.S_IMODE(found.st_mode)
    facts: dict[str, Fact] = {"mode": f"{mode:04o}", "answers": evidence.answers}
    if not stat.S_ISSOCK(found.st_mode) or found.st_uid != os.getuid():
        return _check(
            "socket", "problem", "something else is where the socket belongs", facts,
            f"remove '{path}' and `holdfast restart`",
        )  # fmt: skip
    if mode & 0o077:
        return _check(
            "socket", "problem", f"others may use the socket (mode {mode:04o})", facts,
            f"chmod 600 '{path}'",
        )  # fmt: skip
    if not evidence.answers:
        said = "a socket of a run that is gone; the next start replaces it"
        return _check("socket", "ok", said, facts)
    return _check("socket", "ok", f"the socket answers (mode {mode:04o})", facts)


def _config(evidence: Evidence) -> Check:
    path = evidence.paths.config_file
    there = os.path.exists(path)
    facts: dict[str, Fact] = {"file": there, "problems": len(evidence.config_problems)}
    if evidence.config_problems:
        return _check(
            "config",
            "problem",
            f"the configuration has {len(evidence.config_problems)} mistakes: a restart would be "
            "refused; this examination took the defaults",
            facts,
            "mend them; `holdfast config validate` says when it is right",
            particulars=evidence.config_problems,
        )
    if not there:
        return _check("config", "ok", "no config file: the defaults hold", facts)
    if os.stat(path).st_mode & 0o022:
        return _check(
            "config", "warning", "other users may change the config file", facts,
            f"chmod go-w '{path}'",
        )  # fmt: skip
    about = evidence.status.daemon if evidence.status is not None else None
    if evidence.has_daemon and about is not None:
        started_s = datetime.fromisoformat(about.started_at).timestamp()
        if os.path.getmtime(path) > started_s:
            return _check(
                "config", "warning", "the config file changed after the daemon started", facts,
                "`holdfast restart` takes the changes up",
            )  # fmt: skip
    return _check("config", "ok", "the config file is right", facts)


def _overridden(evidence: Evidence) -> Check:
    """What stands in the file and does not hold, because a variable says otherwise."""
    if evidence.loaded is None:
        return _check("overrides", "unknown", "not known while the configuration is wrong")
    origins = evidence.loaded.origins
    variables = [key for key, origin in origins.items() if origin.source == "environment"]
    try:
        in_file = load(evidence.paths.config_file, {}).origins
    except Exception:  # noqa: BLE001  # right together, wrong alone
        in_file = {}
    hidden = [key for key in variables if key in in_file and in_file[key].source == "file"]
    facts: dict[str, Fact] = {
        "from_environment": ", ".join(variables),
        "hidden_in_file": ", ".join(hidden),
    }
    if hidden:
        return _check(
            "overrides",
            "warning",
            f"variables override what the config file says of {', '.join(hidden)}",
            facts,
            "unset the variable, or take the setting out of the file",
        )
    said = f"{len(variables)} settings come from variables" if variables else "no variable sets any"
    return _check("overrides", "ok", said, facts)
