"""``gas submit``, ``jobs`` and what can be done with a job: annotating on a GAS server from the command line."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable
from enum import StrEnum
from itertools import islice
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Annotated, Any, Self

import typer

from gas.cli.server import EXIT_CODES, JsonOption, ServerOption, connect, print_json, printable, say
from gas.comparison import Change
from gas.errors import GasError, InputError, JobFailed
from gas.job import JobStatus, Output

if TYPE_CHECKING:
    from gas.client import Client, Downloaded, JobJson

#: What ``gas submit --download`` fetches of each job: what a person reads or feeds to other programs.
FETCHED_AFTER_SUBMIT = (Output.VCF, Output.INDEX, Output.LOG)

#: Names in the order a person looks for them, the rest after them: the record keeps counts and outputs in none.
ORDER = (
    *("records", "variants", "annotated", "unannotated", "by_impact", "skipped"),
    *("HIGH", "MODERATE", "LOW", "MODIFIER"),
    *Output,
)

JobArgument = Annotated[str, typer.Argument(metavar="JOB", help="The job's id, as `gas jobs` shows it.")]


class Place(StrEnum):
    """Where the result of a finished job can lie."""

    HOT = "HOT"
    ARCHIVING = "ARCHIVING"
    ARCHIVED = "ARCHIVED"
    THAWING = "THAWING"


class Wanted(StrEnum):
    """What ``gas download`` can be asked for."""

    VCF = "vcf"
    INDEX = "index"
    LOG = "log"
    SUMMARY = "summary"
    TABLE = "table"
    DIGEST = "digest"
    INPUT = "input"
    ALL = "all"


def register(app: typer.Typer) -> None:
    """Add this group's commands to the ``gas`` command."""
    for name, command in (
        ("submit", submit),
        ("jobs", list_jobs),
        ("show", show),
        ("log", log),
        ("changes", changes),
        ("download", download),
        ("cancel", cancel),
        ("rerun", rerun),
        ("rename", rename),
        ("share", share),
        ("delete", delete),
    ):
        app.command(name, epilog=EXIT_CODES, rich_help_panel="A GAS server")(command)


def submit(
    files: Annotated[list[Path], typer.Argument(metavar="FILE", help="VCF (plain, gzip, bgzip) or BCF files.")],
    *,
    reference: Annotated[str, typer.Option("--reference", "-r", help="The reference genome the files are on.")],
    wait: Annotated[bool, typer.Option("--wait", help="Wait until the jobs have ended.")] = False,
    download_to: Annotated[
        Path | None,
        typer.Option("--download", metavar="DIR", help="Wait, then put annotated VCF, index and count log there."),
    ] = None,
    server: ServerOption = None,
    as_json: JsonOption = False,
) -> None:
    """Upload files and start a job for each.

    A file that is refused holds up no other: its sentence is told, and the command ends with its exit code.
    """
    troubles: list[tuple[str, GasError]] = []
    jobs: dict[str, JobJson] = {}
    fetched: list[Downloaded] = []
    with connect(server) as client:
        try:
            with _Board() as board:
                for path in files:
                    try:
                        job = client.submit(path, reference=reference, on_upload=board.bytes(f"upload {path.name}"))
                    except GasError as refusal:
                        troubles.append((str(path), refusal))
                        continue
                    jobs[job["job_id"]] = job
                    board.job(job)
                if wait or download_to is not None:
                    for job in client.watch(jobs):
                        jobs[job["job_id"]] = job
                        board.job(job)
                    troubles += [(job["file_name"], _failure(job)) for job in jobs.values() if _failed(job)]
                if download_to is not None:
                    for job in jobs.values():
                        if job["status"] != JobStatus.COMPLETED:
                            continue
                        try:
                            fetched += _fetch(client, job, FETCHED_AFTER_SUBMIT, download_to, board=board)
                        except GasError as refusal:
                            troubles.append((job["file_name"], refusal))
        finally:
            # Also when the waiting is interrupted: whoever began a job must be able to find it again.
            _report_submitted(jobs.values(), fetched, troubles, as_json=as_json)
    if troubles:
        raise typer.Exit(troubles[0][1].exit_code)


def _report_submitted(
    jobs: Iterable[JobJson], fetched: list[Downloaded], troubles: list[tuple[str, GasError]], *, as_json: bool
) -> None:
    if as_json:
        print_json(
            {
                "jobs": list(jobs),
                "files": [_file_json(file) for file in fetched],
                "errors": [{"file": file, "kind": error.kind, "error": str(error)} for file, error in troubles],
            }
        )
    else:
        for job in jobs:
            typer.echo(job["job_id"])
    for file, error in troubles:
        say(f"gas: {file}: {error}")


