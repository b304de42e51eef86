"""What all commands of ``gas`` have in common."""

from __future__ import annotations

from collections.abc import Iterator

import click
import pytest
import typer
from typer.testing import CliRunner

from gas.cli import build_app

#: Those that talk with a person and have nothing to tell a program.
FOR_PEOPLE = {"demo"}
#: Those that print nothing but JSON.
FOR_PROGRAMS = {"iam"}


def commands(group: click.Command, path: str = "") -> Iterator[tuple[str, click.Command]]:
    """Every command by what is typed for it."""
    subcommands = getattr(group, "commands", None)
    if subcommands is None:
        yield path, group
        return
    for name, command in subcommands.items():
        yield from commands(command, f"{path} {name}".strip())


def test_every_command_speaks_to_programs() -> None:
    """Each command can print one JSON document."""
    every = dict(commands(typer.main.get_command(build_app())))
    mute = {path for path, command in every.items() if not any("--json" in one.opts for one in command.params)}
    assert len(every) > 30
    assert mute == FOR_PEOPLE | FOR_PROGRAMS


def test_help_tells_the_exit_codes_and_offers_completion() -> None:
    """``gas --help`` says what each exit code means, and how a shell learns to complete commands."""
    told = " ".join(CliRunner().invoke(build_app(), ["--help"]).stdout.split())
    for word in ("0 done", "2 bad input", "3 not signed in", "6 a job that was waited for", "--install-completion"):
        assert word in told


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_completion_is_printed_for_each_shell(shell: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """The script that a shell is to source names the command."""
    monkeypatch.setenv("_GAS_COMPLETE", f"source_{shell}")
    script = CliRunner().invoke(build_app(), [], prog_name="gas").stdout
    assert f"_GAS_COMPLETE=complete_{shell}" in script
    assert "Usage" not in script


def test_completion_offers_commands_and_options(monkeypatch: pytest.MonkeyPatch) -> None:
    """What the printed script asks for as a person presses Tab: the commands that begin so, and a command's options."""

    def offered(words: str, at: int) -> set[str]:
        monkeypatch.setenv("_GAS_COMPLETE", "complete_bash")
        monkeypatch.setenv("COMP_WORDS", words)
        monkeypatch.setenv("COMP_CWORD", str(at))
        return set(CliRunner().invoke(build_app(), [], prog_name="gas").stdout.split())

    assert offered("gas log", 1) == {"log", "login", "logout"}
    assert offered("gas token ", 2) >= {"create", "revoke"}
    assert offered("gas logout --ev", 2) == {"--everywhere"}
