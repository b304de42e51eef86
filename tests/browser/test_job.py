"""The main path at a real browser: upload, live status, result, download; and what is refused on the way."""

from __future__ import annotations

import hashlib
import re
import time
from pathlib import Path
from typing import Any

import boto3
import pysam
import pysam.bcftools
import pytest
from botocore.exceptions import ClientError
from playwright.sync_api import Locator, Page, Route, expect

from tests.browser.conftest import ALICE, BOB, At, FinishedJob
from tests.browser.visitor import JOB_MS

pytestmark = [pytest.mark.browser, pytest.mark.live]

MIB = 1 << 20
FREE_LIMIT_BYTES = 10 * MIB
HEAD = "##fileformat=VCFv4.2\n#CHROM\tPOS\tID\tREF\tALT\tQUAL\tFILTER\tINFO\n"
#: A record that is well-formed, so that the page sends it, and lies behind the end of its contig.
OUTSIDE = f"{HEAD}NC_045512.2\t241\t.\tC\tT\t.\t.\t.\nNC_045512.2\t29904\t.\tC\tT\t.\t.\t.\n"


def test_upload_to_download_without_touching_the_page(
    at: At, demo_vcf: Path, tmp_path: Path, stack_environment: dict[str, str]
) -> None:
    """A VCF goes straight to the storage, its page moves by itself to COMPLETED, and the result is there, whole."""
    alice = at(ALICE)
    job_id = alice.submit(demo_vcf)
    begun, stored, submitted = alice.posts
    assert begun == f"{alice.url}/api/v1/uploads"
    assert stored.startswith(stack_environment["AWS_ENDPOINT_URL"])
    assert submitted == f"{alice.url}/api/v1/jobs"
    alice.page.evaluate("window.neverReloaded = true")
    alice.await_end("COMPLETED")
    page = alice.page
    assert page.evaluate("window.neverReloaded") is True

    expect(page.get_by_role("heading", name="By consequence")).to_be_visible()
    expect(page.get_by_role("table", name=re.compile("By consequence"))).to_contain_text("missense")
    expect(page.get_by_role("region", name="First annotated variants")).to_contain_text("MODERATE")
    page.locator("summary", has_text="Log").click()
    expect(page.get_by_label("Log")).to_contain_text("missense")

    record = alice.job(job_id)
    saved = alice.saved("Annotated VCF", tmp_path)
    body = saved.read_bytes()
    assert saved.name == record["outputs"]["vcf"]["file_name"]
    assert len(body) == record["outputs"]["vcf"]["size_bytes"]
    assert hashlib.sha256(body).hexdigest() == record["outputs"]["vcf"]["sha256"]
    index = alice.saved("Index", tmp_path)
    assert_annotated(saved, index, submitted=demo_vcf)


def assert_annotated(result: Path, index: Path, *, submitted: Path) -> None:
    """bcftools reads the result, in it every record that was submitted, with consequences; the index leads to them."""
    with pysam.VariantFile(str(submitted)) as before:
        numbers = {number for number, _ in enumerate(before, start=1)}
    with pysam.VariantFile(str(result), index_filename=str(index)) as after:
        records = list(after)
        first = records[0]
        assert first.pos in {record.pos for record in after.fetch(first.chrom, first.start, first.stop)}
    assert {record.info["GAS_REC"] for record in records} == numbers
    consequences = pysam.bcftools.query("-f", "%INFO/BCSQ\n", str(result)).split()
    assert any("missense|S|" in consequence for consequence in consequences)


def test_my_jobs_moves_by_itself(at: At, demo_vcf: Path) -> None:
    """A job that was submitted elsewhere appears in My jobs and becomes COMPLETED there, untouched."""
    watching, working = at(ALICE), at(ALICE)
    watching.go("/jobs/")
    watching.page.evaluate("window.neverReloaded = true")
    job_id = working.submit(demo_vcf)
    chip = watching.page.locator(f"[data-job-id='{job_id}'] .chip")
    expect(chip).to_have_attribute("data-status", "COMPLETED", timeout=JOB_MS)
    assert watching.page.evaluate("window.neverReloaded") is True


def test_file_name_is_text_wherever_it_is_shown(at: At) -> None:
    """A name made of markup is shown to the letter, on the job's page and in My jobs, and runs nothing."""
    alice = at(ALICE)
    name = "<img src=x onerror=\"window.ran = true\"> & 'x'.vcf"
    job_id = alice.submit({"name": name, "mimeType": "text/plain", "buffer": OUTSIDE.encode()})
    alice.await_end("FAILED")
    expect(alice.page.get_by_role("heading", level=1)).to_have_text(name)
    alice.go("/jobs/")
    expect(alice.page.locator(f"[data-job-id='{job_id}'] a")).to_have_text(name)
    assert alice.page.evaluate("window.ran") is None


