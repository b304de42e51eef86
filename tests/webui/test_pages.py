"""The pages: what they show in each state, and what they never let through."""

from __future__ import annotations

import json
import re
import subprocess
import sys
import uuid
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest
from flask import Flask
from sqlalchemy import create_engine, text

from gas.annotation import annotate
from gas.errors import SettingsError
from gas.local.layout import Layout
from gas.profiles_table import Tier
from gas.references import Reference, demo_vcf
from gas.services import Services
from gas.settings import Settings
from tests.webui.conftest import ALICE, OPERATOR, Browser, Jobs
from webui import show
from webui.app import configuration, create_app

HOSTILE = "<script>alert('x')</script>\"><img src=x onerror=alert(2)>"


class Tags(HTMLParser):
    """The elements of a page and their attributes."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.seen: list[tuple[str, dict[str, str | None]]] = []
        self.inline_script = False
        self._in_script = False
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.seen.append((tag, dict(attrs)))
        self._in_script = tag == "script"

    def handle_data(self, data: str) -> None:
        self.inline_script |= self._in_script and bool(data.strip())


def own_pages(browser: Browser, jobs: Jobs) -> dict[str, Any]:
    """Every page of ours that a signed-in person can see."""
    paths = ["/jobs/", "/jobs/new", "/logout/", "/nothing"]
    paths += [f"/jobs/{job.job_id}" for job in (jobs.pending(ALICE), jobs.running(ALICE), jobs.done(ALICE))]
    paths.append(f"/jobs/{jobs.failed(ALICE, 'line 3: POS is not a number').job_id}")
    return {path: browser.get(path) for path in paths}


def test_pages_load_nothing_from_elsewhere_and_run_nothing_inline(alice: Browser, jobs: Jobs) -> None:
    """No script, style or handler is written into a page, and every file comes from this site."""
    for path, answer in own_pages(alice, jobs).items():
        tags = Tags(answer.text)
        assert not tags.inline_script, path
        for tag, attributes in tags.seen:
            assert tag != "style", path
            assert not [name for name in attributes if name == "style" or name.startswith("on")], (path, tag)
            for name in ("src", "href", "action"):
                assert not re.match(r"(?i)https?:|//|javascript:", attributes.get(name) or ""), (path, tag)


def test_every_answer_carries_the_security_headers(alice: Browser, visitor: Browser, jobs: Jobs) -> None:
    """Pages, the API and errors all forbid framing, sniffing and foreign scripts, and stay out of caches."""
    answers = {**own_pages(alice, jobs), "/": visitor.get("/"), "/api/v1/me": visitor.get("/api/v1/me")}
    for path, answer in answers.items():
        policy = answer.headers["Content-Security-Policy"]
        assert "default-src 'none'" in policy, path
        assert "script-src 'self';" in policy, path
        assert "style-src 'self';" in policy, path
        assert "frame-ancestors 'none'" in policy, path
        assert answer.headers["X-Content-Type-Options"] == "nosniff"
        assert answer.headers["Referrer-Policy"] == "same-origin"
        assert answer.headers["Cache-Control"] == "no-store"
        assert "Strict-Transport-Security" not in answer.headers  # reached by http here


def test_new_job_may_connect_to_the_store_alone(alice: Browser, services: Services) -> None:
    """Only the page that uploads may send to another origin, and only to the object store's."""
    endpoint = services.objects._aws.s3.meta.endpoint_url
    assert f"connect-src 'self' {endpoint};" in alice.get("/jobs/new").headers["Content-Security-Policy"]
    assert "connect-src 'self';" in alice.get("/jobs/").headers["Content-Security-Policy"]


def test_api_browser_runs_by_nonce(alice: Browser) -> None:
    """The Swagger page's inline script runs by a nonce that is new each time."""
    policies = {alice.get("/swagger/v1").headers["Content-Security-Policy"] for _ in range(2)}
    assert len(policies) == 2
    assert all("'nonce-" in policy and "script-src 'self' 'nonce-" in policy for policy in policies)


def test_https_makes_the_cookie_secure(settings: Settings) -> None:
    """Behind https the session cookie is Secure, and the browser is told to insist on https."""
    configured = configuration(settings.model_copy(update={"web_url": "https://gas.example.org"}))
    assert configured["SESSION_COOKIE_SECURE"] is True
    assert configuration(settings)["SESSION_COOKIE_SECURE"] is False


