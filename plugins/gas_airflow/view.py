"""The pages "GAS" in Airflow's UI, for whoever may see the runs of ``annotate`` there.

Airflow's API server serves them under ``/gas``, and shows the first in its own frame. They tell of records, never of
files or results: what somebody submitted is theirs.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Mapping
from dataclasses import asdict
from datetime import UTC, datetime
from functools import cache
from http import HTTPStatus
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any
from urllib.parse import quote, urlsplit

import httpx
from airflow.api_fastapi.app import get_auth_manager
from airflow.api_fastapi.auth.managers.base_auth_manager import COOKIE_NAME_JWT_TOKEN
from airflow.api_fastapi.auth.managers.models.resource_details import DagAccessEntity
from airflow.api_fastapi.core_api.security import requires_access_dag
from airflow.configuration import conf
from fastapi import Depends, FastAPI, HTTPException, Query, Request
from fastapi.responses import FileResponse, HTMLResponse, JSONResponse, RedirectResponse, Response
from jinja2 import Environment, FileSystemLoader
from starlette.exceptions import HTTPException as StarletteHTTPException

from gas.job import DAG_ID, JOB_ID, Job
from gas.overview import Overview, overview
from gas.settings import Settings
from gas_airflow.connections import connected_services
from gas_airflow.links import PREFIX, SETS

if TYPE_CHECKING:
    from gas.services import Services

PAGES = Path(__file__).parent / "pages"
#: Many may look at once; the table is read once in so many seconds.
FRESH_S = 5.0
#: Jobs listed of one task.
LISTED = 200
TIMEOUT_S = 10.0
HEADERS = {
    "Content-Security-Policy": "default-src 'none'; style-src 'self'; script-src 'self'; base-uri 'none'; "
    "form-action 'none'; frame-ancestors 'self'",
    "Cache-Control": "no-store",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "same-origin",
}
FILES = {"view.css": "text/css", "view.js": "text/javascript"}


class Glance:
    """The overview, read anew when it is older than :data:`FRESH_S`."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._read = -FRESH_S
        self._seen: Overview | None = None

    def now(self) -> Overview:
        """The overview as it is, or was a few seconds ago."""
        with self._lock:
            if self._seen is None or time.monotonic() - self._read >= FRESH_S:
                self._seen = overview(_services())
                self._read = time.monotonic()
            return self._seen


def build() -> FastAPI:
    """Put the pages together."""
    app = FastAPI(title="GAS", docs_url=None, redoc_url=None, openapi_url=None)
    may_look = [Depends(requires_access_dag("GET", DagAccessEntity.RUN, DAG_ID))]
    glance = Glance()

    @app.exception_handler(StarletteHTTPException)
    def refused(request: Request, error: StarletteHTTPException) -> Response:
        """A browser that is not signed in is sent to sign in; a program is told."""
        if error.status_code == HTTPStatus.UNAUTHORIZED and "text/html" in request.headers.get("Accept", ""):
            return RedirectResponse(get_auth_manager().get_url_login(next=str(request.url)))
        return JSONResponse({"detail": error.detail}, status_code=error.status_code, headers=HEADERS)

    @app.get("/", dependencies=may_look)
    def front() -> HTMLResponse:
        """How GAS stands."""
        return _page("overview.html", seen=glance.now())

    @app.get("/overview", dependencies=may_look)
    def front_as_json() -> JSONResponse:
        """The same for programs."""
        return JSONResponse(asdict(glance.now()), headers=HEADERS)

    @app.get("/jobs/{job_id}", dependencies=may_look)
    def job(job_id: str) -> HTMLResponse:
        """One job's record."""
        found = _services().jobs.find(job_id) if JOB_ID.fullmatch(job_id) else None
        if found is None:
            raise HTTPException(HTTPStatus.NOT_FOUND, f"There is no job {job_id} (any more).")
        return _page("job.html", job=found, facts=_facts(found))

    @app.get("/tasks", dependencies=may_look)
    def task(request: Request, dag_id: str, run_id: str, map_index: Annotated[int, Query(ge=-1)] = -1) -> Response:
        """The job of a task, or its jobs."""
        job_ids = _jobs_of_task(request, dag_id=dag_id, run_id=run_id, map_index=map_index)
        if len(job_ids) == 1:
            return RedirectResponse(f"{_base()}{PREFIX}/jobs/{quote(job_ids[0])}")
        found = _services().jobs.find_many(job_ids[:LISTED])
        return _page("jobs.html", jobs=found, number=len(job_ids), dag_id=dag_id, run_id=run_id)

    @app.get("/files/{name}")
    def file(name: str) -> FileResponse:
        """Style and script, the same for everybody."""
        if name not in FILES:
            raise HTTPException(HTTPStatus.NOT_FOUND)
        return FileResponse(PAGES / name, media_type=FILES[name])

    return app


