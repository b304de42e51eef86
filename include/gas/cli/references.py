"""``gas reference``: the reference genomes installed here."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from gas.errors import ReferenceProblem

if TYPE_CHECKING:
    from gas.references import Reference, ReferenceStore

_AsJson = Annotated[bool, typer.Option("--json", help="Print JSON.")]
_SHOWN_CONTIGS = 10


def register(app: typer.Typer) -> None:
    """Add this group's commands to the ``gas`` command."""
    group = typer.Typer(
        no_args_is_help=True, help="Reference genomes: install, list, show, remove (in the folder GAS_REFERENCES)."
    )
    for name, command in (("list", list_installed), ("add", add), ("show", show), ("remove", remove)):
        group.command(name)(command)
    app.add_typer(group, name="reference")


def list_installed(as_json: _AsJson = False) -> None:
    """List the installed references."""
    references = _store().list()
    if as_json:
        _print_json({"references": [_brief(reference) for reference in references]})
    elif not references:
        typer.echo("No reference is installed. `gas reference add sars-cov-2` installs the one that ships with GAS.")
    else:
        width = max(len(reference.name) for reference in references)
        for reference in references:
            sources = ", ".join(source.name for source in reference.sources)
            typer.echo(
                f"{reference.name:<{width}}  {reference.transcripts:,} coding transcripts"
                + (f", sources: {sources}" if sources else "")
                + (f"  {reference.description}" if reference.description else "")
            )


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
    """Remove a reference and its sources."""
    _store().remove(name)
    if as_json:
        _print_json({"removed": name})
    else:
        typer.echo(f"Removed {name}.")


def _store() -> ReferenceStore:
    from gas.references import ReferenceStore
    from gas.settings import Settings

    return ReferenceStore(Settings.from_environment().references)


def _brief(reference: Reference) -> dict[str, object]:
    return {
        "name": reference.name,
        "description": reference.description,
        "contigs": len(reference.contigs),
        "transcripts": reference.transcripts,
        "sources": [{"name": s.name, "version": s.version, "date": s.date} for s in reference.sources],
    }


def _print_json(value: object) -> None:
    typer.echo(json.dumps(value, indent=2))
