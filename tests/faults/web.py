"""The web app as the owners of jobs use it: what a person who asks for a result gets."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http import HTTPStatus

import httpx
from botocore.awsrequest import AWSPreparedRequest, HTTPHeaders
from flask import Flask
from pydantic import SecretStr

from gas.job import Job
from gas.services import Services
from gas.settings import Settings
from webui import tokens
from webui.app import create_app
from webui.globus import Person

WEB_URL = "http://localhost:8800"
VERIFIER = "v" * 43


@dataclass(frozen=True)
class Refused:
    """The web app gives no link to the file."""

    status: HTTPStatus
    kind: str
    """GAS's word for the reason."""


class WithinProcess(httpx.BaseTransport):
    """Carries requests to the AWS within this process, or to a server where there is none."""

    def __init__(self) -> None:
        self._servers = httpx.HTTPTransport()

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        from moto.core.models import botocore_stubber

        if not botocore_stubber.enabled:
            return self._servers.handle_request(request)
        asked = AWSPreparedRequest(request.method, str(request.url), HTTPHeaders(), request.read(), False)
        status, headers, body = botocore_stubber.process_request(asked)
        return httpx.Response(status, headers={name: str(value) for name, value in headers.items()}, content=body)

    def close(self) -> None:
        self._servers.close()


@dataclass
class WebApp:
    """The web app, working on the services that it was told last."""

    app: Flask
    browser: httpx.Client = field(default_factory=lambda: httpx.Client(transport=WithinProcess()))
    """What follows the app's links."""
    _tokens: dict[str, str] = field(default_factory=dict)

    @classmethod
    @contextmanager
    def running(cls, services: Services, database_url: str) -> Iterator[WebApp]:
        """An app whose tables, roles and permissions are made."""
        settings: Settings = services.settings.model_copy(
            update={
                "web_url": WEB_URL,
                "rate_limit": "",  # one person looks at everything at every step
                "web_secret_key": SecretStr("for tests"),
                "web_database_url": SecretStr(database_url),
                "globus_client_id": "aaaaaaaa-0000-4000-8000-000000000001",
                "globus_client_secret": SecretStr("nobody is asked"),
            }
        )
        app = create_app(settings, services=services)
        web = cls(app)
        with web.browser:
            yield web
        with app.app_context():
            app.extensions["sqlalchemy"].engine.dispose()

    @property
    def services(self) -> Services:
        """What the app works on."""
        return self.app.extensions["gas"]

    def serve(self, services: Services) -> None:
        """Answer from these services from now on, to people who sign in anew."""
        self.app.extensions["gas"] = services
        self._tokens.clear()

    def download(self, job: Job, what: str = "vcf") -> bytes | Refused:
        """The file as the job's owner downloads it, who asks for it and follows the link; or why there is no link."""
        answer = self.app.test_client().get(
            f"/api/v1/jobs/{job.job_id}/download/{what}",
            base_url=WEB_URL,
            headers={"Authorization": f"Bearer {self._token(job.user_id)}"},
        )
        if answer.status_code != HTTPStatus.FOUND:
            return Refused(HTTPStatus(answer.status_code), answer.json["kind"])
        return self.browser.get(answer.headers["Location"]).raise_for_status().content

    def _token(self, user_id: str) -> str:
        """A token of the person's, got as the command line gets one; they sign in first, where they have not."""
        if user_id not in self._tokens:
            challenge = base64.urlsafe_b64encode(hashlib.sha256(VERIFIER.encode()).digest()).rstrip(b"=").decode()
            asked = tokens.login_request(
                redirect_uri="http://127.0.0.1:1/",
                state="of a test",
                code_challenge=challenge,
                code_challenge_method="S256",
                client_name="a test",
            )
            with self.app.test_request_context(base_url=WEB_URL):
                manager = self.app.appbuilder.sm
                user = manager.user_of_token(
                    Person(sub=user_id, name="Somebody", email="", identities=frozenset({user_id}))
                )
                code = tokens.new_code(manager.session, user=user, asked=asked)
                self._tokens[user_id] = tokens.exchange(
                    manager.session, code=code, code_verifier=VERIFIER, redirect_uri=asked.redirect_uri
                )
        return self._tokens[user_id]
