"""``gas reference``: the reference genomes installed here."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from gas.errors import ReferenceProblem

if TYPE_CHECKING:
    from rich.progress import TaskID

    from gas.downloads import Downloads
    from gas.published import FileProgress, Offer, Publishers
    from gas.references import Reference, ReferenceStore

_AsJson = Annotated[bool, typer.Option("--json", help="Print JSON.")]
_SHOWN_CONTIGS = 10


def register(app: typer.Typer) -> None:
    """Add this group's commands to the ``gas`` command."""
    group = typer.Typer(
        no_args_is_help=True,
        help="Reference genomes: install, update, use, list, show, remove (in the folder GAS_REFERENCES).",
    )
    for name, command in (
        ("list", list_installed),
        ("install", install),
        ("update", update),
        ("use", use),
        ("add", add),
        ("show", show),
        ("remove", remove),
    ):
        group.command(name)(command)
    app.add_typer(group, name="reference")


def list_installed(as_json: _AsJson = False) -> None:
    """List the installed references; of those with several versions each, the one in force with a star."""
    store = _store()
    references = store.list()
    if as_json:
        _print_json({"references": [_brief(reference, store.versions(reference.name)) for reference in references]})
    elif not references:
        typer.echo(
            "No reference is installed. `gas reference add sars-cov-2` installs the one that ships with GAS, "
            "`gas reference install grch38` fetches the human genome."
        )
    else:
        width = max(len(reference.name) for reference in references)
        for reference in references:
            sources = ", ".join(source.name for source in reference.sources)
            typer.echo(
                f"{reference.name:<{width}}  {reference.transcripts:,} coding transcripts"
                + (f", sources: {sources}" if sources else "")
                + (f"  {reference.description}" if reference.description else "")
            )
            for version in store.versions(reference.name):
                typer.echo(f"  {'*' if version == reference else ' '} {version.version}")


def install(
    name: Annotated[str, typer.Argument(help="grch38, grch37, grcm39 or r64-1-1.")],
    release: Annotated[str, typer.Option(help="Of Ensembl; the latest unless given.", metavar="NUMBER")] = "",
    clinvar: Annotated[bool, typer.Option(help="With ClinVar, where it has variants of this genome.")] = True,
    use: Annotated[
        bool, typer.Option(help="Put it in force; jobs that are running keep the version they have.")
    ] = True,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Only say what would be fetched, and what it needs.")
    ] = False,
    as_json: _AsJson = False,
) -> None:
    """Fetch a published reference from Ensembl and ClinVar, check it, and install it as a version of its own.

    It may be interrupted at any time: the same command goes on where it stopped.
    """
    from gas import published

    with _fetching() as site:

        def look() -> Offer:
            return site.publishers.offer(name, store=site.store, release=release, clinvar=clinvar)

        if dry_run:
            _tell_offer(look(), as_json=as_json)
            return
        if not as_json:
            _tell_offer(look(), as_json=False)
        reference = published.install(
            look, store=site.store, downloads=site.downloads, use=use, said=site.said, progress=site.progress
        )
        in_force = site.store.get(name) == reference
    if as_json:
        _print_json({**reference.to_json(), "in_force": in_force})
        return
    typer.echo(f"Installed {name} {reference.version}: {reference.transcripts:,} coding transcripts.")
    for note in reference.notes:
        typer.echo(f"Note: {note}")
    typer.echo("It is in force." if in_force else f"`gas reference use {name} {reference.version}` puts it in force.")


