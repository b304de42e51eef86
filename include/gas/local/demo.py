"""The demonstration: a real VCF goes through the whole of GAS, and what came out is shown."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import httpx
from rich.progress import BarColumn, Progress, SpinnerColumn, TextColumn
from rich.table import Table

from gas.errors import Unavailable
from gas.job import Job, JobStatus, Output
from gas.local import contents
from gas.local.console import Narrator
from gas.local.globus_standin import ALICE
from gas.local.layout import StackError
from gas.local.signals import interruptible
from gas.local.stack import Stack
from gas.profiles_table import Profile
from gas.references import SARS_COV_2, demo_vcf
from gas.services import Services
from gas.settings import Settings
from gas.submission import NotStarted, begin_upload, submit

_JOB_TIMEOUT_S = 300.0
_POLL_S = 0.1
_SUMMARY_BYTES = 16 << 20
_ROW_COLUMNS = ("pos", "ref", "alt", "gene", "transcript", "consequence", "impact", "protein_change")


def demonstrate(stack: Stack, *, once: bool) -> bool:
    """Run the demonstration and return whether its job completed.

    The stack is stopped at the end, unless it ran before.

    :param once: stop after the job instead of staying until Ctrl-C or SIGTERM.
    """
    narrator = Narrator()
    with interruptible():
        began = time.monotonic()
        with narrator:
            started = stack.up(told=narrator.told, waiting=narrator.waiting)
        try:
            if not started:
                narrator.say("The stack is up already.")
            times = {"start": time.monotonic() - began} if started else {}
            completed = _annotate(contents.services(stack.layout), narrator, times)
            narrator.sign_in_hints(stack.layout)
            if not once:
                narrator.say("\nThe job is Alice's: sign in as Alice to see it. Ctrl-C stops everything.")
                threading.Event().wait()
        except KeyboardInterrupt:
            narrator.say("")
            completed = not once
        finally:
            if started:
                narrator.say("Stopping the stack; its jobs are kept.")
                stack.down()
    return completed


def _annotate(services: Services, narrator: Narrator, before: Mapping[str, float]) -> bool:
    vcf = demo_vcf()
    alice = services.profiles.ensure(ALICE, name="Alice Example", email="alice@uchicago.example")
    narrator.say(f"\n[bold]Annotating {vcf.name}[/] ({vcf.stat().st_size:,} bytes) as Alice, on {SARS_COV_2}")
    began = time.monotonic()
    job = _submit(services, alice, vcf)
    submitted = time.monotonic()
    job, running_after_s = _watch(services, job, narrator)
    done = time.monotonic()
    if job.job_status is not JobStatus.COMPLETED:
        narrator.say(f"[red]The job ended as {job.job_status}:[/] {job.error}")
        return False
    summary = json.loads(services.objects.read_text(job.outputs[Output.SUMMARY], _SUMMARY_BYTES))
    _show_result(services.settings, job, summary, narrator)
    engine: dict[str, float] = summary["timings_s"]
    narrator.times(
        {
            **before,
            "upload": submitted - began,
            "wait for a worker": running_after_s,
            **engine,
            "store": max(0.0, done - submitted - running_after_s - sum(engine.values())),
        }
    )
    return True


def _submit(services: Services, profile: Profile, vcf: Path) -> Job:
    """Upload by the form a browser gets, then submit, again while Airflow is not to be had."""
    content = vcf.read_bytes()
    upload = begin_upload(services, profile=profile, file_name=vcf.name, size_bytes=len(content), reference=SARS_COV_2)
    sent = httpx.post(upload.url, data=upload.fields, files={"file": (vcf.name, content)}, trust_env=False)
    if not sent.is_success:
        raise StackError(f"the upload was refused with HTTP status {sent.status_code}: {sent.text}")
    deadline = time.monotonic() + _JOB_TIMEOUT_S
    while True:
        try:
            return submit(services, profile=profile, job_id=upload.job_id, file_name=vcf.name, reference=SARS_COV_2)
        except NotStarted:
            if time.monotonic() > deadline:
                raise
            time.sleep(_POLL_S)


def _watch(services: Services, job: Job, narrator: Narrator) -> tuple[Job, float]:
    """Show the job's progress until it ends; returns it, and after how many seconds it was seen running."""
    began = time.monotonic()
    running_after_s: float | None = None
    shown: tuple[str, str] | None = None
    with Progress(
        SpinnerColumn(),
        TextColumn("{task.fields[status]:<9}"),
        BarColumn(),
        TextColumn("{task.description}"),
        console=narrator.console,
        transient=True,
        disable=not narrator.console.is_terminal,
    ) as bar:
        task = bar.add_task("waiting for a worker", total=None, status=str(job.job_status))
        while not job.job_status.ended:
            if time.monotonic() - began > _JOB_TIMEOUT_S:
                raise Unavailable(f"the job did not end in {_JOB_TIMEOUT_S:.0f} s; Airflow's pages say where it stands")
            time.sleep(_POLL_S)
            job = services.jobs.get(job.job_id)
            if job.job_status is not JobStatus.PENDING and running_after_s is None:
                running_after_s = time.monotonic() - began
            stage = job.progress.stage if job.progress else ""
            if job.progress:
                bar.update(task, description=stage, completed=job.progress.done, total=job.progress.total or None)
            bar.update(task, status=str(job.job_status))
            if shown != (job.job_status, stage) and not narrator.console.is_terminal:
                narrator.say(f"  {job.job_status} {stage}".rstrip())
            shown = (job.job_status, stage)
    return job, running_after_s or 0.0


def _show_result(settings: Settings, job: Job, summary: Mapping[str, Any], narrator: Narrator) -> None:
    counts = summary["counts"]
    narrator.say(
        f"[green]✓[/] {counts['variants']:,} variants in {counts['records']:,} records; "
        f"{counts['annotated']:,} have a consequence\n"
    )
    narrator.console.print(_counted("variants by consequence", summary["by_consequence"]))
    narrator.say("\n[bold]the first annotated rows[/]")
    narrator.console.print(_rows(summary["first_rows"]))
    vcf = job.outputs[Output.VCF]
    narrator.say(f"\n[bold]result[/]   {settings.web_url}/jobs/{job.job_id}")
    narrator.say(f"         s3://{vcf.bucket}/{vcf.key} ({vcf.size_bytes:,} bytes)")


def _counted(title: str, counts: Mapping[str, int]) -> Table:
    table = Table(box=None, pad_edge=False, header_style="bold")
    table.add_column(title)
    table.add_column("", justify="right")
    for name, count in sorted(counts.items(), key=lambda entry: (-entry[1], entry[0])):
        table.add_row(name.replace("_", " "), f"{count:,}")
    return table


def _rows(rows: list[dict[str, Any]]) -> Table:
    table = Table(box=None, pad_edge=False, header_style="dim")
    for column in _ROW_COLUMNS:
        table.add_column(column.replace("_", " "), justify="right" if column == "pos" else "left", no_wrap=True)
    for row in rows:
        table.add_row(*(_words(column, row[column]) for column in _ROW_COLUMNS))
    return table


def _words(column: str, value: object) -> str:
    if value is None:
        return ""
    return str(value).replace("_", " ") if column == "consequence" else str(value)