def list_jobs(
    *,
    name: Annotated[str | None, typer.Option(help="Only jobs with this in their file name, in any case.")] = None,
    status: Annotated[JobStatus | None, typer.Option(help="Only jobs in this state.", case_sensitive=False)] = None,
    storage: Annotated[
        Place | None, typer.Option(help="Only jobs whose result lies there.", case_sensitive=False)
    ] = None,
    reference: Annotated[str | None, typer.Option("--reference", "-r", help="Only jobs on this reference.")] = None,
    first_day: Annotated[
        str | None, typer.Option("--from", metavar="DAY", help="Only jobs submitted then or later: 2026-11-24, UTC.")
    ] = None,
    last_day: Annotated[
        str | None, typer.Option("--to", metavar="DAY", help="Only jobs submitted then or earlier.")
    ] = None,
    limit: Annotated[int, typer.Option(min=1, help="At most so many, the newest.")] = 20,
    server: ServerOption = None,
    as_json: JsonOption = False,
) -> None:
    """List your jobs, newest first."""
    with connect(server) as client:
        found = client.jobs(
            name=name,
            status=status,
            storage=storage,
            reference=reference,
            first_day=first_day,
            last_day=last_day,
            page_size=min(limit, 100),
        )
        jobs = list(islice(found, limit))
    if as_json:
        print_json({"jobs": jobs})
        return
    print_table(
        ("JOB", "STATUS", "SUBMITTED", "REFERENCE", "FILE"),
        [(job["job_id"], job["status"], job["submit_time"], job["reference"], job["file_name"]) for job in jobs],
    )


def show(job_id: JobArgument, *, server: ServerOption = None, as_json: JsonOption = False) -> None:
    """Show one job: its state, its counts, its notes and its files."""
    with connect(server) as client:
        job = client.job(job_id)
    if as_json:
        print_json(job)
        return
    rows = [
        ("job", job["job_id"]),
        ("file", job["file_name"]),
        ("reference", job["reference"]),
        ("status", _standing(job)),
        ("submitted", job["submit_time"]),
        ("started", job.get("start_time")),
        ("ended", job.get("complete_time")),
        ("error", job.get("error")),
        ("storage", _storage(job)),
    ]
    counts = job.get("counts") or {}
    rows += [(name.replace("_", " "), _count(counts[name])) for name in _ordered(counts)]
    rows += [("note", note) for note in job.get("notes") or []]
    outputs = job.get("outputs") or {}
    for name in _ordered(outputs):
        file = outputs[name]
        rows.append((name, f"{file['file_name']}  {file['size_bytes']:,} bytes  sha256 {file['sha256']}"))
    for name, value in rows:
        if value:
            typer.echo(f"{name:<12} {printable(value)}")


def log(job_id: JobArgument, *, server: ServerOption = None, as_json: JsonOption = False) -> None:
    """Print the count log of a finished job."""
    with connect(server) as client:
        text = client.log(job_id)
    if as_json:
        print_json({"job_id": job_id, "log": text})
    else:
        typer.echo(text, nl=not text.endswith("\n"))


def changes(job_id: JobArgument, *, server: ServerOption = None, as_json: JsonOption = False) -> None:
    """Show what changed since an earlier result, of a job that GAS made to annotate that one again."""
    with connect(server) as client:
        found = client.changes(job_id)
    if as_json:
        print_json(found)
        return
    for name, title in (("significance", "clinical significance"), ("consequence", "most severe consequence")):
        counted = (found["counts"] or {}).get(name, {})
        if counted:
            typer.echo(f"{title:<24} " + ", ".join(f"{counted[change]:,} {change}" for change in Change))
    for one in found["differences"]:
        allele = f"{one['chrom']}:{one['pos']} {one['ref']}>{one['alt']}"
        for name in ("significance", "consequence"):
            if one[name]:
                before, after = (one[side][name] or "-" for side in ("before", "after"))
                gene = one["after"]["gene"] or one["before"]["gene"] or ""
                typer.echo(printable(f"{allele}  {gene}  {name} {one[name]}: {before} -> {after}"))
    if found["more"]:
        typer.echo(f"... and {found['more']:,} more variants")
    if found["why_not"]:
        say(f"{found['why_not'][:1].upper()}{found['why_not'][1:]}.")


