"""Looking for jobs, in the address of the page and in the API."""

from __future__ import annotations

import re
from datetime import UTC, datetime

import pytest

from gas import jobs_table
from tests.webui.conftest import ALICE, BOB, Browser, Jobs

DAY_S = 86400


def listed(browser: Browser, path: str) -> list[str]:
    """The ids of the jobs that a page lists."""
    answer = browser.get(path)
    assert answer.status_code == 200
    return re.findall(r'data-job-id="([^"]+)"', answer.text)


def test_link_leads_to_what_was_looked_for(alice: Browser, jobs: Jobs) -> None:
    """The form's address finds the same jobs on the page and in the API, and shows what it looks for."""
    trio = jobs.done(ALICE, name="Trio <1>.vcf")
    old = jobs.failed(ALICE, "no", name="trio old.vcf", ago_s=40 * DAY_S)
    other = jobs.pending(ALICE, name="cohort.vcf", ago_s=2)
    jobs.done(BOB, name="trio of bob.vcf")
    day = alice.get(f"/api/v1/jobs/{old.job_id}").json["submit_time"][:10]
    for query, expected in (
        ("name=TRIO", [trio, old]),
        ("name=%3C1%3E&status=&storage=&reference=&from=&to=", [trio]),
        ("status=PENDING", [other]),
        ("storage=HOT", [trio]),
        ("reference=sars-cov-2&name=cohort", [other]),
        (f"from={day}&to={day}", [old]),
        (f"to={day}&status=COMPLETED", []),
    ):
        ids = [job.job_id for job in expected]
        assert listed(alice, f"/jobs/?{query}") == ids, query
        found = alice.get(f"/api/v1/jobs?{query}").json
        assert ([job["job_id"] for job in found["jobs"]], found["next_cursor"]) == (ids, None), query
    page = alice.get("/jobs/?name=%3C1%3E&status=COMPLETED").text
    assert 'value="&lt;1&gt;"' in page
    assert '<option value="COMPLETED" selected>' in page


def test_days_are_days_in_utc(alice: Browser, jobs: Jobs, monkeypatch: pytest.MonkeyPatch) -> None:
    """The last second of a day is of it and the next is not; the page's labels and the API's description say in UTC."""
    midnight = int(datetime(2026, 11, 24, tzinfo=UTC).timestamp())
    made = {}
    for moment in (midnight - 1, midnight):
        monkeypatch.setattr("tests.webui.conftest.time.time", lambda moment=moment: float(moment))
        made[moment] = jobs.pending(ALICE).job_id
    monkeypatch.undo()
    for query, expected in (
        ("from=2026-11-24", [midnight]),
        ("to=2026-11-23", [midnight - 1]),
        ("from=2026-11-23&to=2026-11-24", [midnight, midnight - 1]),
        ("from=2026-11-25", []),
    ):
        ids = [made[moment] for moment in expected]
        assert listed(alice, f"/jobs/?{query}") == ids, query
        assert [job["job_id"] for job in alice.get(f"/api/v1/jobs?{query}").json["jobs"]] == ids, query
    page = alice.get("/jobs/").text
    for label, name in (("Submitted from (UTC)", "from"), ("to (UTC)", "to")):
        assert re.search(rf'<label>{re.escape(label)}\s*<input type="date" name="{name}"', page)
    described = alice.get("/api/v1/_openapi").json["paths"]["/api/v1/jobs"]["get"]["parameters"]
    days = {one["name"]: one["description"] for one in described if one.get("name") in ("from", "to")}
    assert days == {"from": "First day of submission (UTC)", "to": "Last day of submission (UTC)"}


def test_page_goes_on_where_it_stopped_looking(alice: Browser, jobs: Jobs, monkeypatch: pytest.MonkeyPatch) -> None:
    """A look that ended without a find says how far it got, and its link goes on."""
    needle = jobs.pending(ALICE, name="needle.vcf", ago_s=90)
    for ago_s in (60, 30):
        jobs.pending(ALICE, ago_s=ago_s)
    monkeypatch.setattr(jobs_table, "LOOKED_AT", 2)
    page = alice.get("/jobs/?name=needle").text
    assert "Nothing found so far" in page
    further = re.search(r'href="(/jobs/\?[^"]+)">Look further back', page)[1].replace("&amp;", "&")
    assert listed(alice, further) == [needle.job_id]
    assert "No job is like this" in alice.get("/jobs/?name=haystack&status=FAILED&from=2001-01-01&to=2001-01-02").text


@pytest.mark.parametrize(
    ("query", "said"),
    [
        ("status=DONE", "status must be one of PENDING"),
        ("storage=DELETING", "storage must be one of HOT"),
        ("from=yesterday", "from must be a day such as"),
        ("to=0001-01-01", "to must be a day such as"),
        ("from=2026-11-24&to=2026-11-23", "from must not be a later day than to"),
        ("name=" + "x" * 201, "name must be at most 200 characters"),
        ("cursor=x", "cursor"),
    ],
)
def test_what_cannot_be_looked_for_is_told(alice: Browser, query: str, said: str) -> None:
    """Each parameter that cannot be used is named in a sentence."""
    answer = alice.get(f"/api/v1/jobs?{query}")
    assert (answer.status_code, said in answer.json["detail"]) == (422, True)
    assert alice.get(f"/jobs/?{query}").status_code == 422


def test_nothing_to_search_where_there_are_no_jobs(alice: Browser) -> None:
    """A person without jobs is told what to do, not offered a search."""
    page = alice.get("/jobs/").text
    assert 'role="search"' not in page
    assert "Annotate a VCF" in page
