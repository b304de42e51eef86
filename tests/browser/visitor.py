"""A person at a browser: what they do on GAS's pages, and what their browser saw meanwhile."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from playwright.sync_api import APIResponse, BrowserContext, ConsoleMessage, Page, Request, expect

#: The demo's two addresses of this machine: pages are at the name, the storage is at the number.
THIS_MACHINE = frozenset({"localhost", "127.0.0.1"})

#: Small jobs take about a second; a machine that is busy with the other tests may need far longer.
JOB_MS = 90_000


@dataclass
class Visitor:
    """One browser profile with one page, signed in or not."""

    context: BrowserContext
    url: str
    expected_complaints: list[str] = field(default_factory=list)
    """Patterns of console errors that the test provokes on purpose."""
    complaints: list[str] = field(default_factory=list)
    strangers: set[str] = field(default_factory=set)
    """Addresses on other machines that the browser turned to."""
    posts: list[str] = field(default_factory=list)
    """Where the pages sent something, in order."""

    def __post_init__(self) -> None:
        self.context.on("request", self._met)
        self.context.on("console", self._heard)
        self.context.on("weberror", lambda error: self.complaints.append(f"uncaught: {error.error}"))
        self.page: Page = self.context.new_page()

    def _met(self, request: Request) -> None:
        parts = urlsplit(request.url)
        if parts.scheme not in ("data", "blob") and parts.hostname not in THIS_MACHINE:
            self.strangers.add(request.url)
        if request.method == "POST":
            self.posts.append(request.url)

    def _heard(self, message: ConsoleMessage) -> None:
        # The page where a person picks who to be is the Globus stand-in's, and its flaws are not GAS's.
        ours = message.page is not None and message.page.url.startswith(self.url)
        if ours and message.type in ("error", "warning"):
            self.complaints.append(f"{message.type}: {message.text} ({message.location.get('url')})")

    @property
    def unexpected_complaints(self) -> list[str]:
        """What the console said that the test did not foresee."""
        return [
            said
            for said in self.complaints
            if not any(re.search(pattern, said) for pattern in self.expected_complaints)
        ]

    # On the pages.

    def go(self, path: str) -> int:
        """Open a page of GAS; the status of the answer."""
        response = self.page.goto(f"{self.url}{path}")
        assert response is not None
        return response.status

    def sign_in(self, name: str) -> None:
        """Through the landing page and Globus to My jobs."""
        self.go("/")
        self.page.get_by_role("link", name="Sign in with Globus").click()
        self.page.get_by_role("button", name=name, exact=True).click()
        expect(self.page).to_have_url(f"{self.url}/jobs/")

    def sign_out(self) -> None:
        """From the account menu."""
        self.page.locator("#account > summary").click()
        self.page.get_by_role("button", name="Sign out").click()
        expect(self.page.get_by_role("link", name="Sign in with Globus")).to_be_visible()

    def choose(self, *files: Path | dict[str, Any]) -> None:
        """On the new-job page, choose the file to upload (a path, or Playwright's name, mimeType and buffer)."""
        self.page.locator("input[type=file]").set_input_files(list(files))

    def submit(self, file: Path | dict[str, Any], *, reference: str = "sars-cov-2") -> str:
        """Upload a file as a person does; ends on the job's page, with the job's id."""
        self.go("/jobs/new")
        self.page.get_by_label("Reference genome").select_option(reference)
        self.choose(file)
        self.page.get_by_role("button", name="Upload and annotate").click()
        self.page.wait_for_url(re.compile(r"/jobs/[0-9a-f-]{36}$"))
        return self.page.url.rpartition("/")[2]

    def await_end(self, status: str) -> None:
        """Wait, without touching the page, until it shows the job at its end."""
        chip = self.page.locator("#job .job-head .chip")
        expect(chip).to_have_attribute("data-status", re.compile("COMPLETED|FAILED|CANCELLED"), timeout=JOB_MS)
        expect(chip).to_have_attribute("data-status", status)

    def saved(self, link: str, folder: Path) -> Path:
        """Click a download link; the file as the browser saved it."""
        with self.page.expect_download() as event:
            self.page.get_by_role("link", name=re.compile(link)).first.click()
        path = folder / event.value.suggested_filename
        event.value.save_as(path)
        return path

    # Beside the pages, with the browser's cookies.

    def api(self, path: str) -> APIResponse:
        """GET from the JSON API, redirects not followed."""
        return self.context.request.get(f"{self.url}/api/v1/{path}", max_redirects=0)

    def post(self, path: str, body: dict[str, Any]) -> APIResponse:
        """POST to the JSON API as the page's own scripts do, but with whatever body the test wants."""
        token = self.page.locator("meta[name=csrf-token]").get_attribute("content")
        assert token is not None
        return self.context.request.post(f"{self.url}/api/v1/{path}", data=body, headers={"X-CSRFToken": token})

    def job(self, job_id: str) -> dict[str, Any]:
        """The job's record as the API tells it."""
        answer = self.api(f"jobs/{job_id}")
        assert answer.status == 200
        record = answer.json()
        assert isinstance(record, dict)
        return record
