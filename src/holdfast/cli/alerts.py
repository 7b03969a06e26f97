"""`alerts`: what is watched, what fires, whether anybody would be told, and silence."""

from __future__ import annotations

import argparse
import re
from typing import Any, Final

from holdfast.cli.context import Context
from holdfast.cli.output import bold, put, put_json, say, size, span, table
from holdfast.cli.parsing import Commands, add_command, add_json
from holdfast.errors import Exit

SILENCE_S: Final = 3_600
TELLING: Final = frozenset({"page", "webhook", "command"})
_SPANS_S: Final = {"m": 60, "h": 3_600, "d": 86_400, "w": 604_800}


def add_commands(commands: Commands) -> None:
    alerts = add_command(
        commands,
        "alerts",
        run_alerts,
        "what is watched, what fires, and who is told",
        "Rules are set in the config under [alerts]; docs/alerts.md explains them. Without an\n"
        "action all rules are listed.",
    )
    add_json(alerts)
    actions = alerts.add_subparsers(title="actions", metavar="ACTION")
    test = add_command(
        actions,
        "test",
        run_test,
        "send a page, marked as a test, to whoever a rule tells",
        "Without a NAME it tries every rule that tells somebody.",
    )
    test.add_argument("name", metavar="NAME", nargs="?")
    add_json(test)
    silence = add_command(
        actions,
        "silence",
        run_silence,
        "tell nobody of a rule for a while; it is still watched and shown",
    )
    silence.add_argument("name", metavar="NAME")
    silence.add_argument(
        "--for",
        dest="seconds",
        type=seconds,
        default=SILENCE_S,
        metavar="SPAN",
        help="30m, 12h, 7d or 2w (default 1h)",
    )
    add_json(silence)
    unsilence = add_command(actions, "unsilence", run_unsilence, "end the silence of a rule")
    unsilence.add_argument("name", metavar="NAME")
    add_json(unsilence)


def seconds(text: str) -> int:
    found = re.fullmatch(r"(\d+)([mhdw])", text)
    if found is None:
        raise argparse.ArgumentTypeError(f"{text!r} is no span: write 30m, 12h, 7d or 2w")
    return int(found[1]) * _SPANS_S[found[2]]


def run_alerts(context: Context, arguments: argparse.Namespace) -> int:
    _show(context.client.get("/v1/alerts"), as_json=arguments.json)
    return Exit.OK


def run_silence(context: Context, arguments: argparse.Namespace) -> int:
    answer = _silence(context, arguments.name, arguments.seconds)
    if arguments.json:
        put_json(answer)
    else:
        say(f"Nobody is told of {arguments.name} for {span(arguments.seconds)}.")
    return Exit.OK


def run_unsilence(context: Context, arguments: argparse.Namespace) -> int:
    answer = _silence(context, arguments.name, 0)
    if arguments.json:
        put_json(answer)
    else:
        say(f"{arguments.name} is told again.")
    return Exit.OK


def run_test(context: Context, arguments: argparse.Namespace) -> int:
    """Every rule that tells somebody, or one; a rule that is not there is refused."""
    listed = context.client.get("/v1/alerts")
    names = [each["name"] for each in listed["rules"] if TELLING & set(each["actions"])]
    tried: list[dict[str, Any]] = []
    for name in names if arguments.name is None else [arguments.name]:
        if not arguments.json:
            say(f"Telling of {name} …")
        tried.append(context.client.post(f"/v1/alerts/{name}/test"))
    if arguments.json:
        put_json(tried)
    else:
        _say_tried(tried, listed)
    return Exit.OK if all(each["told"] for each in tried) and tried else Exit.FAILURE


def _say_tried(tried: list[dict[str, Any]], listed: dict[str, Any]) -> None:
    if not tried:
        say("No rule tells anybody: give one the action `page` (docs/alerts.md).")
    for each in tried:
        told = f"told by {' and '.join(each['told'])}" if each["told"] else "nobody was told"
        why = each["problem"] or ("" if each["told"] else _why_nobody(each["alert"], listed))
        say(f"{each['alert']}: {told}{': ' + why if why else ''}.")


def _why_nobody(name: str, listed: dict[str, Any]) -> str:
    (rule,) = (each for each in listed["rules"] if each["name"] == name)
    if not TELLING & set(rule["actions"]):
        return "it has none of the actions page, webhook, command"
    return "set alerts.webhook_url or alerts.command"


def _silence(context: Context, name: str, for_s: int) -> Any:
    return context.client.post(f"/v1/alerts/{name}/silence", seconds=for_s)


def _show(listed: dict[str, Any], *, as_json: bool) -> None:
    if as_json:
        put_json(listed)
        return
    if not listed["rules"]:
        say("No rules: alerts.rules is empty.")
        return
    rows = [
        (
            each["state"],
            each["severity"],
            each["name"],
            each["condition"],
            _values(each["values"]),
            span(each["for_s"]) if each["state"] != "quiet" else "-",
            span(each["silenced_s"]) if each["silenced_s"] else "-",
            ", ".join(each["actions"]),
        )
        for each in listed["rules"]
    ]
    head = ("STATE", "SEVERITY", "NAME", "CONDITION", "NOW", "FOR", "SILENT FOR", "ACTIONS")
    put(table(head, rows))
    for line in _remarks(listed):
        put(line)


def _remarks(listed: dict[str, Any]) -> list[str]:
    lines = []
    wants = [each["name"] for each in listed["rules"] if "page" in each["actions"]]
    if wants and not listed["pages_by"]:
        lines.append(
            f"Pages of {', '.join(wants)} go nowhere: set alerts.webhook_url or alerts.command."
        )
    if listed["throttles"]:
        lines.append("Costly requests are throttled, as a rule that fires asks.")
    if listed["restart_recommended"]:
        names = ", ".join(listed["restart_recommended"])
        lines.append(f"{bold('A restart is recommended')} by {names}: `holdfast restart`.")
    if listed["problem"]:
        lines.append(f"Not told: {listed['problem']}")
    return ["", *lines] if lines else []


def _values(values: dict[str, float | None]) -> str:
    return ", ".join(_value(name, value) for name, value in values.items())


def _value(name: str, value: float | None) -> str:
    if value is None:
        return "unknown"
    if name.endswith("_bytes"):
        return size(value)
    if name.endswith("_pct"):
        return f"{value:.1f} %"
    return span(value) if name.endswith("_secs") else f"{value:,.0f}"