def download(
    job_id: JobArgument,
    *,
    output: Annotated[
        Wanted, typer.Option(help="Which file; `all` is everything the job made.", case_sensitive=False)
    ] = Wanted.VCF,
    to: Annotated[
        Path | None,
        typer.Option("-o", metavar="PATH", help="The file to write, or a folder (as for `all`); else the folder here."),
    ] = None,
    force: Annotated[bool, typer.Option("--force", help="Replace files of the same name.")] = False,
    server: ServerOption = None,
    as_json: JsonOption = False,
) -> None:
    """Download a file of a job, checked against the size and SHA-256 in its record."""
    with connect(server) as client, _Board() as board:
        job = client.job(job_id)
        if output is Wanted.ALL:
            outputs = job.get("outputs") or {}
            wanted = [name for name in _ordered(outputs) if outputs[name].get("available", True)]
            for name in _ordered(outputs):
                if name not in wanted:
                    say(f"the {name} is in the archive and left out: `gas show {job_id}` tells more")
            if not wanted:
                raise JobFailed(f"job {job_id} has no files to download: {_standing(job)}")
            files = _fetch(client, job, wanted, to or Path(), board=board, overwrite=force)
        else:
            bar = board.bytes(output)
            files = [client.download(job_id, output, to or Path(), overwrite=force, on_progress=bar)]
    if as_json:
        print_json({"job_id": job_id, "files": [_file_json(file) for file in files]})
    else:
        for file in files:
            typer.echo(file.path)


def cancel(job_id: JobArgument, *, server: ServerOption = None, as_json: JsonOption = False) -> None:
    """End a job before it is done; what it made so far is removed, what was uploaded stays."""
    with connect(server) as client:
        job = client.cancel(job_id)
    if as_json:
        print_json(job)
    else:
        typer.echo(f"{job['job_id']} {job['status']}")


def rerun(
    job_id: JobArgument,
    *,
    reference: Annotated[
        str | None, typer.Option("--reference", "-r", help="Another reference genome; else the job's own.")
    ] = None,
    wait: Annotated[bool, typer.Option("--wait", help="Wait until the new job has ended.")] = False,
    server: ServerOption = None,
    as_json: JsonOption = False,
) -> None:
    """Run a job that has ended again on the same input, as a new job; nothing is uploaded again."""
    with connect(server) as client:
        job = client.rerun(job_id, reference=reference)
        try:
            if wait:
                with _Board() as board:
                    job = client.wait(job["job_id"], on_change=board.job)
        finally:
            if as_json:
                print_json(job)
            else:
                typer.echo(job["job_id"])
    if _failed(job):
        raise _failure(job)


def rename(
    job_id: JobArgument,
    file_name: Annotated[str, typer.Argument(metavar="NAME", help="What its file is called from now on.")],
    *,
    server: ServerOption = None,
    as_json: JsonOption = False,
) -> None:
    """Give a job's file another name; its downloads are called after it."""
    with connect(server) as client:
        job = client.rename(job_id, file_name)
    if as_json:
        print_json(job)
    else:
        typer.echo(printable(job["file_name"]))


def share(
    job_id: JobArgument,
    *,
    days: Annotated[int, typer.Option(min=1, max=365, help="For how long the link is good.")] = 7,
    revoke: Annotated[bool, typer.Option("--revoke", help="Make every link to this result worthless.")] = False,
    links: Annotated[bool, typer.Option("--list", help="Show which links there are; their addresses are not kept.")] = (
        False
    ),
    server: ServerOption = None,
    as_json: JsonOption = False,
) -> None:
    """Make a link that shows this job's result, and nothing else, to whoever has it."""
    if revoke and links:
        raise InputError("--revoke and --list do not go together: choose one")
    with connect(server) as client:
        if revoke:
            client.unshare(job_id)
            if as_json:
                print_json({"job_id": job_id, "links": []})
        elif links:
            there = client.share_links(job_id)
            if as_json:
                print_json({"job_id": job_id, "links": there})
            else:
                print_table(
                    ("LINK", "MADE", "GOOD UNTIL"),
                    [(str(link["id"]), link["created_at"], link["expires_at"]) for link in there],
                )
        else:
            made = client.share(job_id, days=days)
            if as_json:
                print_json(made)
            else:
                typer.echo(made["url"])
                say(f"good until {made['expires_at']}; `gas share {job_id} --revoke` ends it")


def delete(
    job_id: JobArgument,
    *,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")] = False,
    server: ServerOption = None,
    as_json: JsonOption = False,
) -> None:
    """Delete a job for good: what was uploaded, and every result, wherever it lies."""
    with connect(server) as client:
        if not yes:
            job = client.job(job_id)
            say(f"{job['file_name']} of {job['submit_time']}, with all its results. This cannot be undone.")
            typer.confirm("Delete it?", abort=True, err=True)
        client.delete(job_id)
    if as_json:
        print_json({"job_id": job_id, "deleted": True})


def _storage(job: JobJson) -> str:
    """Where the result lies, and what comes next."""
    storage = job.get("storage")
    if storage is None:
        return ""
    match storage["state"]:
        case "HOT" if storage["not_before"]:
            said = f"ready to download; moves to the archive not before {storage['not_before']}"
        case "HOT":
            said = "ready to download"
        case "ARCHIVING":
            said = "ready to download; being moved to the archive"
        case "ARCHIVED":
            said = f"in the archive since {storage['archive_time']}; `gas subscribe` brings it back"
        case _ if storage["expected_by"]:
            said = f"on its way back ({storage['retrieval_tier']}), expected by {storage['expected_by']}"
        case _:
            said = "on its way back"
    return f"{said}; {storage['error']}" if storage["error"] else said


