"""Rules as people write them into the config."""

from __future__ import annotations

import pytest

from holdfast.alerts.conditions import parse
from holdfast.alerts.rules import DEFAULT_RULES, fault_of_alert_rule, name_of_alert_rule


def test_the_four_rules_that_are_there_by_default_are_right() -> None:
    names = [rule.name for rule in DEFAULT_RULES]
    assert names == ["memory-high", "memory-critical", "work-queue-full", "connection-leak"]
    assert [fault_of_alert_rule(rule) for rule in DEFAULT_RULES] == [None] * 4
    assert all(parse(rule.condition).for_s for rule in DEFAULT_RULES)


@pytest.mark.parametrize(
    ("table", "says"),
    [
        ({"condition": "threads > 1"}, "missing required field `name`"),
        ({"name": "a"}, "missing required field `condition`"),
        ({"name": "A b", "condition": "threads > 1"}, "small letters"),
        ({"name": "a", "condition": "threads > "}, "has a condition that lacks a number"),
        ({"name": "a", "condition": "threads > 1", "actions": []}, "has no actions"),
        (
            {"name": "a", "condition": "threads > 1", "actions": ["call"]},
            "one of log, page, webhook, command, throttle, restart_recommended",
        ),
        (
            {"name": "a", "condition": "threads > 1", "severity": "bad"},
            "one of info, warning, critical",
        ),
        ({"name": "a", "condition": "threads > 1", "colour": 1}, "unknown field `colour`"),
        ({"name": "a", "condition": "threads > 1", "repeat_secs": -1}, "repeat_secs"),
        ("threads > 1", "is no rule"),
    ],
)
def test_a_wrong_rule_is_explained(table: object, says: str) -> None:
    fault = fault_of_alert_rule(table)
    assert fault is not None
    assert says in fault


@pytest.mark.parametrize(
    ("table", "name"),
    [
        ({"name": "a", "nonsense": 1}, "a"),
        ({"name": 7}, None),
        ("a", None),
        (DEFAULT_RULES[0], "memory-high"),
    ],
)
def test_a_rule_has_a_name_whatever_else_is_wrong_with_it(table: object, name: str | None) -> None:
    assert name_of_alert_rule(table) == name
