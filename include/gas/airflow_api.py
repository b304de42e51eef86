"""The few calls GAS makes to Airflow's REST API, as a user that may do little else."""

from __future__ import annotations

import base64
import json
import logging
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum
from typing import Any
from urllib.parse import urlencode

import httpx
from pydantic import SecretStr

from gas.errors import Conflict, GasError, InputError, NotFound, Unavailable

log = logging.getLogger(__name__)

TIMEOUT_S = 15.0
#: Airflow makes every run of a backfill before it answers.
BACKFILL_TIMEOUT_S = 300.0
#: A token is renewed this long before it expires.
RENEW_EARLY_S = 60
#: The states of a DAG run that has not ended.
AT_WORK = frozenset({"queued", "running"})


class Reprocess(StrEnum):
    """Which past runs of a DAG a backfill does again; those that never were, it does in any case."""

    NONE = "none"
    FAILED = "failed"
    COMPLETED = "completed"
    """Those that succeeded and those that failed."""


class AlreadyRunning(Conflict):
    """Another backfill of the DAG is not complete: Airflow allows one at a time."""

    kind = "already-running"


@dataclass(frozen=True, slots=True, kw_only=True)
class Backfill:
    """A backfill as Airflow keeps it. Its runs are of the intervals that begin between ``start`` and ``end``."""

    backfill_id: int
    dag_id: str
    start: datetime
    end: datetime
    created: datetime
    is_paused: bool
    is_complete: bool
    """Airflow looks every half minute which are."""


@dataclass(frozen=True, slots=True, kw_only=True)
class BackfillRuns:
    """How many runs of a backfill are at work, wait for their turn, or have ended since it was made."""

    at_work: int
    succeeded: int
    failed: int

    @property
    def ended(self) -> int:
        """Those that have ended, in whatever way."""
        return self.succeeded + self.failed


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

    def is_paused(self, dag_id: str) -> bool:
        """Whether a DAG's runs wait until somebody switches it on.

        :raises NotFound: Airflow knows no such DAG.
        """
        answer = self._call("GET", f"/api/v2/dags/{dag_id}")
        if answer.status_code == httpx.codes.NOT_FOUND:
            raise NotFound(f"Airflow knows no DAG {dag_id}")
        _check(answer)
        return bool(answer.json()["is_paused"])

    def backfill_dates(
        self, dag_id: str, *, start: datetime, end: datetime, reprocess: Reprocess = Reprocess.COMPLETED
    ) -> list[datetime]:
        """The intervals that a backfill would run now, by when each begins. Nothing is started.

        Its arguments, and what it raises, are those of :meth:`backfill`.
        """
        body = _backfill_body(dag_id, start=start, end=end, reprocess=reprocess)
        answer = self._call("POST", "/api/v2/backfills/dry_run", body, timeout_s=BACKFILL_TIMEOUT_S)
        _check_backfill(answer, dag_id)
        return [datetime.fromisoformat(run["logical_date"]) for run in answer.json()["backfills"]]

    def backfill(
        self,
        dag_id: str,
        *,
        start: datetime,
        end: datetime,
        reprocess: Reprocess = Reprocess.COMPLETED,
        at_once: int = 4,
        conf: Mapping[str, Any] | None = None,
    ) -> Backfill:
        """Run a DAG's past intervals that begin between two times, both included, and have ended by now.

        :param at_once: at most so many of its runs at a time, beside those of the schedule.
        :param conf: the runs' Params.
        :raises AlreadyRunning: another backfill of this DAG is not complete.
        :raises InputError: the DAG has no schedule, no interval lies in the range, or the Params are refused.
        :raises NotFound: Airflow knows no such DAG.
        :raises Unavailable: Airflow does not answer; the backfill may have begun.
        """
        body = {
            **_backfill_body(dag_id, start=start, end=end, reprocess=reprocess),
            "max_active_runs": at_once,
            "dag_run_conf": dict(conf or {}),
        }
        answer = self._call("POST", "/api/v2/backfills", body, timeout_s=BACKFILL_TIMEOUT_S)
        if answer.status_code == httpx.codes.CONFLICT:
            raise AlreadyRunning(f"a backfill of {dag_id} is already running, and Airflow allows one at a time")
        _check_backfill(answer, dag_id)
        return _backfill(answer.json())

    def running_backfill(self, dag_id: str) -> Backfill | None:
        """The backfill of a DAG that is not complete; ``None`` where there is none.

        :raises NotFound: Airflow knows no such DAG.
        """
        answer = self._call("GET", f"/api/v2/backfills?{urlencode({'dag_id': dag_id, 'order_by': '-id', 'limit': 1})}")
        _check_backfill(answer, dag_id)
        found = [_backfill(one) for one in answer.json()["backfills"]]
        return found[0] if found and not found[0].is_complete else None

    def backfill_runs(self, backfill: Backfill) -> BackfillRuns:
        """How far a backfill has come.

        :raises Unavailable: when Airflow does not answer.
        """
        runs = [
            ("run_type", "backfill"),
            ("logical_date_gte", backfill.start.isoformat()),
            ("logical_date_lte", backfill.end.isoformat()),
            ("limit", "1"),
        ]
        since = ("end_date_gte", backfill.created.isoformat())
        return BackfillRuns(
            at_work=self._count(backfill.dag_id, *runs, *(("state", state) for state in sorted(AT_WORK))),
            succeeded=self._count(backfill.dag_id, *runs, ("state", "success"), since),
            failed=self._count(backfill.dag_id, *runs, ("state", "failed"), since),
        )

    def cancel_backfill(self, backfill: Backfill) -> None:
        """Start none of its runs any more; those at work go on. One that is complete stays as it is.

        :raises Unavailable: when Airflow does not answer.
        """
        answer = self._call("PUT", f"/api/v2/backfills/{backfill.backfill_id}/cancel")
        if answer.status_code != httpx.codes.CONFLICT:
            _check(answer)

    def _count(self, dag_id: str, *query: tuple[str, str]) -> int:
        answer = self._call("GET", f"/api/v2/dags/{dag_id}/dagRuns?{urlencode(query)}")
        _check(answer)
        return int(answer.json()["total_entries"])

    def _call(
        self, method: str, path: str, body: Mapping[str, Any] | None = None, *, timeout_s: float = TIMEOUT_S
    ) -> httpx.Response:
        answer = self._send(method, path, body, self._bearer(), timeout_s=timeout_s)
        if answer.status_code == httpx.codes.UNAUTHORIZED:  # Airflow was given a new signing key
            answer = self._send(method, path, body, self._bearer(refused=True), timeout_s=timeout_s)
        return answer

    def _send(
        self, method: str, path: str, body: Mapping[str, Any] | None, token: str = "", *, timeout_s: float = TIMEOUT_S
    ) -> httpx.Response:
        headers = {"Authorization": f"Bearer {token}"} if token else {}
        try:
            answer = self._client().request(method, path, json=body, headers=headers, timeout=timeout_s)
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