def test_my_jobs_lists_the_job_and_leads_to_it(at: At, finished_job: FinishedJob) -> None:
    """The newest job stands in My jobs with its file and status; a click opens its page."""
    alice = at(ALICE)
    alice.go("/jobs/")
    row = alice.page.locator(f"[data-job-id='{finished_job.job_id}']")
    expect(row).to_contain_text(finished_job.vcf.name)
    expect(row.locator(".chip")).to_have_attribute("data-status", "COMPLETED")
    row.get_by_role("link").click()
    expect(alice.page).to_have_url(f"{alice.url}/jobs/{finished_job.job_id}")


def test_owner_is_written_to(at: At, finished_job: FinishedJob, stack_environment: dict[str, str]) -> None:
    """The stack's outbox shows the letter that tells Alice that the job is done; its link leads to the job."""
    page = at(ALICE).page
    page.goto(f"{stack_environment['AWS_ENDPOINT_URL']}/outbox")
    letter = page.get_by_role("article").filter(has_text=finished_job.job_id)
    deadline = time.monotonic() + JOB_MS / 1000  # a minute where notify has to tell
    while not letter.count() and time.monotonic() < deadline:
        page.wait_for_timeout(500)
        page.reload()
    expect(letter.first).to_contain_text(f"{finished_job.vcf.name} is annotated")
    letter.first.get_by_role("link", name=finished_job.job_id).click()
    expect(page.locator("h1")).to_contain_text(finished_job.vcf.name)


@pytest.mark.parametrize("path", ["", "/log", "/summary", "/download/vcf", "/download/input"])
def test_another_persons_job_is_as_if_it_were_not(at: At, finished_job: FinishedJob, path: str) -> None:
    """Bob's API answers for Alice's job are those for a job that never was, to the letter."""
    bob = at(BOB)
    never = "00000000-0000-4000-8000-000000000000"
    hers, none = bob.api(f"jobs/{finished_job.job_id}{path}"), bob.api(f"jobs/{never}{path}")
    assert (hers.status, none.status) == (404, 404)
    assert hers.text().replace(finished_job.job_id, never) == none.text()


def test_another_persons_page_is_as_if_it_were_not(at: At, finished_job: FinishedJob) -> None:
    """Bob's browser shows that there is nothing, and My jobs is his own."""
    bob = at(BOB)
    bob.expected_complaints.append("404")
    assert bob.go(f"/jobs/{finished_job.job_id}") == 404
    expect(bob.page.get_by_role("heading", name="Nothing here")).to_be_visible()
    bob.go("/jobs/")
    expect(bob.page.locator(f"[data-job-id='{finished_job.job_id}']")).to_have_count(0)


def test_bad_vcf_shows_its_sentence(at: At) -> None:
    """What the engine refuses ends as FAILED, with the sentence and the line on the page."""
    alice = at(ALICE)
    job_id = alice.submit({"name": "bad-pos.vcf", "mimeType": "text/plain", "buffer": OUTSIDE.encode()})
    alice.await_end("FAILED")
    sentence = alice.job(job_id)["error"]
    assert "line 4" in sentence
    expect(alice.page.get_by_role("alert")).to_contain_text(sentence[0].upper() + sentence[1:])
    expect(alice.page.get_by_role("link", name="New job").last).to_be_visible()


def test_page_refuses_what_is_plainly_no_vcf_before_it_is_sent(at: At) -> None:
    """Another kind of file is told at once, and nothing can be sent."""
    alice = at(ALICE)
    alice.go("/jobs/new")
    alice.choose({"name": "notes.txt", "mimeType": "text/plain", "buffer": b"hello"})
    expect(alice.page.get_by_role("alert")).to_contain_text("notes.txt does not end in")
    alice.choose({"name": "notes.vcf", "mimeType": "text/plain", "buffer": b"hello"})
    expect(alice.page.get_by_role("alert")).to_contain_text("This is not a VCF")
    expect(alice.page.get_by_role("button", name="Upload and annotate")).to_be_disabled()


# The upload limit.


