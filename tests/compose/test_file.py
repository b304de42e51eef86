"""``docker-compose.yaml``: as the specification, Compose and GAS itself read it."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from gas.settings import Settings
from tests.compose.configured import CHECKOUT, DEV, FILE, PROGRAMS, compose, configured, model, secrets

PEOPLE_CHOOSE = {
    "GAS_WEB_URL": "https://gas.example.org",
    "GAS_AIRFLOW_PUBLIC_URL": "https://airflow.gas.example.org",
    "GAS_GLOBUS_CLIENT_ID": "3f0f8b52-6d7c-4b1e-9d0c-5f3f5a1c2b4d",
    "GAS_GLOBUS_CLIENT_SECRET": "theirs",
}
STAND_INS = {"aws", "globus", "references"}
SHARED_STATE = {"postgres", "redis"}


def conforms(file: Path) -> subprocess.CompletedProcess[str]:
    """What the specification's own JSON schema says of a file."""
    command = [PROGRAMS / "check-jsonschema", "--builtin-schema", "vendor.compose-spec", file]
    return subprocess.run(command, capture_output=True, text=True, timeout=120)


@pytest.fixture
def as_configured(tmp_path: Path) -> dict[str, Any]:
    """The file as Compose reads it in production, or the test is skipped and says why."""
    if compose() is None:
        pytest.skip("there is no docker compose here: the file was not read by it")
    return model({**secrets(), **PEOPLE_CHOOSE}, folder=tmp_path, dev=False)


def test_file_conforms_to_the_specification(tmp_path: Path) -> None:
    """The compose-spec's schema accepts the file, and refuses one with a service's key misspelled."""
    assert conforms(FILE).returncode == 0, conforms(FILE).stdout
    misspelled = tmp_path / "docker-compose.yaml"
    misspelled.write_text(FILE.read_text().replace("    depends_on:", "    depend_on:", 1))
    assert conforms(misspelled).returncode == 1


def test_compose_reads_the_file(as_configured: dict[str, Any]) -> None:
    """``docker compose config`` accepts it with what secrets.sh prints and what .env.example says must be set."""
    services = as_configured["services"]
    assert not STAND_INS & set(services)
    assert {name for name, service in services.items() if service.get("ports")} == {"proxy"}


@pytest.mark.parametrize("missing", [*secrets(), *PEOPLE_CHOOSE])
def test_nothing_starts_without_a_secret(tmp_path: Path, missing: str) -> None:
    """Compose refuses to start anything while one of these is not set, and names it."""
    if compose() is None:
        pytest.skip("there is no docker compose here")
    variables = {name: value for name, value in {**secrets(), **PEOPLE_CHOOSE}.items() if name != missing}
    done = configured(variables, folder=tmp_path, dev=False)
    assert done.returncode != 0
    assert missing in done.stderr


def test_what_must_not_fail_alone_is_there_twice(as_configured: dict[str, Any]) -> None:
    """Two schedulers, triggerers and workers; everything that runs on is watched and started again."""
    services = as_configured["services"]
    pairs = {name for name, service in services.items() if service.get("deploy", {}).get("replicas") == 2}
    assert pairs == {"scheduler", "triggerer", "worker"}
    for name, service in services.items():
        assert ("healthcheck" in service) == (service["restart"] == "unless-stopped"), name


def test_containers_of_gas_may_do_little(as_configured: dict[str, Any]) -> None:
    """Not root, a read-only root folder, no capability, and every image of a fixed version."""
    assert re.search(r"^USER 10001:10001$", (CHECKOUT / "Dockerfile").read_text(), flags=re.MULTILINE)
    for name, service in as_configured["services"].items():
        if name in SHARED_STATE:
            assert set(service["networks"]) == {"data"}, name
        else:
            assert service["read_only"], name
            assert service["cap_drop"] == ["ALL"], name
            assert service["security_opt"] == ["no-new-privileges:true"], name
        if "build" not in service:
            assert re.fullmatch(r"[a-z]+:\d+\.\d+\.\d+(-\w+)?|postgres:\d+\.\d+-\w+", service["image"]), name


