"""Schemathesis calls everything in the API's own description: no answer is a 500, each is one that is described."""

from __future__ import annotations

import json
import traceback
from collections.abc import Callable, Iterable
from http import HTTPStatus
from typing import Any

import pytest
import schemathesis
from flask import Flask
from hypothesis import HealthCheck, Phase, given, seed, settings
from hypothesis.errors import Unsatisfiable
from schemathesis.checks import not_a_server_error
from schemathesis.core.errors import SerializationNotPossible
from schemathesis.core.failures import FailureGroup
from schemathesis.generation import GenerationMode
from schemathesis.specs.openapi import checks

from gas.services import Services
from tests.webui.conftest import ALICE, WEB_URL, Browser, Jobs
from webui import share_links, tokens

#: Calls of each operation as it is described, and as it is not.
EXAMPLES = 4
#: Calls of each with ids that name nothing.
NAMELESS = 2
CHECKS = [
    not_a_server_error,
    checks.status_code_conformance,
    checks.content_type_conformance,
    checks.response_headers_conformance,
    checks.response_schema_conformance,
]
#: Operations that would take the caller's own authority away; the route table calls them.
LEFT_OUT = {"DELETE /api/v1/token"}
#: Operations that no made-up value satisfies; tests of their own do.
REFUSED = {
    "DELETE /api/v1/tokens/{token_id}",
    "POST /api/v1/annotate",
    "POST /api/v1/notices/secret",
    "POST /api/v1/token",
    "PUT /api/v1/notices",
}


@pytest.fixture
def token(app: Flask, alice: Browser) -> str:
    """A token of Alice's for everything that a program may do."""
    with app.app_context():
        session, manager = app.appbuilder.session, app.appbuilder.sm
        asked = tokens.login_request(
            redirect_uri="http://127.0.0.1:5000/callback",
            state="12345678",
            code_challenge=tokens._s256("v" * 43),
            code_challenge_method="S256",
            client_name="schemathesis",
        )
        code = tokens.new_code(session, user=manager.find_user(username=ALICE), asked=asked)
        token = tokens.exchange(session, code=code, code_verifier="v" * 43, redirect_uri=asked.redirect_uri)
        session.remove()
    return token


@pytest.fixture
def there(app: Flask, jobs: Jobs, services: Services) -> Callable[[str], dict[str, Any]]:
    """What the paths of an operation can name: a job made for it, with everything that a job can have."""

    def make(label: str) -> dict[str, Any]:
        if "/references/{name}" in label:
            return {"name": "sars-cov-2"}
        if "{" not in label:
            return {}
        job = jobs.running(ALICE) if label.endswith("/cancel") else jobs.annotated(ALICE)
        named = {"job_id": job.job_id, "run_id": job.job_id, "task_id": "annotate", "what": "vcf", "version": "v1"}
        named |= {"object_id": f"{job.job_id}.vcf", "access_id": "https"}
        if "{link_id}" in label or "{token}" in label:
            with app.app_context():
                named["token"], link = share_links.create(app.appbuilder.session, job, days=1)
                named["link_id"] = link.id
                app.appbuilder.session.remove()
        return {name: value for name, value in named.items() if f"{{{name}}}" in label}

    return make


def read_whole(app: Flask) -> Callable[..., Iterable[bytes]]:
    """The app as a server runs it, which reads an answer to its end and closes it."""

    def serve(environ: Any, start_response: Any) -> Iterable[bytes]:
        answer = app(environ, start_response)
        try:
            return [b"".join(answer)]
        finally:
            answer.close()

    return serve


def exercise(operation: Any, examples: int, **options: Any) -> tuple[set[int], str]:
    """Call an operation so often; the statuses of the answers, and what of them is not as described."""
    statuses: set[int] = set()

    @seed(1)
    @settings(
        max_examples=examples,
        database=None,
        deadline=None,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    @given(case=operation.as_strategy(**options))
    def call(case: Any) -> None:
        response = case.call(base_url=WEB_URL)
        statuses.add(response.status_code)
        case.validate_response(response, checks=CHECKS)

    try:
        call()
    except (Unsatisfiable, SerializationNotPossible):  # nothing of this kind can be sent
        return statuses, ""
    except (FailureGroup, Exception) as error:
        return statuses, "".join(traceback.format_exception_only(error))
    return statuses, ""


def described(document: dict[str, Any], jobs: Jobs) -> dict[str, Any]:
    """The description, told what there is here: otherwise hardly a call would get past the first check."""
    upload, done = jobs.upload(ALICE), jobs.done(ALICE)
    schemas = document["components"]["schemas"]
    for name in ("NewUpload", "NewJob", "Rerun"):
        schemas[name]["properties"]["reference"] = {"enum": ["sars-cov-2"]}
    schemas["NewUpload"]["properties"]["size_bytes"] = {"enum": [0, 1, 1000, 1 << 40]}
    schemas["NewJob"]["properties"]["job_id"] = {"enum": [upload]}
    run = document["paths"]["/ga4gh/wes/v1/runs"]["post"]["requestBody"]["content"]["multipart/form-data"]["schema"]
    vcf = f"drs://localhost:8800/{done.job_id}.input"
    run["properties"] |= {
        "workflow_params": {"enum": [json.dumps({"vcf": vcf}), json.dumps({"vcf": vcf, "reference": "none"})]},
        "workflow_engine_version": {"enum": [""]},
        "workflow_engine_parameters": {"enum": ["", "{}"]},
        "tags": {"enum": ["", "{}", '{"a": "b"}']},
    }
    for parameter in document["paths"]["/api/v1/jobs/{job_id}/table/suggest"]["get"]["parameters"]:
        if parameter.get("name") == "column":
            parameter["schema"] = {"enum": ["gene", "consequence"]}
    return document


def test_the_api_keeps_to_its_own_description(
    app: Flask, alice: Browser, token: str, jobs: Jobs, there: Callable[[str], dict[str, Any]]
) -> None:
    """Whatever is sent to any operation, the answer's status, type, headers and body are as described, and no 500."""
    schema = schemathesis.openapi.from_dict(described(alice.get("/api/v1/_openapi").json, jobs))
    schema.app = read_whole(app)
    headers = {"Authorization": f"Bearer {token}"}
    found: dict[str, str] = {}
    shallow: set[str] = set()
    for operation in (result.ok() for result in schema.get_all_operations()):
        label = operation.label
        if label in LEFT_OUT:
            continue
        named = there(label) or None
        kinds = [(GenerationMode.POSITIVE, named, EXAMPLES)]
        if len(operation.query) or len(operation.body):
            kinds.append((GenerationMode.NEGATIVE, named, EXAMPLES))
        if named:
            kinds.append((GenerationMode.POSITIVE, None, NAMELESS))
        statuses: set[int] = set()
        for mode, path, examples in kinds:
            got, trouble = exercise(operation, examples, generation_mode=mode, path_parameters=path, headers=headers)
            statuses |= got
            if trouble:
                found[f"{label}, {mode}, {'what is there' if path else 'at large'}"] = trouble
        if min(statuses) >= HTTPStatus.BAD_REQUEST:
            shallow.add(label)
    assert not found, "\n".join(f"{label}: {trouble}" for label, trouble in found.items())
    assert shallow <= REFUSED
