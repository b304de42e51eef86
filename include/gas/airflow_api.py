"""The few calls GAS makes to Airflow's REST API, as a user that may do little else."""

from __future__ import annotations

import base64
import json
import logging
import threading
import time
from collections.abc import Callable, Mapping
from typing import Any

import httpx
from pydantic import SecretStr

from gas.errors import GasError, Unavailable

log = logging.getLogger(__name__)

TIMEOUT_S = 15.0
#: A token is renewed this long before it expires.
RENEW_EARLY_S = 60
#: The states of a DAG run that has not ended.
AT_WORK = frozenset({"queued", "running"})


class AirflowApi:
    """Airflow's REST API, version 2. Safe to share between threads."""

    def __init__(
        self,
        *,
        url: str,
        user: str,
        password: SecretStr,
        transport: httpx.BaseTransport | None = None,
        now: Callable[[], float] = time.time,
    ) -> None:
        self._url = url
        self._user = user
        self._password = password
        self._transport = transport
        self._now = now
        self._lock = threading.Lock()
        self._http: httpx.Client | None = None
        self._token = ""
        self._expires = 0.0

    def close(self) -> None:
        """Close the connections to Airflow; the next call opens new ones."""
        with self._lock:
            if self._http is not None:
                self._http.close()
                self._http = None

    def submit(self, dag_id: str, *, run_id: str, conf: Mapping[str, Any]) -> bool:
        """Ask for a DAG run. Asking again with the same ``run_id`` starts nothing.

        :returns: whether this call made the run; ``False`` when it was there.
        :raises Unavailable: when Airflow does not answer, or does not know the DAG yet.
        """
        answer = self._call(
            "POST", f"/api/v2/dags/{dag_id}/dagRuns", {"dag_run_id": run_id, "logical_date": None, "conf": dict(conf)}
        )
        if answer.status_code == httpx.codes.CONFLICT:
            return False
        if answer.status_code == httpx.codes.NOT_FOUND:
            raise Unavailable(f"Airflow does not know the DAG {dag_id} (yet); try again in a minute")
        _check(answer)
        return True

    def run_state(self, dag_id: str, run_id: str) -> str | None:
        """The state of a DAG run (``queued``, ``running``, ``success``, ``failed``); ``None`` where there is none.

        :raises Unavailable: when Airflow does not answer.
        """
        answer = self._call("GET", f"/api/v2/dags/{dag_id}/dagRuns/{run_id}")
        if answer.status_code == httpx.codes.NOT_FOUND:
            return None
        _check(answer)
        return str(answer.json()["state"])

    def run_again(self, dag_id: str, run_id: str) -> None:
        """Have the failed tasks of a DAG run tried again, as an operator does who clears them.

        :raises Unavailable: when Airflow does not answer.
        """
        body = {"dry_run": False, "only_failed": True}
        _check(self._call("POST", f"/api/v2/dags/{dag_id}/dagRuns/{run_id}/clear", body))

    def durations(self, dag_id: str, number: int) -> list[float]:
        """How long the latest successful runs of a DAG took once they had begun, in seconds, the latest first.

        :param number: at most so many of them.
        :raises Unavailable: when Airflow does not answer.
        """
        answer = self._call("GET", f"/api/v2/dags/{dag_id}/dagRuns?state=success&order_by=-end_date&limit={number}")
        _check(answer)
        return [run["duration"] for run in answer.json()["dag_runs"] if run["duration"] is not None]

    def stop(self, dag_id: str, run_id: str) -> None:
        """End a DAG run that is queued or at work as failed, and kill its tasks. Where there is none, nothing happens.

        :raises Unavailable: when Airflow does not answer.
        """
        if self.run_state(dag_id, run_id) in AT_WORK:
            _check(self._call("PATCH", f"/api/v2/dags/{dag_id}/dagRuns/{run_id}", {"state": "failed"}))

    def _call(self, method: str, path: str, body: Mapping[str, Any] | None = None) -> httpx.Response:
        answer = self._send(method, path, body, self._bearer())
        if answer.status_code == httpx.codes.UNAUTHORIZED:  # Airflow was given a new signing key
            answer = self._send(method, path, body, self._bearer(refused=True))
        return answer

    def _send(self, method: str, path: str, body: Mapping[str, Any] | None, token: str = "") -> httpx.Response:
        headers = {"Authorization": f"Bearer {token}"} if token else {}
        try:
            answer = self._client().request(method, path, json=body, headers=headers)
        except httpx.HTTPError as error:
            log.warning("Airflow at %s does not answer: %s: %s", self._url, type(error).__name__, error)
            raise Unavailable("the workflow engine does not answer; try again in a minute") from error
        if answer.status_code >= httpx.codes.INTERNAL_SERVER_ERROR:
            log.warning("Airflow answered %s %s with %s", method, path, answer.status_code)
            raise Unavailable("the workflow engine has trouble; try again in a minute")
        return answer

    def _client(self) -> httpx.Client:
        with self._lock:
            if self._http is None:
                self._http = httpx.Client(base_url=self._url, timeout=TIMEOUT_S, transport=self._transport)
            return self._http

    def _bearer(self, *, refused: bool = False) -> str:
        with self._lock:
            token, expires = self._token, self._expires
        if token and not refused and self._now() < expires - RENEW_EARLY_S:
            return token
        answer = self._send(
            "POST", "/auth/token", {"username": self._user, "password": self._password.get_secret_value()}
        )
        if answer.status_code in (httpx.codes.UNAUTHORIZED, httpx.codes.FORBIDDEN):
            raise GasError(f"Airflow refuses the user {self._user}; check GAS_AIRFLOW_USER and GAS_AIRFLOW_PASSWORD")
        _check(answer)
        token = str(answer.json()["access_token"])
        with self._lock:
            self._token, self._expires = token, _expiry(token)
        return token


def _check(answer: httpx.Response) -> None:
    if answer.is_error:
        raise GasError(
            f"Airflow refused {answer.request.method} {answer.request.url.path}: "
            f"{answer.status_code} {answer.text[:300]}"
        )


def _expiry(token: str) -> float:
    """When a JSON Web Token expires, in POSIX seconds. Its signature is Airflow's own business."""
    payload = token.split(".")[1]
    claims = json.loads(base64.urlsafe_b64decode(payload + "=" * (-len(payload) % 4)))
    return float(claims["exp"])
