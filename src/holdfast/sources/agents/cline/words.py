"""Whose words are whose in Cline's messages, and which tools are asked in the text itself.

Everything that goes to the model is text with elements: what the person typed stands in `<task>`
or `<feedback>`, the state of the editor around it, and a tool that was asked is an element behind
the agent's words. Elements are looked for by hand, from the left and once each: a pattern would
look for each closing tag from every opening one.
"""

from __future__ import annotations

import re
from typing import Final

import msgspec
from msgspec import Raw

TYPED: Final = ("task", "feedback", "answer", "user_message", "user_input", "user_command")
SURROUNDINGS: Final = ("environment_details", "mode_notice", "file_content", "workspace_context")
# What the agent says by asking a tool for it, and where the words stand.
SPOKEN: Final = {
    "attempt_completion": "result",
    "plan_mode_respond": "response",
    "act_mode_respond": "response",
}
QUESTION: Final = "ask_followup_question"
TOOLS: Final = (
    "access_mcp_resource",
    "apply_diff",
    "apply_patch",
    "browser_action",
    "condense",
    "execute_command",
    "fetch_instructions",
    "focus_chain",
    "generate_explanation",
    "insert_content",
    "list_code_definition_names",
    "list_files",
    "load_mcp_documentation",
    "new_rule",
    "new_task",
    "read_file",
    "replace_in_file",
    "report_bug",
    "search_and_replace",
    "search_files",
    "summarize_task",
    "switch_mode",
    "update_todo_list",
    "use_mcp_tool",
    "use_skill",
    "use_subagents",
    "web_fetch",
    "web_search",
    "write_to_file",
    *SPOKEN,
    QUESTION,
)
FILES: Final = frozenset({"content", "diff"})
PARAMETERS_MAX: Final = 64

_TYPED: Final = re.compile(f"<({'|'.join(TYPED)})(?: [^<>]{{0,200}})?>")
_AROUND: Final = re.compile(f"<({'|'.join(SURROUNDINGS)})(?: [^<>]{{0,400}})?>")
_TOOL: Final = re.compile(f"<({'|'.join(TOOLS)})>")
_PARAMETER: Final = re.compile(r"<([a-z_]{1,40})>")
_RESULT: Final = re.compile(r"\[([a-z_]{1,60})(?: for [^\n]{0,4000})?\] Result:[ \n]*")
_CWD: Final = re.compile(r"# Current (?:Working|Workspace) Directory \((/[^\n]{0,4000})\) Files")
_THINKING: Final = re.compile(r"</?thinking>")
_PROGRAM_BEGINS: Final = ("[TASK RESUMPTION]", "[ERROR]", "<explicit_instructions", "<notice>")


def cut_out(text: str, opening: re.Pattern[str]) -> tuple[list[str], str]:
    """What stands in the elements of some names, and what is left around them."""
    if opening.search(text) is None:
        return [], text
    inside: list[str] = []
    around: list[str] = []
    unclosed: set[str] = set()
    position = start = 0
    while (found := opening.search(text, position)) is not None:
        name, position = found[1], found.end()
        end = -1 if name in unclosed else text.find(f"</{name}>", position)
        if end < 0:  # somebody only talks about it
            unclosed.add(name)
            continue
        inside.append(text[position:end].strip())
        around.append(text[start : found.start()])
        position = start = end + len(name) + 3
    return inside, "".join([*around, text[start:]])


def own_words(text: str) -> str:
    """What the person typed; "" when the program alone speaks."""
    around = cut_out(text, _AROUND)[1]
    typed, rest = cut_out(around, _TYPED)
    if typed:
        return "\n".join(filter(None, typed))
    rest = rest.strip()
    return "" if rest.startswith(_PROGRAM_BEGINS) else rest


def result_of(text: str) -> tuple[str, str] | None:
    """The tool whose result a text begins, and what follows."""
    found = _RESULT.match(text)
    return (found[1], text[found.end() :]) if found else None


def working_folder(text: str) -> str:
    found = _CWD.search(text)
    return found[1] if found else ""


def asked_in(text: str) -> tuple[str, str, Raw]:
    """The agent's words, and the tool that it asks behind them with its parameters."""
    found = _TOOL.search(text)
    if found is None:
        return _said(text), "", Raw(b"{}")
    name = found[1]
    end = text.rfind(f"</{name}>")
    inside = text[found.end() : end if end >= 0 else len(text)]
    return _said(text[: found.start()]), name, Raw(msgspec.json.encode(_parameters(inside)))


def _said(text: str) -> str:
    return _THINKING.sub("", text).strip() if "thinking>" in text else text.strip()


def _parameters(inside: str) -> dict[str, str]:
    """Each goes to where it is closed; a file, which may hold tags, to the last such place."""
    found: dict[str, str] = {}
    position = 0
    while len(found) < PARAMETERS_MAX:
        opening = _PARAMETER.search(inside, position)
        if opening is None:
            break
        name, start = opening[1], opening.end()
        look = inside.rfind if name in FILES else inside.find
        end = look(f"</{name}>", start)
        if end < 0:  # it was cut off
            found.setdefault(name, inside[start:].strip("\n"))
            break
        found[name] = inside[start:end].strip("\n")
        position = end + len(name) + 3
    return found
