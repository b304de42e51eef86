"""What mail to a person says: one letter about one job, or one about many of a kind."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from html import escape

from gas.job import Job, JobStatus
from gas.mail import Letter
from gas.notice import Kind

#: Jobs that a letter names; of more it says how many.
NAMED = 50
FAREWELL = "You get this because you use GAS. Choose what you are told of, or nothing: {url}"


def letter(kind: Kind, jobs: Sequence[Job], *, web_url: str, moves_at: int | None = None) -> Letter:
    """The letter that tells an owner of these jobs.

    :param jobs: at least one.
    :param web_url: of the web app, where its links lead.
    :param moves_at: when the first of the results moves to the archive (POSIX seconds), where that is what it tells.
    """
    subject, opening, closing = _words(kind, jobs, moves_at)
    if len(jobs) > 1 or kind is not Kind.ENDED:
        named = [(job.input_file_name, _page(kind, job, web_url), _outcome(kind, job)) for job in jobs[:NAMED]]
    else:
        named = [(jobs[0].input_file_name, f"{web_url}/jobs/{jobs[0].job_id}", jobs[0].error or "")]
    more = f"... and {len(jobs) - NAMED:,} more: {web_url}/jobs/" if len(jobs) > NAMED else ""
    farewell = FAREWELL.format(url=f"{web_url}/account/notices")
    paragraphs = [opening, *(_item(*entry) for entry in named), more, closing, f"-- \n{farewell}"]
    return Letter(
        subject=f"GAS: {subject}",
        text="\n\n".join(paragraph for paragraph in paragraphs if paragraph) + "\n",
        html=_html(opening, named, more, closing, farewell),
    )


def trial(*, web_url: str) -> Letter:
    """A letter that only shows that letters arrive."""
    opening = "This is a test that you asked for: mail from GAS reaches you."
    farewell = FAREWELL.format(url=f"{web_url}/account/notices")
    return Letter(
        subject="GAS: a test", text=f"{opening}\n\n-- \n{farewell}\n", html=_html(opening, [], "", "", farewell)
    )


def _words(kind: Kind, jobs: Sequence[Job], moves_at: int | None) -> tuple[str, str, str]:
    """Subject, opening and closing."""
    first, one = jobs[0], len(jobs) == 1
    results = first.input_file_name if one else f"{len(jobs):,} results"
    if kind is Kind.ARCHIVE:
        return (
            f"{results} {'moves' if one else 'move'} to the archive soon",
            f"{'This result moves' if one else 'These results move'} to the archive on {_when(moves_at)} or later:",
            "Until then you can download what you need. Afterwards nothing is lost: summaries stay readable, and "
            "everything is brought back when you go premium.",
        )
    if kind is Kind.RESTORED:
        return (
            f"{results} {'is' if one else 'are'} back from the archive",
            f"{'This result is' if one else 'These results are'} back from the archive, ready to download:",
            "",
        )
    if kind is Kind.CHANGED:
        return (
            f"{results} annotated again: what changed",
            f"{'This file was' if one else 'These files were'} annotated again, on newer data, and something changed:",
            "Earlier results are kept as they are.",
        )
    failed = sum(job.job_status is JobStatus.FAILED for job in jobs)
    if not one:
        said = f", {failed:,} of them failed" if failed else ""
        return f"{len(jobs):,} jobs have ended{said}", "These jobs have ended:", ""
    if failed:
        return f"{first.input_file_name} could not be annotated", "This job has failed:", ""
    variants = first.counts.get("variants")
    counted = f", {variants:,} variants" if isinstance(variants, int) else ""
    return f"{first.input_file_name} is annotated", f"This job is done{counted}:", ""


def _outcome(kind: Kind, job: Job) -> str:
    if kind is Kind.CHANGED:
        return told_changes(job.changes or {})
    if kind is not Kind.ENDED:
        return ""
    return f"failed: {job.error}" if job.job_status is JobStatus.FAILED else "annotated"


def told_changes(changes: Mapping[str, Mapping[str, int]]) -> str:
    """What a re-annotation changed, as a line: ``clinical significance: 2 new, 1 lost; consequence: 3 changed``."""
    said = []
    for name, words in (("significance", "clinical significance"), ("consequence", "consequence")):
        counted = [f"{number:,} {change}" for change, number in changes.get(name, {}).items() if number]
        said += [f"{words}: {', '.join(counted)}"] if counted else []
    return "; ".join(said)


def _page(kind: Kind, job: Job, web_url: str) -> str:
    return f"{web_url}/jobs/{job.job_id}{'/changes' if kind is Kind.CHANGED else ''}"


def _when(posix_s: int | None) -> str:
    return "a day to come" if posix_s is None else f"{datetime.fromtimestamp(posix_s, UTC):%Y-%m-%d %H:%M} UTC"


def _item(name: str, url: str, said: str) -> str:
    return "\n".join(line for line in (name, url, said) if line)


def _html(opening: str, named: Sequence[tuple[str, str, str]], more: str, closing: str, farewell: str) -> str:
    items = "".join(
        f'<li><a href="{escape(url)}">{escape(name)}</a>{f"<br>{escape(said)}" if said else ""}</li>'
        for name, url, said in named
    )
    text, _, url = farewell.rpartition(" ")
    body = [
        f"<p>{escape(opening)}</p>",
        f"<ul>{items}</ul>" if items else "",
        *(f"<p>{escape(said)}</p>" for said in (more, closing) if said),
        f'<p><small>{escape(text)} <a href="{escape(url)}">{escape(url)}</a></small></p>',
    ]
    return f'<!doctype html><html lang="en"><body>{"".join(body)}</body></html>'
