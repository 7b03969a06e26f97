"""The dashboard and the alert rules name figures and labels that there are, and are well-formed."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import pytest
import yaml

from holdfast.metrics import FIGURES, read_all
from tests.support.statuses import full_status

DEPLOY: Final = Path(__file__).parents[2] / "deploy"
DASHBOARD: Final = json.loads((DEPLOY / "grafana" / "holdfast.json").read_text("utf-8"))
RULES_TEXT: Final = (DEPLOY / "prometheus" / "holdfast.rules.yml").read_text("utf-8")
RULES: Final = [rule for group in yaml.safe_load(RULES_TEXT)["groups"] for rule in group["rules"]]
LABELS: Final = {figure.name: set(figure.labels) for figure in FIGURES}
SCRAPED: Final = {"instance", "job"}  # labels that Prometheus adds
PANELS: Final = [panel for panel in DASHBOARD["panels"] if panel["type"] != "row"]
DURATION: Final = r"\d+(?:ms|[smhdwy])"


def expressions() -> Iterator[tuple[str, str]]:
    for panel in PANELS:
        for target in panel["targets"]:
            yield panel["title"], target["expr"]
    for annotation in DASHBOARD["annotations"]["list"]:
        yield annotation["name"], annotation["expr"]
    for rule in RULES:
        yield rule["alert"], rule["expr"]


def faults(expression: str) -> list[str]:
    """What is wrong with a query, as far as the catalogue and its brackets tell."""
    found = []
    for opening, closing in ("()", "[]", "{}"):
        if expression.count(opening) != expression.count(closing):
            found.append(f"{opening} and {closing} do not match")
    names = re.findall(r"\bholdfast_\w+", expression)
    found += [f"no figure {name}" for name in names if name not in LABELS]
    known = {label for name in names for label in LABELS.get(name, ())} | SCRAPED
    asked = re.findall(r"(\w+)\s*(?:=~|!~|!=|=)\s*\"", expression)
    for listed in re.findall(r"\b(?:by|without)\s*\(([^)]*)\)", expression):
        asked += [label.strip() for label in listed.split(",")]
    found += [f"no label {label}" for label in asked if label not in known]
    for function, name in re.findall(r"\b(rate|increase)\((holdfast_\w+)", expression):
        if not name.endswith("_total"):
            found.append(f"{function} of {name}, which is no counter")
    counters = [name for name in names if name.endswith("_total")]
    within = re.findall(r"\b(?:rate|increase)\((holdfast_\w+)", expression)
    found += [f"{name} without a rate" for name in counters if name not in within]
    return found


@pytest.mark.parametrize(("where", "expression"), list(expressions()))
def test_every_query_is_about_figures_that_there_are(where: str, expression: str) -> None:
    assert faults(expression) == [], where
    assert "holdfast_" in expression or expression.startswith("up{")


@pytest.mark.parametrize(
    "wrong",
    [
        "holdfast_memory_tree",
        "holdfast_memory_tree_bytes{agent='x'",
        'holdfast_memory_tree_bytes{agent="x"}',
        "sum by (session) (holdfast_memory_tree_bytes)",
        "rate(holdfast_memory_tree_bytes[5m])",
        "holdfast_cgroup_oom_kills_total > 0",
    ],
)
def test_what_is_wrong_is_found(wrong: str) -> None:
    assert faults(wrong)


@pytest.mark.parametrize("panel", PANELS, ids=lambda panel: str(panel["title"]))
def test_a_panel_names_only_labels_of_its_figures(panel: dict[str, Any]) -> None:
    for target in panel["targets"]:
        names = re.findall(r"\bholdfast_\w+", target["expr"])
        known = {label for name in names for label in LABELS[name]} | SCRAPED
        assert set(re.findall(r"\{\{(\w+)\}\}", target["legendFormat"])) <= known
        assert '{instance=~"$instance"}' in target["expr"]


def test_panels_do_not_lie_on_each_other_and_have_numbers_of_their_own() -> None:
    taken: set[tuple[int, int]] = set()
    for panel in DASHBOARD["panels"]:
        place = panel["gridPos"]
        cells = {
            (x, y)
            for x in range(place["x"], place["x"] + place["w"])
            for y in range(place["y"], place["y"] + place["h"])
        }
        assert not cells & taken, panel["title"]
        assert place["x"] + place["w"] <= 24
        taken |= cells
    numbers = [panel["id"] for panel in DASHBOARD["panels"]]
    assert len(numbers) == len(set(numbers))


def test_the_dashboard_asks_for_a_data_source_and_names_none() -> None:
    variables = {each["name"]: each for each in DASHBOARD["templating"]["list"]}
    assert variables["datasource"]["query"] == "prometheus"
    assert set(re.findall(r'"uid": "([^"]+)"', json.dumps(DASHBOARD))) == {
        "${datasource}",
        "holdfast",
    }


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: str(rule["alert"]))
def test_a_rule_has_what_prometheus_asks_of_one(rule: dict[str, Any]) -> None:
    assert set(rule) <= {"alert", "expr", "for", "labels", "annotations"}
    assert re.fullmatch(r"Holdfast[A-Za-z]+", rule["alert"])
    assert re.fullmatch(DURATION, rule.get("for", "1m"))
    assert set(rule["annotations"]) == {"summary", "description"}
    names = re.findall(r"\bholdfast_\w+", rule["expr"])
    known = {label for name in names for label in LABELS[name]} | SCRAPED
    for text in (*rule["annotations"].values(), *rule["labels"].values()):
        assert text.count("{{") == text.count("}}")
        assert set(re.findall(r"\$labels\.(\w+)", text)) <= known
        assert all(name in LABELS for name in re.findall(r"\bholdfast_\w+", text))
    assert rule["labels"]["severity"] in ("warning", "critical") or "$labels" in str(rule["labels"])


def test_no_rule_stands_twice() -> None:
    names = [rule["alert"] for rule in RULES]
    assert len(names) == len(set(names))


def test_the_values_that_queries_compare_labels_with_exist() -> None:
    """A selector with a value that never comes would be a panel that stays empty."""
    there = {
        (label, value)
        for figure, points in read_all(full_status())
        for point in points
        for label, value in zip(figure.labels, point.labels, strict=True)
    }
    for where, expression in expressions():
        for label, value in re.findall(r'(\w+)="([^"]*)"', expression):
            if label not in SCRAPED:
                assert (label, value) in there, where
