"""Completion scripts know every command, and shells accept them."""

from __future__ import annotations

import shutil
import subprocess

import pytest

from holdfast.cli.main import run
from tests.cli.test_main import COMMANDS


def script(shell: str, capsys: pytest.CaptureFixture[str]) -> str:
    assert run(["completion", shell]) == 0
    return capsys.readouterr().out


@pytest.mark.parametrize("shell", ["bash", "zsh", "tcsh"])
def test_a_script_names_every_command(shell: str, capsys: pytest.CaptureFixture[str]) -> None:
    text = script(shell, capsys)
    for name in COMMANDS:
        assert name[-1] in text


def test_bash_completes_commands_and_options(capsys: pytest.CaptureFixture[str]) -> None:
    bash = shutil.which("bash")
    if bash is None:
        pytest.skip("no bash here")
    text = script("bash", capsys)
    ask = (
        "COMP_WORDS=(holdfast {words}); COMP_CWORD={last}; _shtab_holdfast; "
        'printf "%s\\n" "${{COMPREPLY[@]}}"'
    )
    for words, found in (("se", "search"), ("export --for", "--format"), ("config i", "init")):
        asked = ask.format(words=words, last=len(words.split()))
        done = subprocess.run(
            [bash, "-c", f"{text}\n{asked}"], capture_output=True, text=True, check=True
        )
        assert found in done.stdout.split(), words