def _fetch(
    client: Client, job: JobJson, outputs: Iterable[str], folder: Path, *, board: _Board, overwrite: bool = False
) -> list[Downloaded]:
    """Several files of a job into a folder, which is made if need be."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise GasError(f"cannot make the folder {folder}: {error.strerror}") from error
    return [
        client.download(job["job_id"], output, folder, overwrite=overwrite, on_progress=board.bytes(output))
        for output in outputs
    ]


def _file_json(file: Downloaded) -> dict[str, Any]:
    return {
        "output": file.output,
        "path": str(file.path),
        "size_bytes": file.size_bytes,
        "sha256": file.sha256,
    }


def _failed(job: JobJson) -> bool:
    return job["status"] in (JobStatus.FAILED, JobStatus.CANCELLED)


def _failure(job: JobJson) -> JobFailed:
    return JobFailed(job.get("error") or f"job {job['job_id']} was {job['status'].lower()}")


def _standing(job: JobJson) -> str:
    """The status, and how far a running job is."""
    progress = job.get("progress")
    if job["status"] != JobStatus.RUNNING or not progress:
        return job["status"]
    so_far = f", {progress['done']:,} of {progress['total']:,} variants" if progress["total"] else ""
    return f"{job['status']}: {progress['stage']}{so_far}"


def _ordered(names: Iterable[str]) -> list[str]:
    return sorted(names, key=lambda name: ORDER.index(name) if name in ORDER else len(ORDER))


def _count(value: Any) -> str:
    if isinstance(value, dict):
        return ", ".join(f"{name} {_count(value[name])}" for name in _ordered(value))
    return f"{value:,}" if isinstance(value, int) else str(value)


def print_table(head: tuple[str, ...], rows: list[tuple[str, ...]]) -> None:
    """A table for a terminal; elsewhere tab-separated lines under their header, never cut short."""
    rows = [tuple(printable(cell) for cell in row) for row in rows]
    if not sys.stdout.isatty():
        for row in (head, *rows):
            typer.echo("\t".join(row))
        return
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    colours = {JobStatus.COMPLETED: "green", JobStatus.FAILED: "red", JobStatus.RUNNING: "cyan"}
    table = Table(box=None, header_style="bold", pad_edge=False)
    for name in head:
        table.add_column(name, overflow="fold", no_wrap=name != head[-1])
    for row in rows:
        # Text, not str: a file may be named "[red]".
        table.add_row(*(Text(cell, style=next((c for s, c in colours.items() if s == cell), "")) for cell in row))
    Console().print(table)


class _Board:
    """What goes on while a command runs, on stderr: bars on a terminal, a line for each change elsewhere."""

    def __init__(self) -> None:
        from rich.console import Console
        from rich.progress import BarColumn, Progress, TaskID, TextColumn, TimeElapsedColumn

        console = Console(stderr=True)
        self._bars = Progress(
            TextColumn("{task.description}", markup=False),
            BarColumn(),
            TextColumn("{task.fields[state]}", markup=False),
            TimeElapsedColumn(),
            console=console,
            redirect_stdout=False,  # what a command prints stays apart from its talk
            disable=not console.is_terminal,
        )
        self._task_of: dict[str, TaskID] = {}
        self._told: dict[str, str] = {}

    def __enter__(self) -> Self:
        self._bars.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._bars.stop()

    def bytes(self, what: str) -> Callable[[int, int], None]:
        """A callback for a transfer counted in bytes."""
        task = self._bars.add_task(printable(what), total=None, state="")

        def moved(done: int, total: int) -> None:
            self._bars.update(task, completed=done, total=total or None, state=f"{done / (1 << 20):,.1f} MiB")

        return moved

    def job(self, job: JobJson) -> None:
        """Show how a job stands now."""
        job_id, standing = job["job_id"], _standing(job)
        progress = job.get("progress") or {"done": 0, "total": 0}
        if job_id not in self._task_of:
            self._task_of[job_id] = self._bars.add_task(printable(job["file_name"]), total=None, state=standing)
        done, total = progress["done"], progress["total"] or None
        if job["status"] == JobStatus.COMPLETED:
            done, total = done or 1, done or 1
        self._bars.update(self._task_of[job_id], completed=done, total=total, state=standing)
        # Elsewhere than on a terminal a line for each state is enough: progress would fill a log.
        if self._bars.disable and self._told.get(job_id) != job["status"]:
            self._told[job_id] = job["status"]
            say(f"{job['file_name']}: job {job_id} {job['status']}")