@pytest.mark.parametrize(
    ("field", "variable"),
    [
        ("web_secret_key", "GAS_WEB_SECRET_KEY"),
        ("web_database_url", "GAS_WEB_DATABASE_URL"),
        ("globus_client_id", "GAS_GLOBUS_CLIENT_ID"),
        ("globus_client_secret", "GAS_GLOBUS_CLIENT_SECRET"),
    ],
)
def test_missing_settings_are_named(settings: Settings, field: str, variable: str) -> None:
    """The app does not start without what it needs, and says which variable is missing."""
    empty = settings.model_copy(update={field: type(getattr(settings, field))("")})
    with pytest.raises(SettingsError, match=variable):
        configuration(empty)


def test_hostile_names_stay_text(alice: Browser, jobs: Jobs) -> None:
    """A file name made of markup is shown as it is, on every page that shows it."""
    summary = {
        **Jobs.SUMMARY,
        "by_gene": {HOSTILE: 2},
        "gene_impacts": {HOSTILE: {"HIGH": 2}},
        "by_consequence": {HOSTILE: 1},
        "first_rows": [{**Jobs.SUMMARY["first_rows"][0], "gene": HOSTILE, "alt": HOSTILE, "id": HOSTILE}],
    }
    ids = [
        jobs.done(ALICE, name=f"{HOSTILE}.vcf", summary=summary).job_id,
        jobs.failed(ALICE, f"contig {HOSTILE} is unknown", name=f"{HOSTILE}.vcf").job_id,
    ]
    for path in ("/jobs/", *(f"/jobs/{job_id}" for job_id in ids)):
        page = alice.get(path).text
        assert "&lt;script&gt;alert(" in page
        tags = Tags(page)
        assert not [tag for tag, _ in tags.seen if tag == "img"]
        assert not tags.inline_script


def test_start_page_says_what_it_is(visitor: Browser) -> None:
    """A visitor learns what GAS does, what is free, and how to sign in."""
    page = visitor.get("/").text
    assert "Sign in with Globus" in page
    assert "1 MiB" in page


def test_empty_list_says_what_to_do(alice: Browser) -> None:
    """Without jobs the list leads to the first one."""
    page = alice.get("/jobs/").text
    assert "No jobs yet" in page
    assert 'href="/jobs/new"' in page


def test_list_goes_on_in_pages(alice: Browser, jobs: Jobs) -> None:
    """The twenty-sixth job is on the second page."""
    oldest = [jobs.pending(ALICE, name=f"n{n}.vcf", ago_s=n).job_id for n in range(26)][-1]
    first = alice.get("/jobs/").text
    assert oldest not in first
    older = re.search(r'href="(/jobs/\?cursor=[^"]+)"', first)[1]
    assert oldest in alice.get(older).text
    assert alice.get("/jobs/?cursor=junk").status_code == 422


def test_running_job_shows_how_far_it_is(alice: Browser, jobs: Jobs) -> None:
    """Variants done and in all stand beside the bar."""
    page = alice.get(f"/jobs/{jobs.running(ALICE).job_id}").text
    assert "1,234 of 5,678 variants" in page
    assert '<progress aria-label="Annotation" max="5678" value="1234">' in page


def test_finished_job_shows_its_result(alice: Browser, jobs: Jobs) -> None:
    """Counts, first rows, the phase remark, provenance and a link to each file are in the page."""
    job = jobs.done(ALICE)
    page = alice.get(f"/jobs/{job.job_id}").text
    for said in ("Phase unknown", "D614G", "clinvar", "bcftools 1.24", "Why not annotated", ">breakend<"):
        assert said in page
    for what in ("vcf", "index", "table", "summary", "log"):
        assert f"/api/v1/jobs/{job.job_id}/download/{what}" in page


def test_summary_of_the_real_engine_is_shown(alice: Browser, jobs: Jobs, sars_cov_2: Reference, tmp_path: Path) -> None:
    """What the page reads is what the engine writes, for the VCF that ships with GAS."""
    result = annotate(demo_vcf(), tmp_path / "demo.vcf.gz", reference=sars_cov_2)
    page = alice.get(f"/jobs/{jobs.done(ALICE, summary=json.loads(result.summary.read_text())).job_id}").text
    assert "cannot be shown" not in page
    for said in ("By impact", "Most affected genes", "missense variant", "ORF1ab", sars_cov_2.fasta_sha256):
        assert said in page