def update(
    name: Annotated[str | None, typer.Argument(help="All that were installed with ClinVar unless given.")] = None,
    keep: Annotated[int, typer.Option(min=1, help="So many versions of each stay, and the one in force.")] = 4,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only say what is new.")] = False,
    as_json: _AsJson = False,
) -> None:
    """Look for a newer ClinVar, install it and put it in force; genome and genes stay as they are."""
    from gas import published

    with _fetching() as site:
        wanted = [r for r in published.followed(site.store) if name in (None, r.name)]
        if name is not None and not wanted:
            site.store.get(name)
            raise ReferenceProblem(
                f"{name} was not installed with ClinVar by gas reference install: nothing to follow."
            )
        if dry_run:
            offers = [site.publishers.newer(reference, store=site.store) for reference in wanted]
            if as_json:
                _print_json({"references": [_offered(offer) for offer in offers]})
            for offer in offers if not as_json else ():
                _tell_offer(offer, as_json=False)
            return
        updates = [
            published.update(
                reference,
                publishers=site.publishers,
                store=site.store,
                downloads=site.downloads,
                said=site.said,
                progress=site.progress,
            )
            for reference in wanted
        ]
        removed = {u.reference.name: list(published.prune(site.store, u.reference.name, keep=keep)) for u in updates}
    if as_json:
        _print_json(
            {
                "references": [
                    {
                        "name": u.reference.name,
                        "version": u.reference.version,
                        "new": u.new,
                        "removed": removed[u.reference.name],
                    }
                    for u in updates
                ]
            }
        )
        return
    if not updates:
        typer.echo("No reference was installed with ClinVar by `gas reference install`: there is nothing to follow.")
    for u in updates:
        name, version = u.reference.name, u.reference.version
        if u.new:
            typer.echo(f"{name} {version} is in force now.")
        elif u.offered == version:
            typer.echo(f"{name} {version} is in force, and the latest.")
        else:
            typer.echo(f"{name} {version} is in force; `gas reference use {name} {u.offered}` would put the latest.")
        for old in removed[name]:
            typer.echo(f"Removed {name} {old}.")


def use(
    name: str,
    version: Annotated[str, typer.Argument(help="As gas reference list shows it.")],
    as_json: _AsJson = False,
) -> None:
    """Put a version of a reference in force, at once; jobs that are running keep the one they have."""
    reference = _store().use(name, version)
    if as_json:
        _print_json({"name": name, "version": reference.version})
    else:
        typer.echo(f"{name} {reference.version} is in force.")


def add(
    name: Annotated[str, typer.Argument(help="What the reference shall be called.")],
    fasta: Annotated[Path | None, typer.Option(help="The genome: FASTA, plain, gzip or bgzip.", dir_okay=False)] = None,
    gff: Annotated[
        Path | None, typer.Option(help="Its genes: GFF3 of Ensembl or NCBI, plain or compressed.", dir_okay=False)
    ] = None,
    source: Annotated[
        list[str] | None,
        typer.Option(
            help="A VCF whose IDs and INFO fields are copied to matching variants; may be given several times.",
            metavar="NAME=FILE.vcf.gz:FIELD,FIELD",
        ),
    ] = None,
    description: Annotated[str, typer.Option(help="A few words on it, shown to those who choose one.")] = "",
    as_json: _AsJson = False,
) -> None:
    """Check, index and install a reference.

    `gas reference add sars-cov-2` alone installs the one that ships with GAS.
    """
    from gas.references import SARS_COV_2, NewSource, install_sars_cov_2

    store = _store()
    if fasta is None and gff is None and not source and name == SARS_COV_2:
        reference = install_sars_cov_2(store)
    elif fasta is None or gff is None:
        raise ReferenceProblem("A reference needs both --fasta and --gff.")
    else:
        reference = store.add(
            name,
            fasta=fasta,
            gff=gff,
            sources=[NewSource.parse(text) for text in source or ()],
            description=description,
            progress=lambda what: typer.echo(f"{what} ...", err=True),
        )
    if as_json:
        _print_json(reference.to_json())
        return
    typer.echo(
        f"Installed {reference.name}: {reference.transcripts:,} coding transcripts of {reference.genes:,} genes."
    )
    for note in reference.notes:
        typer.echo(f"Note: {note}")


