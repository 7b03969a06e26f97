from __future__ import annotations

import importlib
import os
import re
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from holdfast.alerts.rules import AlertRule
from holdfast.errors import Exit
from holdfast.settings import (
    ConfigError,
    Daemon,
    Ingest,
    Journal,
    Loaded,
    Origin,
    SettingDoc,
    Settings,
    Snapshots,
    describe,
    json_schema,
    load,
    render_default_config,
    render_docs,
    rows,
    write_value,
)
from holdfast.settings.model import MIB

DOCS = Path(__file__).parents[1] / "docs" / "settings.md"
BY_KEY = {doc.key: doc for doc in describe()}
keys = st.sampled_from(sorted(BY_KEY))
patient = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])


@pytest.fixture(scope="module")
def config(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One file that each example writes anew."""
    return tmp_path_factory.mktemp("config") / "config.toml"


def load_text(config: Path, text: str, environ: dict[str, str] | None = None) -> Loaded:
    config.write_bytes(text.encode())
    return load(config, environ or {})


def problems(config: Path, text: str, environ: dict[str, str] | None = None) -> list[str]:
    """What is wrong, with the name of the file left out."""
    with pytest.raises(ConfigError) as caught:
        load_text(config, text, environ)
    assert str(caught.value).split("\n") == list(caught.value.problems)
    return [problem.replace(str(config), "config.toml") for problem in caught.value.problems]


def env_problems(environ: dict[str, str]) -> list[str]:
    with pytest.raises(ConfigError) as caught:
        load(None, environ)
    return list(caught.value.problems)


# Where values come from


def test_without_file_and_environment_everything_is_at_its_default(tmp_path: Path) -> None:
    for file in (None, tmp_path / "missing.toml"):
        loaded = load(file, {"PATH": "/bin", "HOLDFAST_HOME": "/srv"})
        assert loaded.settings == Settings()
        assert loaded.origins == dict.fromkeys(BY_KEY, Origin("default"))


def test_an_empty_file_changes_nothing(config: Path) -> None:
    assert load_text(config, "").settings == Settings()


def test_the_environment_wins_over_the_file_and_the_file_over_the_default(config: Path) -> None:
    text = "[daemon]\nmax_memory_mb = 300\nheartbeat_ms = 500\n"
    loaded = load_text(config, text, {"HOLDFAST_DAEMON__MAX_MEMORY_MB": "400"})
    assert loaded.settings.daemon == Daemon(max_memory_mb=400, heartbeat_ms=500)
    assert [str(loaded.origins[f"daemon.{name}"]) for name in Daemon.__struct_fields__] == [
        "HOLDFAST_DAEMON__MAX_MEMORY_MB",
        f"{config}:3",
        "default",
    ]


def test_rows_give_every_setting_with_its_value_and_origin(config: Path) -> None:
    loaded = load_text(
        config, "[sources]\nclaude.roots = ['/a']\n", {"HOLDFAST_LOGS__LEVEL": "error"}
    )
    found = {row.key: (row.value, row.origin) for row in rows(loaded)}
    assert list(found) == list(BY_KEY)
    assert found["sources.claude.roots"] == (("/a",), f"{config}:2")
    assert found["logs.level"] == ("error", "HOLDFAST_LOGS__LEVEL")
    assert found["ingest.workers"] == (None, "default")


@pytest.mark.parametrize(
    "text",
    [
        "[sources.claude]\nenabled = false",
        "[sources]\nclaude.enabled = false",
        "sources.claude.enabled = false",
        "sources = {claude = {enabled = false}}",
        "'sources'.\"cl\\u0061ude\".enabled = false",
        "\ufeff[sources.claude]\r\nenabled = false\r\n",
    ],
)
def test_every_way_to_write_a_key_is_understood(config: Path, text: str) -> None:
    loaded = load_text(config, text)
    assert loaded.settings.source("claude").enabled is False
    assert (
        loaded.origins["sources.claude.enabled"].line == text.split("enabled", 1)[0].count("\n") + 1
    )


# Variables


@pytest.mark.parametrize(
    ("key", "text", "value"),
    [
        ("daemon.max_memory_mb", " 300 ", 300),
        ("ingest.workers", "3", 3),
        ("ingest.workers", "", None),
        ("ingest.workers", "none", None),
        ("snapshots.idle_eviction_ms", " NULL ", None),
        ("sources.claude.enabled", "false", False),
        ("sources.claude.enabled", "0", False),
        ("sources.claude.enabled", "No", False),
        ("sources.claude.enabled", "OFF", False),
        ("recording.include_system", "true", True),
        ("recording.include_system", "1", True),
        ("recording.include_system", "yes", True),
        ("recording.include_system", "on", True),
        ("logs.level", "warning", "warning"),
        ("sources.claude.roots", "", ()),
        ("sources.claude.roots", "/a", ("/a",)),
        ("sources.claude.roots", "/a, /b,", ("/a", "/b")),
        ("sources.claude.roots", os.pathsep.join(["/a,b", "~", ""]), ("/a,b", "~")),
        ("sources.claude.roots", ' ["/a,b", "/c:d"]', ("/a,b", "/c:d")),
        ("sources.claude.roots", "/\udcff", ("/\udcff",)),
    ],
)
def test_a_variable_is_read_by_the_type_of_its_setting(key: str, text: str, value: object) -> None:
    loaded = load(None, {BY_KEY[key].env: text})
    assert {row.key: row.value for row in rows(loaded)}[key] == value
    assert loaded.origins[key] == Origin("environment", BY_KEY[key].env)


@pytest.mark.parametrize(
    ("name", "text", "complaint"),
    [
        ("DAEMON__MAX_MEMORY_MB", "lots", 'daemon.max_memory_mb = "lots": is not a whole number'),
        ("DAEMON__MAX_MEMORY_MB", "", 'daemon.max_memory_mb = "": is not a whole number'),
        ("DAEMON__MAX_MEMORY_MB", "none", 'daemon.max_memory_mb = "none": is not a whole number'),
        ("DAEMON__MAX_MEMORY_MB", "0", "daemon.max_memory_mb = 0: is too small"),
        ("DAEMON__MAX_MEMORY_MB", "9" * 5000, "…: is not a whole number"),
        ("JOURNAL__READERS", "17", "journal.readers = 17: is too large"),
        ("LOGS__LEVEL", "INFO", 'logs.level = "INFO": is not one of these words'),
        ("RECORDING__INCLUDE_TOOLS", "maybe", '"maybe": is neither true nor false'),
        (
            "SOURCES__CLAUDE__ROOTS",
            "[1]",
            "roots = [1]: has an item that is not a string (number 1)",
        ),
        ("SOURCES__CLAUDE__ROOTS", '["a", ""]', "has an empty item (number 2)"),
        ("SOURCES__CLAUDE__ROOTS", "[/a", 'sources.claude.roots = "[/a": is not a list'),
        ("SOURCES__CLAUDE__ROOTS", "[\udcff", 'sources.claude.roots = "[\\udcff": is not a list'),
    ],
)
def test_a_wrong_variable_is_named(name: str, text: str, complaint: str) -> None:
    (problem,) = env_problems({f"HOLDFAST_{name}": text})
    assert problem.startswith(f"HOLDFAST_{name}: ")
    assert complaint in problem


@pytest.mark.parametrize(
    ("name", "near"),
    [
        ("HOLDFAST_DAEMON__MAX_MEMORY", 'did you mean "HOLDFAST_DAEMON__MAX_MEMORY_MB"?'),
        ("HOLDFAST_daemon__max_memory_mb", 'did you mean "HOLDFAST_DAEMON__MAX_MEMORY_MB"?'),
        ("HOLDFAST_DAEMON_MAX_MEMORY_MB", 'did you mean "HOLDFAST_DAEMON__MAX_MEMORY_MB"?'),
        ("HOLDFAST_CLAUDE__ROOTS", 'did you mean "HOLDFAST_SOURCES__CLAUDE__ROOTS"?'),
        ("HOLDFAST_" + "Q" * 60 + "__Q", "`holdfast config show` lists all settings"),
    ],
)
def test_a_variable_that_names_no_setting_is_an_error(name: str, near: str) -> None:
    assert env_problems({name: "1"}) == [f"{name}: names no setting; {near}"]


def test_other_variables_are_left_alone() -> None:
    environ = {"HOLDFAST_HOME": "/h", "HOLDFAST_TOKEN": "t", "XHOLDFAST_A__B": "1", "A__B": "1"}
    assert load(None, environ).settings == Settings()


# Everything that is wrong, at once


def test_every_problem_is_told_in_the_order_of_the_file_and_then_by_variable(config: Path) -> None:
    text = """\
deamon = {}
[snapshots]
max_memory_mb = 201
oversized = "drop"

[resources]
budget_high_pct = 0
budget_low_pct = 1
[source.claude]
enabled = true
"""
    environ = {"HOLDFAST_LOGS__LEVEL": "loud", "HOLDFAST_LOG__LEVEL": "info"}
    assert problems(config, text, environ) == [
        'config.toml:1: [deamon]: unknown section; did you mean "daemon"?',
        (
            "config.toml:3: snapshots.max_memory_mb = 201: is more than daemon.max_memory_mb = 200 "
            "(default); allowed: at most 200"
        ),
        (
            'config.toml:4: snapshots.oversized = "drop": is not one of these words; '
            'allowed: "spill", "truncate" or "fail"'
        ),
        (
            "config.toml:7: resources.budget_high_pct = 0: is too small; "
            "allowed: whole number from 1 to 100"
        ),
        (
            "config.toml:8: resources.budget_low_pct = 1: unknown setting; "
            'did you mean "resources.budget_high_pct"?'
        ),
        'config.toml:9: [source]: unknown section; did you mean "sources"?',
        (
            'HOLDFAST_LOGS__LEVEL: logs.level = "loud": is not one of these words; '
            'allowed: "debug", "info", "warning" or "error"'
        ),
        'HOLDFAST_LOG__LEVEL: names no setting; did you mean "HOLDFAST_LOGS__LEVEL"?',
    ]


def test_a_wrong_configuration_has_its_own_exit_code() -> None:
    assert ConfigError.exit is Exit.CONFIG


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("daemon = 5", "1: daemon = 5: is a section; write [daemon]"),
        ("[[daemon]]\nmax_memory_mb = 1", "1: daemon = [{max_memory_mb = 1}]: is a section"),
        ("[daemon.max_memory_mb]", "1: daemon.max_memory_mb = {}: is not a whole number"),
        ("[daemon]\nmax_memory_mb = true", "2: daemon.max_memory_mb = true: is not a whole number"),
        ("[daemon]\nmax_memory_mb = 2.0", "2: daemon.max_memory_mb = 2.0: is not a whole number"),
        ("daemon.max_memory_mb = 0x8000000000000000", "9223372036854775808: is too large"),
        ("daemon.max_memory_mb = '200'", '"200": is in quotes, which make it a string; leave them'),
        ("sources.claude.enabled = 'no'", '"no": is in quotes, which make it a string; leave them'),
        ("daemon.max_memory_mb = '0'", 'daemon.max_memory_mb = "0": is not a whole number'),
        ("ingest.workers = 'none'", 'ingest.workers = "none": is not a whole number'),
        ("ingest.workers = 17", "allowed: whole number from 1 to 16, or not set"),
        (
            "recording.include_tools = 1",
            "1: recording.include_tools = 1: is neither true nor false",
        ),
        ("sources.claude.roots = '~'", 'sources.claude.roots = "~": is not a list; allowed: list'),
        ("daemon.max_memory_mb = 1979-05-27", "daemon.max_memory_mb = 1979-05-27: is not a whole"),
        ("max_memory_mb = 5", 'max_memory_mb = 5: unknown setting; did you mean "daemon.max_mem'),
        ("'daemon.max_memory_mb' = 5", '"daemon.max_memory_mb" = 5: unknown setting; did you mean'),
        ("deamon = 1", 'deamon = 1: unknown setting; did you mean "daemon"?'),
        ("daemon.x = 1", "daemon.x = 1: unknown setting; allowed: max_memory_mb, heartbeat_ms, "),
        ("qqq = 1", "qqq = 1: unknown setting; allowed: [daemon], [snapshots], "),
        ("sources.qqqqqqqqqqqqqqq = 1", "unknown setting; allowed: warn_deletion_days"),
        ("logs.qqq = 1", "logs.qqq = 1: unknown setting; allowed: level, max_bytes, keep_files"),
        ("[qqq]\na = 1\nb = 2", "1: [qqq]: unknown section; allowed: [daemon], [snapshots], "),
        ('[daemon]\n"a\\nb" = 1', '2: daemon."a\\nb" = 1: unknown setting'),
        (f"qqq = '{'q' * 5000}'", "q…: unknown setting"),
    ],
)
def test_a_mistake_is_told_with_line_key_value_and_what_is_allowed(
    config: Path, text: str, complaint: str
) -> None:
    (problem,) = problems(config, text)
    assert problem.startswith("config.toml:")
    assert complaint in problem
    assert len(problem) < 400


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("[daemon]\n\nheartbeat_ms = ", "config.toml:3: is not TOML: Invalid value"),
        ("a = 1\na = 2\n", "config.toml:2: is not TOML: Cannot overwrite a value"),
        ("a = 1\n\nb = '''\n\n", "config.toml:3: is not TOML: "),
        (f"a = {'9' * 5000}", "config.toml: is not TOML: Exceeds the limit"),
        (f"a = {'[' * 5000}", "config.toml: is nested too deeply; write it flat"),
    ],
)
def test_what_is_not_toml_is_told_with_the_parsers_words(
    config: Path, text: str, complaint: str
) -> None:
    wrong, other = problems(config, text, {"HOLDFAST_LOGS__LEVEL": "loud"})
    assert wrong.startswith(complaint)
    assert other.startswith("HOLDFAST_LOGS__LEVEL: ")


def test_a_file_that_is_not_utf_8_is_told_with_its_line(tmp_path: Path) -> None:
    file = tmp_path / "config.toml"
    file.write_bytes(b"# one\n# tw\xf6\n")
    with pytest.raises(ConfigError, match=r"config\.toml:2: is not UTF-8 text; save it as UTF-8"):
        load(file, {})


def test_a_file_that_cannot_be_read_is_told_with_the_reason(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r": cannot be read: Is a directory; make it a file"):
        load(tmp_path, {})


# Settings that bind each other


@pytest.mark.parametrize(
    ("text", "environ", "complaint"),
    [
        (
            "daemon.max_memory_mb = 100\nsnapshots.max_memory_mb = 101",
            {},
            (
                "config.toml:2: snapshots.max_memory_mb = 101: is more than "
                "daemon.max_memory_mb = 100 (config.toml:1); allowed: at most 100"
            ),
        ),
        (
            "snapshots.max_memory_mb = 101",
            {"HOLDFAST_DAEMON__MAX_MEMORY_MB": "100"},
            (
                "config.toml:1: snapshots.max_memory_mb = 101: is more than "
                "daemon.max_memory_mb = 100 (HOLDFAST_DAEMON__MAX_MEMORY_MB); allowed: at most 100"
            ),
        ),
        (
            "resources.budget_high_pct = 70",
            {},
            (
                "config.toml:1: resources.budget_high_pct = 70: is not above "
                "resources.budget_moderate_pct = 70 (default); allowed: more than 70"
            ),
        ),
        (
            "resources.budget_high_pct = 95",
            {},
            (
                "config.toml:1: resources.budget_high_pct = 95: is not below "
                "resources.budget_critical_pct = 95 (default); allowed: less than 95"
            ),
        ),
    ],
)
def test_settings_in_the_wrong_order_are_told_where_they_were_changed(
    config: Path, text: str, environ: dict[str, str], complaint: str
) -> None:
    assert problems(config, text, environ) == [complaint]


def test_what_is_wrong_by_itself_is_not_compared_as_well(config: Path) -> None:
    assert len(problems(config, "daemon.max_memory_mb = 0\nsnapshots.max_memory_mb = 900")) == 1


def test_settings_in_the_right_order_pass(config: Path) -> None:
    text = "daemon.max_memory_mb = 64\nsnapshots.max_memory_mb = 64\n[resources]\n"
    resources = load_text(
        config,
        f"{text}budget_moderate_pct = 1\nbudget_high_pct = 2\nbudget_critical_pct = 3",
    ).settings.resources
    assert resources.budget_critical_pct == 3


# What follows from the settings


@pytest.mark.parametrize(
    ("daemon_mb", "snapshots_mb", "budget_bytes"),
    [(200, None, 60 * MIB), (200, 50, 50 * MIB), (3, None, MIB), (5, None, 3 * MIB // 2)],
)
def test_the_budget_of_snapshots_is_their_own_or_a_share_of_the_daemons(
    daemon_mb: int, snapshots_mb: int | None, budget_bytes: int
) -> None:
    settings = Settings(
        daemon=Daemon(max_memory_mb=daemon_mb), snapshots=Snapshots(max_memory_mb=snapshots_mb)
    )
    assert settings.snapshots_budget_bytes == budget_bytes


def test_import_workers_are_bounded_by_cores_memory_and_sixteen() -> None:
    roomy = Settings(daemon=Daemon(max_memory_mb=100_000))
    assert [roomy.import_workers(cpus) for cpus in (0, 1, 8, 64)] == [1, 1, 8, 16]
    assert Settings().import_workers(64) == 2
    assert Settings(daemon=Daemon(max_memory_mb=1)).import_workers(64) == 1
    for line_mb, workers in ((1, 5), (16, 2), (64, 1)):
        room = Settings(
            daemon=Daemon(max_memory_mb=300), ingest=Ingest(max_line_bytes=line_mb * MIB)
        )
        assert room.import_workers(64) == workers


def test_import_workers_that_are_set_hold() -> None:
    assert Settings(ingest=Ingest(workers=7)).import_workers(1) == 7


# The catalogue


def test_every_setting_explains_itself() -> None:
    for doc in BY_KEY.values():
        assert doc.description.endswith(".")
        assert "\n" not in doc.description
        assert "|" not in doc.description + doc.allowed
        assert doc.fault(doc.default) is None
        assert doc.key == f"{doc.section}.{doc.name}"
        assert doc.allowed.startswith(doc.type) or doc.type == "one of several words"


def test_numbers_carry_their_unit_or_are_counts() -> None:
    units = ("_mb", "_ms", "_secs", "_minutes", "_hours", "_days", "_bytes", "_pct")
    counts = {
        "snapshots.max_events_per_session",
        "snapshots.max_sessions",
        "journal.readers",
        "journal.audit_max_rows",
        "ingest.workers",
        "logs.keep_files",
        "recording.max_active",
        "server.loopback_port",
        "stream.max_event_history",
        "stream.max_cache_size",
        "resources.event_capacity",
        "tasks.max_unfinished",
        "tasks.retries",
        "checkpoints.max_pending",
        "intents.max_active",
    }
    numbers = {doc.key for doc in BY_KEY.values() if doc.type == "whole number"}
    assert {key for key in numbers if not key.endswith(units)} == counts


def test_the_variable_of_a_setting_is_spelt_from_its_key() -> None:
    assert BY_KEY["daemon.max_memory_mb"].env == "HOLDFAST_DAEMON__MAX_MEMORY_MB"
    assert BY_KEY["sources.claude.enabled"].env == "HOLDFAST_SOURCES__CLAUDE__ENABLED"


def test_choices_are_shown_in_the_order_they_are_written() -> None:
    assert BY_KEY["logs.level"].allowed == '"debug", "info", "warning" or "error"'


anything = st.recursive(
    st.one_of(
        st.none(),
        st.booleans(),
        st.integers(-(2**63), 2**63 - 1),
        st.integers(-2, 100_000),
        st.floats(),
        st.text(max_size=9),
        st.sampled_from(["observe", "spill", "info", "~"]),
    ),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner),
    max_leaves=4,
)


@patient
@given(keys, anything)
def test_what_the_catalogue_finds_right_is_what_the_types_accept(key: str, value: object) -> None:
    tree = value
    for part in reversed(key.split(".")):
        tree = {part: tree}
    try:
        msgspec.convert(tree, Settings)
    except msgspec.ValidationError:
        accepted = False
    else:
        accepted = True
    right = BY_KEY[key].fault(value) is None
    assert right == accepted or (accepted and BY_KEY[key].items)  # patterns are looked at as well


@pytest.mark.parametrize(
    ("key", "items", "complaint"),
    [
        ("privacy.extra", ["no kind"], "item 1, 'no kind', is not kind=pattern"),
        ("privacy.extra", ["Kind=x"], "is not kind=pattern"),
        ("privacy.extra", ["k=x", "k=("], "item 2, 'k=(', is no regular expression: missing )"),
        ("privacy.extra", ["k=^x"], "has '^', '$'"),
        ("privacy.extra", ["k=x|y$"], "has '^', '$'"),
        ("privacy.extra", [r"k=\Ax"], "has '^', '$'"),
        ("privacy.extra", ["k=x*"], "matches nothing at all"),
        ("privacy.allow", ["[a"], "is no regular expression: unterminated"),
        ("privacy.allow", ["[[x]"], "is not clear"),
        ("sources.claude.exclude_projects", ["src"], "is no whole path"),
    ],
)
def test_a_pattern_that_cannot_be_is_told(key: str, items: list[str], complaint: str) -> None:
    assert complaint in (BY_KEY[key].fault(items) or "")


def test_signs_that_are_no_anchors_are_taken() -> None:
    assert BY_KEY["privacy.extra"].fault([r"k=[^$]x\$\^", "k-2=a[]^]b"]) is None


def test_a_pattern_in_a_variable_is_one_pattern() -> None:
    assert BY_KEY["privacy.extra"].parse("k=a{2,3}:b") == ["k=a{2,3}:b"]
    assert BY_KEY["privacy.extra"].parse('["k=a,b", "l=c"]') == ["k=a,b", "l=c"]


# Generated files


def right_values(doc: SettingDoc) -> st.SearchStrategy[object]:
    match doc.type:
        case "whole number":
            low, high = bounds(doc)
            return st.integers(low, high)
        case "true or false":
            return st.booleans()
        case "one of several words":
            return st.sampled_from(re.findall(r'"(\w+)"', doc.allowed))
        case "text" if doc.key == "telemetry.otlp_endpoint":
            return st.sampled_from(["http://127.0.0.1:4318", "https://collector.example/otlp"])
        case "text" if doc.key == "recording.filename_template":
            return st.sampled_from(["{date}", "a {title}, {time}", "検索-{session}"])
        case "text" if doc.key == "alerts.webhook_url":
            return st.sampled_from(["http://localhost:9/x", "https://example.org/hook?a=b"])
        case "list of tables":
            rules = [
                AlertRule(name="a", condition="threads > 9"),
                AlertRule(name="b", condition="threads > 9 for 1m", actions=("page",)),
            ]
            return st.lists(st.sampled_from(rules), max_size=2, unique_by=lambda rule: rule.name)
        case "text":
            return st.text(min_size=1)
        case "list of strings":
            return st.lists(st.text(min_size=1), max_size=3)
        case "list of path patterns":
            return st.lists(st.sampled_from(["/a", "~/b", "**/c", "/d,e:f"]), max_size=3)
        case "list of regular expressions":
            return st.lists(st.sampled_from(["a", "[a-z]{2,3}", "x:y", r"[\[]z"]), max_size=3)
        case _:
            return st.lists(st.sampled_from(["kind=a", "k-2=x[^y]=[$]"]), max_size=3)


def bounds(doc: SettingDoc) -> tuple[int, int]:
    low, *high = map(int, re.findall(r"\d+", doc.allowed))
    return low, high[0] if high else 10**6


wrong_values = anything.filter(lambda value: "None" not in repr(value))


def binds_another(key: str) -> bool:
    return key.endswith(("max_memory_mb", "_pct"))


def uncommented(text: str) -> str:
    return re.sub(r"^#(\w+ = .)", r"\1", text, flags=re.MULTILINE)


def test_the_default_config_changes_nothing_as_it_is(config: Path) -> None:
    loaded = load_text(config, render_default_config())
    assert loaded.settings == Settings()
    assert set(loaded.origins.values()) == {Origin("default")}


def test_the_default_config_with_all_defaults_taken_in_gives_the_defaults(config: Path) -> None:
    text = uncommented(render_default_config())
    loaded = load_text(config, text)
    assert loaded.settings == Settings()
    for key, origin in loaded.origins.items():
        if BY_KEY[key].default is None:
            assert origin == Origin("default")
        else:
            assert origin.line is not None
            assert text.splitlines()[origin.line - 1].startswith(f"{BY_KEY[key].name} = ")


def test_the_default_config_tells_all_there_is_to_know() -> None:
    text = re.sub(r"\n# ", " ", render_default_config())
    for doc in BY_KEY.values():
        assert doc.description in text
        assert doc.allowed in text
        assert doc.unset in text
    lines = render_default_config().splitlines()
    assert max(len(line) for line in lines if not line.startswith("#rules = ")) <= 100


@patient
@given(st.data())
def test_every_right_value_in_the_default_config_is_taken(
    config: Path, data: st.DataObject
) -> None:
    """A person edits the lines of some settings; these change, the others do not."""
    chosen = data.draw(st.sets(keys.filter(lambda key: not binds_another(key))))
    text = render_default_config()
    expected = {}
    for key in chosen:
        doc = BY_KEY[key]
        value = data.draw(right_values(doc))
        head, section, rest = text.partition(f"[{doc.section}]\n")
        before, _, after = rest.partition(f"\n#{doc.name} =")
        after = after.partition("\n")[2]
        text = f"{head}{section}{before}\n{doc.name} = {write_value(value)}\n{after}"
        expected[key] = tuple(value) if isinstance(value, list) else value
    found = {row.key: row.value for row in rows(load_text(config, text))}
    assert found == {doc.key: doc.default for doc in BY_KEY.values()} | expected


@patient
@given(st.dictionaries(keys, wrong_values, min_size=1), st.data())
def test_every_wrong_value_is_told_with_file_line_key_and_value(
    config: Path, wrong: dict[str, Any], data: st.DataObject
) -> None:
    for key, value in wrong.items():
        assume(BY_KEY[key].fault(value) is not None)
        # A wrong rule is told by its number; there is a test of its own below.
        assume(all(fault.place is None for fault in BY_KEY[key].faults(value)))
    noise = st.sampled_from(["", "# daemon.max_memory_mb = 0", "  ", "\t#[daemon]"])
    lines: list[str] = []
    expected = []
    for key, value in wrong.items():
        lines += data.draw(st.lists(noise, max_size=3))
        lines.append(f"{key} = {write_value(value)}")
        shown = write_value(value)
        expected.append(f"config.toml:{len(lines)}: {key} = {shown[:100]}")
    found = problems(config, "\n".join(lines))
    assert len(found) == len(expected)
    for problem, start in zip(found, expected, strict=True):
        assert problem.startswith(start)
        assert "; allowed: " in problem or "leave them out" in problem


@patient
@given(st.dictionaries(keys, st.text(st.characters(exclude_characters="\0")), min_size=1))
def test_every_wrong_variable_is_told_with_name_key_and_value(environ: dict[str, str]) -> None:
    environ = {key: text for key, text in environ.items() if BY_KEY[key].type != "list of strings"}
    assume(environ)
    for key, text in environ.items():
        assume(BY_KEY[key].fault(BY_KEY[key].parse(text)) is not None)
        assume(BY_KEY[key].parse(text) is text)
    found = env_problems({BY_KEY[key].env: text for key, text in environ.items()})
    assert len(found) == len(environ)
    for problem, key in zip(found, sorted(environ, key=lambda key: BY_KEY[key].env), strict=True):
        assert problem.startswith(f"{BY_KEY[key].env}: {key} = {write_value(environ[key])[:100]}")
        assert "\n" not in problem


@patient
@given(st.binary())
def test_any_file_is_either_loaded_or_explained(config: Path, raw: bytes) -> None:
    config.write_bytes(raw)
    try:
        load(config, {})
    except ConfigError as error:
        told = error.problems
    else:
        return
    assert told
    assert all(problem.startswith(str(config)) for problem in told)


# Documents


def test_the_page_about_settings_is_up_to_date() -> None:
    command = "from holdfast.settings import render_docs; print(render_docs(), end='')"
    assert DOCS.read_text(encoding="utf-8") == render_docs(), (
        f'run: .venv/bin/python -c "{command}" > docs/settings.md'
    )


def test_the_json_schema_accepts_and_refuses_what_the_program_does() -> None:
    jsonschema = importlib.import_module("jsonschema")
    schema = json_schema()
    jsonschema.Draft202012Validator.check_schema(schema)
    check = jsonschema.Draft202012Validator(schema).is_valid
    assert check({})
    assert check(msgspec.json.decode(msgspec.json.encode(Settings())))
    assert check(tomllib.loads(uncommented(render_default_config())))
    assert not check({"deamon": {}})
    assert not check({"daemon": {"max_memory": 1}})
    assert not check({"daemon": {"max_memory_mb": 0}})
    assert not check({"daemon": {"max_memory_mb": True}})
    assert not check({"snapshots": {"oversized": "drop"}})
    assert not check({"sources": {"claude": {"roots": [""]}}})


def test_the_json_schema_describes_every_setting() -> None:
    schema = json_schema()
    found = {
        name: field["description"]
        for key, table in schema["$defs"].items()
        if key != "AlertRule"  # one of a list, not a section
        for name, field in table["properties"].items()
    }
    assert {doc.name: doc.description for doc in BY_KEY.values()}.items() <= found.items()
    assert all(table["additionalProperties"] is False for table in schema["$defs"].values())


def test_importing_settings_leaves_the_parsers_out() -> None:
    """The daemon imports this for good; a default configuration needs none of them."""
    program = (
        "import sys, msgspec; before = set(sys.modules); import holdfast.settings as s;"
        "s.load(None, {}); print(*sorted(set(sys.modules) - before))"
    )
    ran = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )
    new = {name.partition(".")[0] for name in ran.stdout.split()}
    assert new.isdisjoint({"tomllib", "difflib", "json", "textwrap", "pathlib", "dataclasses"})


def test_a_section_may_be_built_by_itself() -> None:
    """Other rooms take their section as it is, and tests make one with what matters to them."""
    assert Journal(readers=3).audit_max_rows == 100_000
    with pytest.raises(AttributeError):
        Journal().readers = 3  # type: ignore[misc] # settings do not change


@pytest.mark.parametrize(
    "template", ["", "plain", "{nothing}", "{title", "a/{title}", "{title}\n", "{{title}}", 7]
)
def test_a_template_for_names_that_is_none_is_refused_with_what_may_stand_in_it(
    config: Path, template: object
) -> None:
    text = f"[recording]\nfilename_template = {write_value(template)}\n"
    with pytest.raises(ConfigError, match=r"recording\.filename_template = .*\{session\}"):
        load_text(config, text)


INLINE_RULES = """[alerts]
repeat_secs = 60
rules = [
  { name = "a", condition = "threads > 1" },
  { name = "b", condition = "threads >" },
  { name = "a", condition = "threads > 1", severity = "dire" },
]
"""
TABLE_RULES = """[[alerts.rules]]
name = "a"
condition = "threads > 1"

[[alerts.rules]]
name = "b"
condition = "threads >"

[[alerts.rules]]
name = "a"
severity = "dire"
condition = "threads > 1"
"""


@pytest.mark.parametrize(("text", "second", "third"), [(INLINE_RULES, 5, 6), (TABLE_RULES, 5, 9)])
def test_every_wrong_alert_rule_is_told_with_its_own_line(
    tmp_path: Path, text: str, second: int, third: int
) -> None:
    file = tmp_path / "config.toml"
    file.write_text(text)
    with pytest.raises(ConfigError) as caught:
        load(file, {})
    told = [problem.removeprefix(f"{file}:") for problem in caught.value.problems]
    assert [problem.partition(" has")[0].partition(" is")[0] for problem in told] == [
        f"{second}: alerts.rules: rule 2",
        f"{third}: alerts.rules: rule 3",
        f"{third}: alerts.rules: rule 3",
    ]
    assert "lacks a number" in told[0]
    assert any("dire" in problem or "severity" in problem for problem in told[1:])
    assert any("name 'a' of one before it" in problem for problem in told[1:])