def test_unreadable_summary_leaves_the_files(alice: Browser, jobs: Jobs) -> None:
    """When the summary cannot be shown, the page says so and still offers the files."""
    job = jobs.done(ALICE, summary={"nothing": "of use"})
    page = alice.get(f"/jobs/{job.job_id}")
    assert page.status_code == 200
    assert "cannot be shown" in page.text
    assert f"/api/v1/jobs/{job.job_id}/download/vcf" in page.text


def test_failed_job_says_why_and_what_to_do(alice: Browser, jobs: Jobs) -> None:
    """The sentence of the failure is shown, with advice that fits its kind."""
    bad_file = alice.get(f"/jobs/{jobs.failed(ALICE, 'line 3: POS is not a number').job_id}").text
    assert "Line 3: POS is not a number." in bad_file
    assert "Mend the file" in bad_file
    crash = alice.get(f"/jobs/{jobs.failed(ALICE, 'the engine ran out of memory', 'engine').job_id}").text
    assert "not at fault" in crash


def test_job_that_nobody_began_can_be_started_again(alice: Browser, jobs: Jobs) -> None:
    """A job that has waited for over a minute offers to be started again; a fresh one does not."""
    assert "Start it again" in alice.get(f"/jobs/{jobs.pending(ALICE, ago_s=120).job_id}").text
    assert "Start it again" not in alice.get(f"/jobs/{jobs.pending(ALICE).job_id}").text


def test_account_box_and_upload_form_follow_the_plan(alice: Browser, services: Services) -> None:
    """Plan and limit are on every page, and the form tells a free user of the upgrade when over it."""
    free = alice.get("/jobs/new").text
    assert "1 MiB a file" in free
    assert "you can upgrade under My plan" in free
    services.profiles.set_tier(ALICE, Tier.PREMIUM)
    premium = alice.get("/jobs/new").text
    assert "2 MiB a file" in premium
    assert "upgrade" not in premium


@pytest.mark.parametrize(
    ("size_bytes", "said"),
    [(0, "0 bytes"), (1023, "1023 bytes"), (10 << 20, "10 MiB"), (5 << 30, "5 GiB"), (1536, "1.5 KiB")],
)
def test_sizes_read_well(size_bytes: int, said: str) -> None:
    """Sizes are shown in the unit that keeps them short."""
    assert show.size(size_bytes) == said


def test_workers_may_start_together(postgres_layout: Layout, built_app: Flask, settings: Settings) -> None:
    """Two processes that start on an empty database at once both come up, and make everything once."""
    name = f"gas_{uuid.uuid4().hex}"
    admin = create_engine(postgres_layout.database_url("postgres"), isolation_level="AUTOCOMMIT")
    with admin.connect() as connection:
        connection.execute(text(f"CREATE DATABASE {name}"))
    admin.dispose()
    url = postgres_layout.database_url(name)
    program = "from webui.app import create_app; app = create_app(); print(len(app.url_map._rules))"
    environment = {
        "GAS_WEB_DATABASE_URL": url,
        "GAS_WEB_SECRET_KEY": "x",
        "GAS_GLOBUS_CLIENT_ID": "x",
        "GAS_GLOBUS_CLIENT_SECRET": "x",
        "PATH": "/usr/bin:/bin",
    }
    workers = [
        subprocess.Popen(
            [sys.executable, "-c", program], env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE
        )
        for _ in range(2)
    ]
    for worker in workers:
        _, said = worker.communicate(timeout=120)
        assert worker.returncode == 0, said.decode()
    engine = create_engine(url)
    with engine.connect() as connection:
        roles = connection.scalars(text("SELECT name FROM ab_role ORDER BY name")).all()
    engine.dispose()
    assert roles == ["Admin", "GAS_User", "Public"]


def test_app_starts_again_on_its_own_database(wired: Services) -> None:
    """Starting on a database that is set up already changes nothing and works."""
    again = create_app(services=wired)
    assert again.test_client().get("/health").json == {"status": "ok"}


def test_operators_find_the_way_to_airflow(app: Flask, alice: Browser, operator: Browser, jobs: Jobs) -> None:
    """On each page to the view of all jobs, and from a job of their own to its run; nobody else is shown the way."""
    job_id = jobs.done(OPERATOR).job_id
    airflow = app.extensions["gas"].settings.airflow_url
    page = operator.get(f"/jobs/{job_id}").text
    assert f'href="{airflow}/plugin/gas"' in page
    assert f'href="{airflow}/dags/annotate/runs/{job_id}"' in page
    assert airflow not in alice.get(f"/jobs/{jobs.done(ALICE).job_id}").text
