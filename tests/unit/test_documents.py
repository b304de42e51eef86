"""What the documents name is there: files, headings, settings, names in the code, commands and their options.

Those commands that can be run here are run by ``tests/live/test_documents.py``.
"""

from __future__ import annotations

import importlib
import re
import shlex
import subprocess
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import botocore.session
import pytest
import yaml
from botocore import xform_name
from typer.main import get_command

from gas.cli import build_app
from gas.settings import Settings
from tests.compose.configured import compose

CHECKOUT = Path(__file__).parents[2]
DOCUMENTS = [*sorted(CHECKOUT.glob("*.md")), *sorted((CHECKOUT / "docs").glob("*.md"))]
SERVICES = yaml.safe_load((CHECKOUT / "docker-compose.yaml").read_text())["services"]
FOLDERS = {path.name for path in CHECKOUT.iterdir() if path.is_dir() and not path.name.startswith(".")} | {"gas"}
#: Variables that other programs than the server read: the ``gas`` command, and the script of a machine at AWS.
OTHERS = {"GAS_SERVER", "GAS_TOKEN", "GAS_RELEASE"}
#: Commands of Compose that take one service and a command for it, and those that take services.
IN_ONE, OF_MANY = {"run", "exec"}, {"up", "ps", "logs", "stop", "build", "down", "restart"}
FENCED = re.compile(r"^```\w*\n(.*?)^```$", re.MULTILINE | re.DOTALL)


def said(pattern: str) -> Iterator[tuple[str, str]]:
    """What stands between back-quotes in the documents and fits, each with its document's name."""
    for document in DOCUMENTS:
        for text in re.findall(r"(?<!`)`([^`]+)`(?!`)", FENCED.sub("", document.read_text())):
            if re.fullmatch(pattern, " ".join(text.split())):
                yield document.name, " ".join(text.split())


def commands(program: str) -> Iterator[tuple[str, list[str]]]:
    """The words of each command of a program, in blocks and in sentences, with its document's name."""
    for document in DOCUMENTS:
        for block in FENCED.findall(document.read_text()):
            for line in block.replace("\\\n", " ").splitlines():
                if line.startswith(f"{program} "):
                    yield document.name, shlex.split(line, comments=True)
    for name, text in said(rf"{program} .+"):
        yield name, shlex.split(text)


def without_redirection(words: list[str]) -> list[str]:
    """A command as the program sees it."""
    return [word for word in words if word[:1] not in "<>|"]


def test_files_are_there() -> None:
    """Each path of the checkout that a sentence names."""
    named = [(name, path) for name, path in said(r"(?:[\w.-]+/)+[\w.-]*") if path.split("/")[0] in FOLDERS]
    assert len(named) > 12
    assert [(name, path) for name, path in named if not (CHECKOUT / path).exists()] == []


def test_links_lead_somewhere() -> None:
    """Each link to a file, and to a heading in it."""
    lost = []
    for document in DOCUMENTS:
        for path, heading in re.findall(r"\]\((?!https?:)([^)#\s]*)(?:#([^)]*))?\)", document.read_text()):
            file = document.parent / path if path else document
            if not file.exists():
                lost.append((document.name, path))
            elif heading:
                headings = re.findall(r"^#+ (.*)$", file.read_text(), re.MULTILINE)
                anchors = {re.sub(r"[^\w\- ]", "", text.lower()).strip().replace(" ", "-") for text in headings}
                lost += [(document.name, heading)] if heading not in anchors else []
    assert lost == []


def test_architecture_shows_every_workflow() -> None:
    """Each file of ``dags`` is in the one diagram of the README."""
    (diagram,) = re.findall(r"^```mermaid\n(.*?)^```$", (CHECKOUT / "README.md").read_text(), re.MULTILINE | re.DOTALL)
    drawn = set(re.findall(r"\w+", diagram))
    assert {path.stem for path in (CHECKOUT / "dags").glob("*.py")} - drawn == set()


def test_every_picture_is_shown() -> None:
    """The README shows each page of which the browser tests take a picture."""
    shown = set(re.findall(r"\(docs/pictures/(\S+)\)", (CHECKOUT / "README.md").read_text()))
    assert shown == {path.name for path in (CHECKOUT / "docs" / "pictures").iterdir()}


def test_names_in_the_code_are_there() -> None:
    """Each ``gas.module.name`` that a sentence names can be imported."""
    hosts = {"gas.example.org"}
    named = [(name, dotted) for name, dotted in said(r"(?:gas|webui)(?:\.\w+)+") if dotted not in hosts]
    assert len(named) > 8
    for document, dotted in named:
        parts = dotted.split(".")
        for length in range(len(parts), 0, -1):
            try:
                found: object = importlib.import_module(".".join(parts[:length]))
                break
            except ModuleNotFoundError:
                continue
        for part in parts[length:]:
            assert hasattr(found, part), f"{document}: {dotted}"
            found = getattr(found, part)