def show(name: str, as_json: _AsJson = False) -> None:
    """Show what a reference is made of."""
    reference = _store().get(name)
    if as_json:
        _print_json(reference.to_json())
        return
    typer.echo(f"{reference.name}  {reference.description}".rstrip())
    typer.echo(f"  folder       {reference.folder}")
    if reference.version:
        typer.echo(f"  version      {reference.version}")
    typer.echo(f"  genes        {reference.genes:,}, coding transcripts {reference.transcripts:,}")
    for contig in reference.contigs[:_SHOWN_CONTIGS]:
        spellings = sorted(spelling for spelling, own in reference.aliases.items() if own == contig.name)
        also = f"  (also {', '.join(spellings)})" if spellings else ""
        typer.echo(f"  contig       {contig.name}  {contig.length:,} bases{also}")
    if len(reference.contigs) > _SHOWN_CONTIGS:
        typer.echo(f"  contig       ... and {len(reference.contigs) - _SHOWN_CONTIGS:,} more")
    for source in reference.sources:
        fields = ", ".join(source.columns.values()) or "IDs only"
        typer.echo(f"  source       {source.name}: {source.version or 'release not named in the file'}; {fields}")
        typer.echo(f"               SHA-256 {source.sha256}")
    typer.echo(f"  FASTA        SHA-256 {reference.fasta_sha256}")
    typer.echo(f"  GFF3         SHA-256 {reference.gff_sha256}")
    for note in reference.notes:
        typer.echo(f"  note         {note}")


def remove(name: str, as_json: _AsJson = False) -> None:
    """Remove a reference and its sources, all versions of it."""
    _store().remove(name)
    if as_json:
        _print_json({"removed": name})
    else:
        typer.echo(f"Removed {name}.")


def _store() -> ReferenceStore:
    from gas.references import ReferenceStore
    from gas.settings import Settings

    return ReferenceStore(Settings.from_environment().references)


@dataclass(frozen=True, kw_only=True)
class _Site:
    """What fetching a reference takes."""

    store: ReferenceStore
    downloads: Downloads
    publishers: Publishers
    said: Callable[[str], None]
    progress: FileProgress


@contextmanager
def _fetching() -> Iterator[_Site]:
    """With a progress bar on standard error where that is a terminal, else a line for each step."""
    from gas.downloads import Downloads
    from gas.published import Publishers
    from gas.references import ReferenceStore
    from gas.settings import Settings

    settings = Settings.from_environment()
    store, downloads = ReferenceStore(settings.references), Downloads()
    publishers = Publishers(settings, downloads)
    try:
        with _bar() as (said, progress):
            yield _Site(store=store, downloads=downloads, publishers=publishers, said=said, progress=progress)
    finally:
        downloads.close()


@contextmanager
def _bar() -> Iterator[tuple[Callable[[str], None], FileProgress]]:
    if not sys.stderr.isatty():
        yield lambda what: typer.echo(f"{what} ...", err=True), lambda _name, _there, _total: None
        return
    from rich.console import Console
    from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TimeRemainingColumn, TransferSpeedColumn

    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        DownloadColumn(),
        TransferSpeedColumn(),
        TimeRemainingColumn(),
    )
    console = Console(stderr=True)
    with Progress(*columns, console=console) as bar:
        tasks: dict[str, TaskID] = {}

        def progress(name: str, there: int, total: int) -> None:
            if name not in tasks:
                tasks[name] = bar.add_task(name)
            bar.update(tasks[name], completed=there, total=total or None)

        yield lambda what: console.print(f"{what} ..."), progress


def _tell_offer(offer: Offer, *, as_json: bool) -> None:
    from rich.filesize import decimal

    if as_json:
        _print_json(_offered(offer))
    elif offer.there is not None:
        typer.echo(f"{offer.name} {offer.version} is installed.")
    else:
        typer.echo(
            f"{offer.name} {offer.version}: {decimal(offer.download_bytes)} to fetch, "
            f"{decimal(offer.needed_bytes)} of disk meanwhile."
        )
        for file in offer.files.values():
            typer.echo(f"  {file.url}  {decimal(file.size)}")


def _offered(offer: Offer) -> dict[str, object]:
    return {
        "name": offer.name,
        "version": offer.version,
        "installed": offer.there is not None,
        "download_bytes": offer.download_bytes,
        "needed_bytes": offer.needed_bytes,
        "files": {part: file.url for part, file in offer.files.items()},
    }


def _brief(reference: Reference, versions: Sequence[Reference]) -> dict[str, object]:
    return {
        "name": reference.name,
        "version": reference.version,
        "versions": [version.version for version in versions],
        "description": reference.description,
        "contigs": len(reference.contigs),
        "transcripts": reference.transcripts,
        "sources": [{"name": s.name, "version": s.version, "date": s.date} for s in reference.sources],
    }


def _print_json(value: object) -> None:
    typer.echo(json.dumps(value, indent=2))