def _services() -> Services:
    return connected_services()


def _base() -> str:
    """The path below which Airflow is served: its host may have several names."""
    return urlsplit(conf.get("api", "base_url", fallback="")).path.rstrip("/")


def _facts(job: Job) -> Mapping[str, str | None]:
    """What an operator may know of a job."""
    return {
        "Owner": job.user_id,
        "Reference": job.reference,
        "Submitted": _when(job.submit_time),
        "Begun": _when(job.start_time),
        "Ended": _when(job.complete_time),
        "Attempts": str(len(job.attempts)),
        "Trouble": f"{job.error_kind}: {job.error}" if job.error else None,
        "Result": job.storage_state,
        "Waits for the archive since": _when(job.due_since),
        "Archived": _when(job.archive_time),
        "Kept in": job.archive_backend,
        "Way back begun": _when(job.restore_time),
        "Retrieval": f"{job.retrieval_tier} {job.retrieval_job_id}" if job.retrieval_job_id else None,
        "To be looked at": job.storage_error,
        "Somebody still has something to do": "yes" if job.is_open else "no",
    }


def _jobs_of_task(request: Request, *, dag_id: str, run_id: str, map_index: int) -> list[str]:
    """The ids that the run names, asked of Airflow's own API as the person who looks.

    :raises HTTPException: Airflow does not know the run, or does not let this person see it.
    """
    if dag_id not in SETS:
        raise HTTPException(HTTPStatus.NOT_FOUND, f"Tasks of {dag_id} carry no jobs.")
    if dag_id == DAG_ID and JOB_ID.fullmatch(run_id):
        return [run_id]
    run = f"/api/v2/dags/{quote(dag_id, safe='')}/dagRuns/{quote(run_id, safe='')}"
    if named := (_asked(request, run).get("conf") or {}).get("job_id"):
        return [str(named)]
    task_id = SETS[dag_id]
    if task_id is None:
        return []
    sets = _asked(request, f"{run}/taskInstances/{task_id}/xcomEntries/return_value?deserialize=true").get("value")
    wanted = sets if map_index < 0 else (sets or [])[map_index : map_index + 1]
    return [job_id for one in wanted or [] for job_id in one if JOB_ID.fullmatch(job_id)]


def _asked(request: Request, path: str) -> Any:
    """What Airflow's API answers; an empty answer where a run or a value is not there (yet)."""
    scheme, _, bearer = request.headers.get("Authorization", "").partition(" ")
    token = bearer if scheme.lower() == "bearer" else request.cookies.get(COOKIE_NAME_JWT_TOKEN, "")
    headers = {"Authorization": f"Bearer {token}"}
    url = Settings.from_environment().airflow_url
    with httpx.Client(base_url=url, headers=headers, timeout=TIMEOUT_S, trust_env=False) as client:
        answer = client.get(path)
    if answer.status_code == HTTPStatus.NOT_FOUND:
        return {}
    if answer.is_error:
        raise HTTPException(answer.status_code, "Airflow does not tell which jobs these are.")
    return answer.json()


def _page(name: str, **values: Any) -> HTMLResponse:
    return HTMLResponse(
        _templates().get_template(name).render(root=f"{_base()}{PREFIX}", now=int(time.time()), **values),
        headers=HEADERS,
    )


@cache
def _templates() -> Environment:
    made = Environment(loader=FileSystemLoader(PAGES), autoescape=True, trim_blocks=True, lstrip_blocks=True)
    made.filters.update(when=_when, ago=_ago)
    made.globals.update(run_url=_run_url, web_url=Settings.from_environment().web_url)
    return made


def _run_url(dag_id: str, run_id: str = "") -> str:
    """Where Airflow shows a run, or a DAG's runs."""
    return f"{_base()}/dags/{quote(dag_id)}/runs" + (f"/{quote(run_id)}" if run_id else "")


def _when(posix_s: int | None) -> str | None:
    return f"{datetime.fromtimestamp(posix_s, UTC):%Y-%m-%d %H:%M:%S} UTC" if posix_s else None


def _ago(posix_s: int, now: int) -> str:
    """How long ago, in the two largest units."""
    left, parts = max(0, now - posix_s), []
    for unit, length in (("d", 86400), ("h", 3600), ("min", 60), ("s", 1)):
        number, left = divmod(left, length)
        if number or parts or unit == "s":
            parts.append(f"{number} {unit}")
    return " ".join(parts[:2])
