"""Payloads are listed, given back and let go of, with a daemon and without one."""

from __future__ import annotations

import base64
import json
import os
from typing import Final

import pytest

from holdfast.demo import lines
from tests.support.home import Home, sid

PICTURE: Final = b"\x89PNG\r\n\x1a\n" + bytes(range(256)) * 40
SMALLER: Final = b"\xff\xd8\xff" + bytes(range(256)) * 20


def with_pictures(home: Home) -> None:
    for name, picture, day in (("old", PICTURE, 1), ("new", SMALLER, 20), ("too", SMALLER, 21)):
        data = base64.b64encode(picture).decode()
        home.write_log(name, lines.image_line("look", data, at=f"2026-01-{day:02}T09:00:00.000Z"))


@pytest.fixture(params=[False, True], ids=["without a daemon", "with a daemon"])
def pictured(request: pytest.FixtureRequest, home: Home) -> object:
    with_pictures(home)
    assert home.run("import").code == 0
    if not request.param:
        yield home
        return
    age(home)
    with home.daemon():
        yield home


def age(home: Home) -> None:
    """As if the payloads had been here for long: one that just came is never dropped."""
    for folder, _folders, names in os.walk(home.paths.blobs):
        for name in names:
            os.utime(os.path.join(folder, name), (1e9, 1e9))


def listed(home: Home, *more: str) -> list[tuple[str, int, int]]:
    shown = home.run("blobs", "--json", *more).json["shown"]
    return [(each["type"], each["bytes"], each["sessions"]) for each in shown]


def test_payloads_are_listed_with_what_they_cost(pictured: Home) -> None:
    assert listed(pictured) == [
        ("image/png", len(PICTURE), 1),
        ("image/jpeg", len(SMALLER), 2),
    ]
    assert listed(pictured, "--session", sid("new")) == [("image/jpeg", len(SMALLER), 2)]
    assert listed(pictured, "-n", "1") == [("image/png", len(PICTURE), 1)]
    seen = pictured.run("blobs")
    assert "image/png" in seen.text
    assert "2 payloads: " in seen.err


def test_a_payload_comes_back_by_the_beginning_of_its_digest(pictured: Home) -> None:
    digest = pictured.run("blobs", "--json").json["shown"][0]["digest"]
    assert pictured.run("blobs", digest).out == PICTURE
    assert pictured.run("blobs", digest[:10]).out == PICTURE
    missing = pictured.run("blobs", "zz")
    assert missing.code == 4
    assert "holdfast blobs" in missing.err


def test_payloads_are_dropped_by_age_and_the_conversation_stays(pictured: Home) -> None:
    before = pictured.export("old")
    looked = pictured.run("clean", "--blobs", "--older-than", "2026-01-10", "--dry-run", "--json")
    assert looked.json["count"] == 1
    assert len(listed(pictured)) == 2
    done = pictured.run("clean", "--blobs", "--older-than", "2026-01-10")
    assert "Dropped 1 payload" in done.err
    assert listed(pictured) == [("image/jpeg", len(SMALLER), 2)]
    assert pictured.export("old") == before
    event = json.loads(before.splitlines()[-1])["data"]
    gone = pictured.run("blobs", event["blob"])
    assert gone.code == 4
    assert "dropped by `clean`" in gone.err
    (row,) = [
        line for line in pictured.run("blobs", "--dropped").text.splitlines() if " dropped " in line
    ]
    assert row.split()[1:6] == ["dropped", "10.0", "KiB", "-", "1"]
    (gone,) = [
        each
        for each in pictured.run("blobs", "--dropped", "--json").json["shown"]
        if each["dropped_at"]
    ]
    assert gone["stored_bytes"] == 0
    left = [name for _, _, names in os.walk(pictured.paths.blobs) for name in names]
    assert len(left) == 1


def test_payloads_are_dropped_by_size(pictured: Home) -> None:
    assert pictured.run("clean", "--blobs", "--larger-than", "9KB", "--json").json["count"] == 1
    assert listed(pictured) == [("image/jpeg", len(SMALLER), 2)]
    assert "No payload fits" in pictured.run("clean", "--blobs", "--larger-than", "1GB").err


def test_no_payload_is_dropped_by_accident(home: Home) -> None:
    with_pictures(home)
    home.run("import")
    for chosen in (["--blobs"], ["--older-than", "1d"], ["--blobs", "--larger-than", "big"]):
        refused = home.run("clean", *chosen)
        assert refused.code == 2
        assert "10MB" in refused.err
    assert len(listed(home)) == 2


def test_what_came_a_moment_ago_stays_while_somebody_may_refer_to_it(home: Home) -> None:
    with_pictures(home)
    home.ok("import", "--quiet")
    with home.daemon():
        refused = home.run("clean", "--blobs", "--larger-than", "1KB")
        assert "2 of them came a moment ago and stay" in refused.err
        assert len(listed(home)) == 2
        age(home)
        assert "Dropped 2 payloads" in home.run("clean", "--blobs", "--larger-than", "1KB").err
        assert listed(home) == []
