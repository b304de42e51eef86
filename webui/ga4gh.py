"""What the standard interfaces of the Global Alliance for Genomics and Health (GA4GH) share here."""

from __future__ import annotations

from collections.abc import Mapping
from importlib.metadata import version
from typing import Any
from urllib.parse import urlsplit

from apispec import APISpec
from flask import current_app

from webui import openapi
from webui.api import GasApi

JSON = "application/json"
_TEXT: dict[str, Any] = {"type": "string"}


def schema(required: Mapping[str, Any], **optional: Any) -> dict[str, Any]:
    """The schema of an object with these properties."""
    return {"type": "object", "required": list(required), "properties": {**required, **optional}}


def ref(name: str) -> dict[str, str]:
    """A reference to a schema that has a name."""
    return {"$ref": f"#/components/schemas/{name}"}


class Ga4ghApi(GasApi):
    """An interface whose refusals have the form of GA4GH's ``ErrorResponse``, see :mod:`webui.errors`."""

    refusals = "Ga4gh"

    def add_apispec_components(self, api_spec: APISpec) -> None:
        super().add_apispec_components(api_spec)
        for name, form in SCHEMAS.items():
            if name not in api_spec.components.schemas:
                api_spec.components.schema(name, form)
        for name, response in openapi.RESPONSES.items():
            if self.refusals + name not in api_spec.components.responses:
                told = {**response, "content": {JSON: {"schema": ref("ErrorResponse")}}}
                api_spec.components.response(self.refusals + name, told)


def service(artifact: str, standard: str, *, description: str) -> dict[str, Any]:
    """Who answers, in the form of GA4GH's service-info.

    :param artifact: the standard's word, such as ``wes``.
    :param standard: its version.
    """
    web_url = current_app.config["WEB_URL"]
    host = urlsplit(web_url).hostname or "localhost"
    return {
        "id": ".".join([*reversed(host.split(".")), "gas", artifact]),
        "name": "GAS",
        "type": {"group": "org.ga4gh", "artifact": artifact, "version": standard},
        "description": description,
        "organization": {"name": host, "url": web_url},
        "documentationUrl": f"{web_url}/swagger/v1",
        "version": version("genomics-annotation-service"),
    }


_SERVICE = {
    "id": _TEXT,
    "name": _TEXT,
    "type": schema({"group": _TEXT, "artifact": _TEXT, "version": _TEXT}),
    "organization": schema({"name": _TEXT, "url": _TEXT}),
    "version": _TEXT,
}

SCHEMAS: dict[str, dict[str, Any]] = {
    "Service": schema(_SERVICE, description=_TEXT, documentationUrl=_TEXT),
    "ErrorResponse": schema(
        {"msg": _TEXT, "status_code": {"type": "integer"}},
        **dict.fromkeys(("type", "title", "detail", "kind"), _TEXT),
        status={"type": "integer"},
    ),
}
