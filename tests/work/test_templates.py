"""Common checkpoints are data: named fields in, a question out."""

from __future__ import annotations

import pytest

from holdfast.work.entities import NotThere, NotValid
from holdfast.work.templates import TEMPLATES, template


@pytest.mark.parametrize("name", [each.name for each in TEMPLATES])
def test_every_field_is_shown_to_who_decides(name: str) -> None:
    chosen = template(name)
    title, question = chosen.filled({field: f"<{field}>" for field in chosen.fields})
    assert "\n" not in title
    for field in chosen.fields:
        assert f"<{field}>" in title + question
    assert "{" not in title + question


def test_braces_of_people_stay_as_they_are() -> None:
    fields = {"command": "rm {a,b}", "where": "{}", "why": "{why}"}
    _title, question = template("command").filled(fields)
    assert "rm {a,b}" in question
    assert "Why: {why}" in question


def test_what_is_missing_or_foreign_is_named() -> None:
    with pytest.raises(NotValid, match="steps is missing, hue is no field"):
        template("plan").filled({"goal": "g", "hue": "red"})


def test_a_template_that_is_not_there_is_refused_with_those_that_are() -> None:
    with pytest.raises(NotThere, match="plan, command, design, completion"):
        template("plann")
