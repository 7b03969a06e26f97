"""Which path a project of Gemini CLI stands for.

Its folder is named after the SHA-256 of the path, later after the last part of the path, and who
has which is written down beside it. Where nothing says so, nothing is made up.
"""

from __future__ import annotations

import hashlib
import os
from typing import Final

from msgspec import Raw

from holdfast.sources.agents.gemini.records import Projects, read_projects
from holdfast.sources.loose import tolerant
from holdfast.sources.wholefiles import beginning

MARKER_BYTES_MAX: Final = 4_096
PROJECTS_BYTES_MAX: Final = 4_194_304


def project_path(home: str, folder: str) -> str:
    """The path of the project whose folder in `<home>/tmp` is named so; "" where nobody knows."""
    marker = beginning(os.path.join(home, "tmp", folder, ".project_root"), MARKER_BYTES_MAX)
    path = marker.decode("utf-8", "replace").strip()
    if path.startswith("/"):
        return path
    written = beginning(os.path.join(home, "projects.json"), PROJECTS_BYTES_MAX)
    known = tolerant(read_projects, Raw(written), Projects()).projects
    for path, name in known.items():
        if folder in (name, hashlib.sha256(path.encode("utf-8", "replace")).hexdigest()):
            return path
    return ""