def _backfill_body(dag_id: str, *, start: datetime, end: datetime, reprocess: Reprocess) -> dict[str, Any]:
    return {
        "dag_id": dag_id,
        "from_date": start.isoformat(),
        "to_date": end.isoformat(),
        "reprocess_behavior": reprocess.value,
    }


def _check_backfill(answer: httpx.Response, dag_id: str) -> None:
    """Tell what Airflow says of a backfill that cannot be, in a sentence of its own."""
    if answer.status_code == httpx.codes.NOT_FOUND:
        raise NotFound(f"Airflow knows no DAG {dag_id}")
    if answer.status_code in (httpx.codes.BAD_REQUEST, httpx.codes.UNPROCESSABLE_ENTITY):
        detail = answer.json()["detail"]
        raise InputError(
            f"{dag_id} cannot be backfilled so: {detail if isinstance(detail, str) else json.dumps(detail)}"
        )
    _check(answer)


def _backfill(answer: Mapping[str, Any]) -> Backfill:
    return Backfill(
        backfill_id=answer["id"],
        dag_id=answer["dag_id"],
        start=_time(answer["from_date"]),
        end=_time(answer["to_date"]),
        created=_time(answer["created_at"]),
        is_paused=bool(answer["is_paused"]),
        is_complete=answer["completed_at"] is not None,
    )


def _time(text: str) -> datetime:
    return datetime.fromisoformat(text).astimezone(UTC)


def _expiry(token: str) -> float:
    """When a JSON Web Token expires, in POSIX seconds. Its signature is Airflow's own business."""
    payload = token.split(".")[1]
    claims = json.loads(base64.urlsafe_b64decode(payload + "=" * (-len(payload) % 4)))
    return float(claims["exp"])
