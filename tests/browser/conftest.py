"""A real Chromium on the real stack, and people at it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from playwright.sync_api import Browser, StorageState, expect

from gas import references
from gas.local.stack import Stack
from gas.local.variables import stack_variables
from tests.browser.visitor import Visitor
from tests.chromium import launched

ALICE, BOB = "Alice Example", "Bob Builder"

#: Nothing that Chromium does on its own account may reach for another host.
ARGUMENTS = (
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-gpu",
    "--disable-quic",
    "--disable-sync",
    "--no-first-run",
)

#: How long a page may take to show what it should: pages answer at once, but the machine may be busy.
PATIENCE_MS = 20_000

At = Callable[..., Visitor]


@pytest.fixture(scope="module")
def browser(chromium: str) -> Iterator[Browser]:
    """A Chromium for the tests of a file; each visitor has a profile of their own in it.

    While it runs, Playwright holds an event loop in this thread, in which no other test could run one.
    """
    expect.set_options(timeout=PATIENCE_MS)
    with launched(chromium, *ARGUMENTS) as browser:
        yield browser


@pytest.fixture(scope="session")
def web_url(stack: Stack) -> str:
    """The address of the running stack's web app."""
    return stack.layout.web_url


@pytest.fixture(scope="module")
def _cookies(browser: Browser, web_url: str) -> Callable[[str], StorageState]:
    """The cookies of each person, who signs in once for all tests of a file that don't care how."""
    held: dict[str, StorageState] = {}

    def of(person: str) -> StorageState:
        if person not in held:
            context = browser.new_context()
            Visitor(context, web_url).sign_in(person)
            held[person] = context.storage_state()
            context.close()
        return held[person]

    return of


@pytest.fixture
def at(browser: Browser, web_url: str, _cookies: Callable[[str], StorageState]) -> Iterator[At]:
    """Visitors: ``at()`` a stranger, ``at(ALICE)`` a person who is signed in.

    When the test is over, none of their browsers may have complained or turned to another machine.
    """
    visitors: list[Visitor] = []

    def visitor(person: str | None = None) -> Visitor:
        context = browser.new_context(storage_state=_cookies(person) if person else None, locale="en-GB")
        context.set_default_timeout(PATIENCE_MS)
        visitors.append(Visitor(context, web_url))
        return visitors[-1]

    yield visitor
    for one in visitors:
        one.context.close()
    assert [said for one in visitors for said in one.unexpected_complaints] == []
    assert {url for one in visitors for url in one.strangers} == set()


@pytest.fixture(scope="session")
def demo_vcf() -> Path:
    """The real VCF that ships with GAS."""
    return references.demo_vcf()


@dataclass(frozen=True)
class FinishedJob:
    """A job of Alice's that is COMPLETED."""

    job_id: str
    vcf: Path


@pytest.fixture(scope="module")
def finished_job(
    browser: Browser, web_url: str, _cookies: Callable[[str], StorageState], demo_vcf: Path
) -> FinishedJob:
    """Alice's job on the demo VCF, made once for the tests that look at a result."""
    context = browser.new_context(storage_state=_cookies(ALICE))
    alice = Visitor(context, web_url)
    job_id = alice.submit(demo_vcf)
    alice.await_end("COMPLETED")
    context.close()
    return FinishedJob(job_id, demo_vcf)


@pytest.fixture(scope="session")
def stack_environment(stack: Stack) -> dict[str, str]:
    """What a process of the stack has in its environment: AWS credentials and addresses among it."""
    return stack_variables(stack.layout)
