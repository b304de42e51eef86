"""The summary of a finished job: what its charts count is what the table shows."""

from __future__ import annotations

import json
import re
from html import unescape

import pytest

from gas.job import Job, Output
from gas.services import Services
from tests.webui.conftest import ALICE, Browser, Jobs, annotated_demo
from tests.webui.test_explore import archive
from webui import summary


@pytest.fixture
def job(jobs: Jobs) -> Job:
    demo = json.loads(annotated_demo(jobs._services.settings.references)[Output.SUMMARY])
    return jobs.annotated(ALICE, summary=demo)


def test_each_bar_leads_to_what_it_counts(alice: Browser, job: Job, jobs: Jobs) -> None:
    """The table behind a bar has as many variants as the bar says."""
    text = annotated_demo(jobs._services.settings.references)[Output.SUMMARY].decode()
    charts = dict(summary.summary_of(text).charts)
    assert list(charts) == [
        "By impact",
        "Known and novel",
        "By consequence",
        "Most affected genes",
        "By type",
        "Insertions and deletions, in bases",
        "Single-base changes",
        "Why not annotated",
    ]
    for title, bars in charts.items():
        for bar in bars:
            found = alice.get(f"/api/v1/jobs/{job.job_id}/table?{bar.query}&limit=1").json
            assert found["total"]["variants"] == bar.count, (title, bar.label)


def test_the_page_links_its_bars_and_the_table(alice: Browser, job: Job) -> None:
    """By name, so that it can be reached by keyboard and read aloud; the counts stand beside the bars as text."""
    page = unescape(alice.get(f"/jobs/{job.job_id}").text)
    table = f"/jobs/{job.job_id}/table"
    assert f'<a href="{table}?where=impact:is:HIGH&where=most_severe:is:true">HIGH</a>' in page
    assert f'href="{table}"' in page
    assert re.search(r'<a href="[^"]+where=gene:is:S">S</a></th>\s*<td>.*?</td>\s*<td class="number">\d+</td>', page)


def test_without_a_table_the_bars_are_no_links(alice: Browser, job: Job, services: Services) -> None:
    """While the result is in the archive its summary stays, and leads nowhere."""
    archive(services, job)
    page = alice.get(f"/jobs/{job.job_id}").text
    assert "Most affected genes" in page
    assert f"/jobs/{job.job_id}/table" not in page


def test_contigs_have_a_chart_where_there_are_several(alice: Browser, jobs: Jobs) -> None:
    """The first 25, in their order, each with its number and a link to its variants; none where there is but one."""
    many = {f"chr{number}": 1000 * number for number in range(1, 31)}
    several = {**Jobs.SUMMARY, "by_contig": many}
    page = unescape(alice.get(f"/jobs/{jobs.done(ALICE, summary=several).job_id}").text)
    chart = page.partition("<h2>By contig</h2>")[2].partition("</section>")[0]
    shown = re.findall(r'where=chrom:is:(\w+)">(\w+)</a>.*?<td class="number">([\d,]+)</td>', chart, re.DOTALL)
    assert shown == [(name, name, f"{count:,}") for name, count in many.items()][:25]
    assert "By contig" not in alice.get(f"/jobs/{jobs.done(ALICE).job_id}").text


def test_sizes_are_put_together() -> None:
    """Each size is counted in exactly one bar."""
    sizes = {str(size): 1 for size in range(-51, 52) if size}
    lines = summary._sizes(sizes)
    assert sum(line.counts[""] for line in lines) == len(sizes)
    assert lines[0].view == (("where", "size:le:-21"),)
    assert lines[-1].view == (("where", "size:ge:21"),)