def test_image_is_made_of_fixed_versions() -> None:
    """Python and uv are named with all of their numbers, uv as in the Makefile; what is copied is not left out."""
    dockerfile = (CHECKOUT / "Dockerfile").read_text()
    python = re.findall(r"^ARG PYTHON=(\d+\.\d+\.\d+)$", dockerfile, flags=re.MULTILINE)
    assert len(python) == 1
    assert set(re.findall(r"^FROM (\S+)", dockerfile, flags=re.MULTILINE)) == {"python:${PYTHON}-slim-trixie"}
    uv = re.findall(r"^UV_VERSION := (\S+)$", (CHECKOUT / "Makefile").read_text(), flags=re.MULTILINE)
    assert re.findall(r"pip install .* uv==(\S+)", dockerfile) == uv
    copied = {
        name.removeprefix("./")
        for names in re.findall(r"^COPY (?!--from)(.*) \S+$", dockerfile, flags=re.MULTILINE)
        for name in names.split()
    }
    kept = {line[1:] for line in (CHECKOUT / ".dockerignore").read_text().splitlines() if line.startswith("!")}
    assert copied == kept
    assert all((CHECKOUT / name).exists() for name in copied)


def test_workers_can_be_many(as_configured: dict[str, Any]) -> None:
    """Nothing of a service that is there twice, such as a name or a port of the machine, is for one container alone."""
    for name, service in as_configured["services"].items():
        assert "container_name" not in service, name
        if "deploy" in service:
            assert not {"ports", "hostname", "network_mode"} & set(service), name
            assert "$HOSTNAME" in " ".join(service["command"]) or name != "worker"


def test_everything_goes_out_by_the_proxy(as_configured: dict[str, Any]) -> None:
    """HTTPS_PROXY reaches each of GAS's containers, and no address of one is https, which would go that way."""
    for name, service in as_configured["services"].items():
        environment = service.get("environment") or {}
        if "build" in service:
            assert {"HTTPS_PROXY", "NO_PROXY"} <= set(environment), name
        inside = re.compile(rf"https://({'|'.join(as_configured['services'])})(:|/|$)")
        assert [value for value in environment.values() if inside.match(value or "")] == [], name


def test_secrets_reach_only_who_needs_them(as_configured: dict[str, Any]) -> None:
    """The web app's key stays with the web app, Airflow's with Airflow, the client secret of Globus with both doors."""

    def who(name: str) -> set[str]:
        return {
            service
            for service, spec in as_configured["services"].items()
            if (spec.get("environment") or {}).get(name) is not None
        }

    airflow = {"airflow-api", "scheduler", "dag-processor", "triggerer", "worker"}
    operators = {"migrate", "gas"}
    assert who("GAS_WEB_SECRET_KEY") == {"web"}
    assert who("GAS_GLOBUS_CLIENT_SECRET") == {"web", "airflow-api"}
    assert who("AIRFLOW__API_AUTH__JWT_SECRET") == airflow | operators
    assert who("GAS_WEB_DATABASE_URL") == {"web"} | operators


def test_every_setting_is_handed_on_and_explained() -> None:
    """Each variable that the file takes is in .env.example, or printed by secrets.sh, or AWS's own."""
    text = FILE.read_text()
    taken = set(re.findall(r"\$\{([A-Z_0-9]+)", text)) | set(re.findall(r"^ +([A-Z_0-9]+):$", text, flags=re.MULTILINE))
    taken = {name for name in taken if not name.startswith("AWS_")} - set(secrets())
    explained = set(re.findall(r"^# ?([A-Z_0-9]+)=", (CHECKOUT / ".env.example").read_text(), flags=re.MULTILINE))
    assert taken - explained == set()


def test_every_setting_of_the_program_can_be_set() -> None:
    """What GAS reads from the environment, the file hands to at least one of its containers."""
    handed = set()
    for service in yaml.safe_load(FILE.read_text())["services"].values():
        if "build" in service and "dev" not in service.get("profiles", ()):
            handed |= set(service.get("environment") or ())
    wanted = {field.validation_alias or f"GAS_{name.upper()}" for name, field in Settings.model_fields.items()}
    assert wanted - handed == {"GAS_AWS_CONN_ID"}  # the file makes that connection


def test_stand_ins_take_what_the_development_file_says() -> None:
    """Each line of deploy/dev.env is a variable that docker-compose.yaml or Compose itself takes."""
    names = {line.partition("=")[0] for line in DEV.read_text().splitlines() if line and not line.startswith("#")}
    text = FILE.read_text()
    assert {name for name in names if not re.search(rf"\b{name}\b", text)} == {"COMPOSE_PROFILES"}