def oversized(tmp_path: Path) -> Path:
    path = tmp_path / "big.vcf"
    line = b"NC_045512.2\t241\t.\tC\tT\t.\t.\t.\n"
    path.write_bytes(HEAD.encode() + line * (FREE_LIMIT_BYTES // len(line) + 1))
    return path


def test_page_tells_of_the_limit_and_the_upgrade(at: At, tmp_path: Path) -> None:
    """A file over the plan's limit is refused on the page, which names the limit and the way to more."""
    alice = at(ALICE)
    alice.go("/jobs/new")
    alice.choose(oversized(tmp_path))
    expect(alice.page.get_by_role("alert")).to_contain_text("takes files up to 10 MiB")
    expect(alice.page.get_by_role("alert")).to_contain_text("upgrade")


def test_server_enforces_the_limit_when_the_page_does_not(at: At, tmp_path: Path) -> None:
    """With the browser's check taken out, the server refuses, and the page shows its sentence."""
    alice = at(ALICE)
    alice.expected_complaints.append("413")

    def unlimited(route: Route) -> None:
        page = route.fetch()
        route.fulfill(response=page, body=re.sub(r'data-limit-bytes="\d+"', 'data-limit-bytes="1e15"', page.text()))

    alice.page.route("**/jobs/new", unlimited)
    alice.go("/jobs/new")
    alice.choose(oversized(tmp_path))
    alice.page.get_by_role("button", name="Upload and annotate").click()
    expect(alice.page.get_by_role("alert")).to_contain_text("free plan takes at most 10 MiB")
    expect(alice.page.get_by_role("alert")).to_contain_text("upgrade")


def test_storage_refuses_more_than_was_promised(at: At) -> None:
    """A caller who lies about the size gets a form that the storage holds to the plan's limit."""
    alice = at(ALICE)
    alice.go("/jobs/new")
    form = alice.post("uploads", {"file_name": "a.vcf", "size_bytes": 100, "reference": "sars-cov-2"}).json()
    assert form["max_bytes"] == FREE_LIMIT_BYTES
    too_much: Any = {"name": "a.vcf", "mimeType": "text/plain", "buffer": b"x" * (FREE_LIMIT_BYTES + 1)}
    answer = alice.context.request.post(form["url"], multipart={**form["fields"], "file": too_much})
    assert answer.status == 400
    assert "EntityTooLarge" in answer.text()


def test_stored_object_decides_and_a_refused_one_is_deleted(at: At, stack_environment: dict[str, str]) -> None:
    """However a too large object came to be stored, no job is made of it, and it does not stay."""
    alice = at(ALICE)
    alice.go("/jobs/new")
    form = alice.post("uploads", {"file_name": "a.vcf", "size_bytes": 100, "reference": "sars-cov-2"}).json()
    s3 = boto3.client(
        "s3",
        endpoint_url=stack_environment["AWS_ENDPOINT_URL"],
        aws_access_key_id=stack_environment["AWS_ACCESS_KEY_ID"],
        aws_secret_access_key=stack_environment["AWS_SECRET_ACCESS_KEY"],
        region_name=stack_environment["AWS_DEFAULT_REGION"],
    )
    where = {"Bucket": "gas-inputs", "Key": form["fields"]["key"]}
    s3.put_object(**where, Body=b"x" * (FREE_LIMIT_BYTES + 1))
    answer = alice.post("jobs", {"job_id": form["job_id"], "file_name": "a.vcf", "reference": "sars-cov-2"})
    assert answer.status == 413
    assert "upgrade" in answer.json()["detail"]
    assert alice.api(f"jobs/{form['job_id']}").status == 404
    with pytest.raises(ClientError, match="404"):
        s3.head_object(**where)
    s3.close()


# By keyboard alone.


def tab_to(page: Page, target: Locator) -> None:
    """Press Tab until the target has the focus."""
    for _ in range(40):
        page.keyboard.press("Tab")
        if target.evaluate("element => element === document.activeElement"):
            return
    pytest.fail(f"Tab does not reach {target}")


def test_sign_in_to_submit_by_keyboard_alone(at: At, demo_vcf: Path) -> None:
    """Every step from the landing page to a running job can be reached by Tab and done by Enter."""
    alice = at()
    page = alice.page
    alice.go("/")
    for role, name in (("link", "Sign in with Globus"), ("button", ALICE), ("link", "New job")):
        target = page.get_by_role(role, name=name, exact=True).first
        expect(target).to_be_visible()
        tab_to(page, target)
        page.keyboard.press("Enter")
        page.wait_for_load_state()
    expect(page.get_by_role("heading", name="New job")).to_be_visible()
    tab_to(page, page.get_by_label("Reference genome"))
    # Playwright takes the file dialog over a moment after it is told to: the way there gives it that moment.
    with page.expect_file_chooser() as chooser:
        tab_to(page, page.locator("input[type=file]"))
        page.keyboard.press("Enter")
    chooser.value.set_files(demo_vcf)
    button = page.get_by_role("button", name="Upload and annotate")
    expect(button).to_be_enabled()
    tab_to(page, button)
    page.keyboard.press("Enter")
    page.wait_for_url(re.compile(r"/jobs/[0-9a-f-]{36}$"))