def test_settings_are_read() -> None:
    """Each variable of GAS's that a document names is one that something reads, and so is each of ``.env.example``."""
    read = {field.validation_alias or f"GAS_{name.upper()}" for name, field in Settings.model_fields.items()}
    compose_file = (CHECKOUT / "docker-compose.yaml").read_text()
    read |= {*re.findall(r"\$\{([A-Z_0-9]+)", compose_file), *re.findall(r"^ +([A-Z_0-9]+):$", compose_file, re.M)}
    local = {"GAS_PORT", "GAS_STATE"}
    explained = set(re.findall(r"^# ?([A-Z_0-9]+)=", (CHECKOUT / ".env.example").read_text(), re.MULTILINE))
    assert explained - read - local == set()
    for document in DOCUMENTS:
        named = set(re.findall(r"\bGAS_[A-Z_0-9]+\b", document.read_text()))
        assert named - read - local - OTHERS == set(), document.name


def test_commands_of_gas_have_the_options_that_are_named() -> None:
    """Also those that a sentence names, which nobody runs."""
    named = list(commands("gas"))
    assert len(named) > 60
    for document, words in named:
        check_gas(document, words[1:])


@cache
def whole_command() -> Any:
    """The ``gas`` command."""
    return get_command(build_app())


def check_gas(document: str, words: list[str]) -> None:
    """A command of GAS's exists, and has the options that are given."""
    command: Any = whole_command()
    for word in without_redirection(words):
        if word in getattr(command, "commands", ()):
            command = command.commands[word]
        elif word.startswith("--") and word != "--help":
            options = {option for param in command.params for option in (*param.opts, *param.secondary_opts)}
            assert word.partition("=")[0] in options, f"{document}: gas {' '.join(words)}: {word}"
    assert command is not whole_command() or words[0] in ("--help", "--install-completion"), (
        f"{document}: gas {' '.join(words)}"
    )


@cache
def compose_options(command: str) -> str:
    """What Compose says of a command's options."""
    program = compose()
    if program is None:
        pytest.skip("there is no docker compose here")
    return subprocess.run([*program, command, "--help"], capture_output=True, text=True, check=True, timeout=60).stdout


def test_commands_of_compose_name_services_and_options_that_there_are() -> None:
    """And what they run in a container of GAS's is a command of GAS's or Airflow's; there is no engine to run them."""
    named = list(commands("docker"))
    assert len(named) > 20
    for document, words in named:
        told = f"{document}: {' '.join(words)}"
        docker, plural, *rest = without_redirection(words)
        assert (docker, plural) == ("docker", "compose"), told
        while rest[0] == "--env-file":
            assert rest[1] == ".env" or (CHECKOUT / rest[1]).exists(), told
            del rest[:2]
        command, *rest = rest
        assert command in IN_ONE | OF_MANY, told
        options, entrypoint = compose_options(command), "gas"
        while rest and rest[0].startswith("-"):
            option = rest.pop(0)
            assert re.search(rf"(?<![\w-]){re.escape(option)}(?![\w-])", options), f"{told}: {option}"
            if option == "--entrypoint":
                entrypoint = rest.pop(0)
            elif option in ("--tail", "--scale"):
                scaled = rest.pop(0).split("=")[0]
                assert option == "--tail" or scaled in SERVICES, told
        if command in OF_MANY:
            assert set(rest) <= set(SERVICES), told
            continue
        service, *inner = rest
        assert service in SERVICES, told
        if command == "run" and entrypoint == "gas":
            check_gas(document, inner)
        elif inner[0] == "gas":
            check_gas(document, inner[1:])
        else:
            assert entrypoint == "airflow" or inner[0] in ("pg_dump", "pg_restore"), told


def test_commands_of_aws_are_calls_that_aws_has() -> None:
    """Each service, operation and parameter; what they do to tables is tried in ``tests/aws/test_backups.py``."""
    session = botocore.session.get_session()
    named = list(commands("aws"))
    assert len(named) > 5
    for document, (_, service, operation, *rest) in named:
        told = f"{document}: aws {service} {operation}"
        model = session.get_service_model(service)
        if operation == "wait":
            waiters = session.get_waiter_model(service).waiter_names
            assert rest.pop(0) in {xform_name(name, "-") for name in waiters}, told
            continue
        shapes = {xform_name(name, "-"): model.operation_model(name).input_shape for name in model.operation_names}
        assert operation in shapes, told
        known = {"--" + xform_name(name, "-") for name in shapes[operation].members}
        assert {word for word in rest if word.startswith("--")} <= known, told
