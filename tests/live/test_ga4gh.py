"""A workflow client that knows the standards and not GAS: submits by WES to a running stack, fetches by DRS."""

from __future__ import annotations

import gzip
import hashlib
import json
import time
from collections.abc import Iterator
from urllib.parse import urlsplit

import httpx
import pytest

from gas.local.globus_standin import BOB
from gas.local.stack import Stack
from gas.references import demo_vcf
from tests.live.people import client_of

pytestmark = pytest.mark.live

SECONDS = 60


@pytest.fixture
def workflows(stack: Stack) -> Iterator[httpx.Client]:
    """The standard interfaces of the stack, with a token of Bob's."""
    with client_of(stack.layout, BOB) as gas:
        token = gas._api.headers["Authorization"]
    url = f"{stack.layout.web_url}/ga4gh/"
    with httpx.Client(base_url=url, headers={"Authorization": token}, timeout=30, trust_env=False) as client:
        yield client


def test_an_annotation_by_the_standards_alone(workflows: httpx.Client) -> None:
    """What the service says of itself is enough to run the workflow, and its outputs lead to bytes and checksum."""
    service = workflows.get("wes/v1/service-info").raise_for_status().json()
    (workflow_type,) = service["workflow_type_versions"]
    vcf = demo_vcf()
    form = {
        "workflow_type": workflow_type,
        "workflow_type_version": service["workflow_type_versions"][workflow_type]["workflow_type_version"][0],
        "workflow_url": service["tags"]["workflow_url"],
        "workflow_params": json.dumps({"vcf": vcf.name}),
    }
    with vcf.open("rb") as stream:
        files = {"workflow_attachment": (vcf.name, stream)}
        run_id = workflows.post("wes/v1/runs", data=form, files=files).raise_for_status().json()["run_id"]
    deadline = time.monotonic() + SECONDS
    while (state := workflows.get(f"wes/v1/runs/{run_id}/status").json()["state"]) in ("QUEUED", "RUNNING"):
        assert time.monotonic() < deadline, state
        time.sleep(0.2)
    assert state == "COMPLETE"
    outputs = workflows.get(f"wes/v1/runs/{run_id}").raise_for_status().json()["outputs"]
    target = f"drs/v1/objects/{urlsplit(outputs['vcf']).path.removeprefix('/')}"
    told = workflows.get(target).raise_for_status().json()
    link = workflows.get(f"{target}/access/{told['access_methods'][0]['access_id']}").raise_for_status().json()["url"]
    body = httpx.get(link, trust_env=False).raise_for_status().content
    assert told["checksums"] == [{"type": "sha-256", "checksum": hashlib.sha256(body).hexdigest()}]
    assert len(body) == told["size"]
    assert b"BCSQ" in gzip.decompress(body)
