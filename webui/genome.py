"""The genome view of a result: igv.js, which reads the result and the reference by themselves, in stretches.

The result is read from the object store. Each request asks for ``/api/v1/jobs/<job_id>/download/vcf`` (or ``index``)
and is sent on to a link that is good for some minutes, so a page that stays open never holds one that has expired, and
loses sight of a result that is archived or deleted meanwhile. The reference is read from this server.

igv.js comes from the package ``igv-notebook``, which is never imported.
"""

from __future__ import annotations

import importlib.util
import re
import struct
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import cache
from io import BytesIO
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlsplit

from flask import Response, render_template, request, send_file
from flask_appbuilder import AppBuilder, BaseView
from flask_appbuilder.api import expose

from gas.errors import Archived, InputError, NotFound, ReferenceProblem
from gas.explore.table import Table
from gas.explore.view import Condition, Operator, Order, View, default_columns
from gas.job import Job, Output
from gas.objects import OUTPUT_KEYS
from gas.references import Reference
from webui import headers
from webui.access import permitted
from webui.account import current_account, public_form, services
from webui.api import GasApi
from webui.explore import LABELS, genome_href
from webui.explore_api import table_of, tables
from webui.pages import owned_job

#: Bases to either side of a chosen variant: narrow enough for igv.js to write the letters of the sequence.
MARGIN = 40
#: Rows of the chosen place that are said beside the view.
MAX_ROWS = 50
#: A genome's files change only when an operator installs it anew; its address then has another ``v``.
REFERENCE_MAX_AGE_S = 30 * 86400
IGV_MAX_AGE_S = 86400
#: igv.js puts two style elements into a page as it is loaded (of its colour picker and its circular view). Their
#: texts, by hash: of another version's the browser would leave out, which nothing here needs.
IGV_STYLES = (
    "sha256-ITHmamcImsZ/Je1xrdtDLZVvRSpj1Zokb6uHXORB824=",
    "sha256-NTwDUA6nIvRRpI2lIBtHJqkV0TlTj4HVmI6vI81fIfM=",
)

#: The empty block that a whole BGZF file ends with (https://samtools.github.io/hts-specs/SAMv1.pdf, 4.1.2).
_BGZF_END = bytes.fromhex("1f8b08040000000000ff0600424302001b0003000000000000000000")
_LOCUS = re.compile(r"(?P<chrom>.{1,200}):(?P<start>[0-9][0-9,]{0,13})(?:-(?P<end>[0-9][0-9,]{0,13}))?")


def register(builder: AppBuilder) -> None:
    """Add the page, the library and the files of references to ``builder``."""
    builder.add_view_no_menu(GenomeView)
    builder.add_view_no_menu(IgvView)
    builder.add_api(ReferenceFilesApi)


@dataclass(frozen=True, slots=True, kw_only=True)
class Locus:
    """A place in the result, under the result's name of the contig; 1-based, both ends included."""

    chrom: str
    start: int
    end: int

    @classmethod
    def parse(cls, text: str) -> Locus:
        """Read ``chr21:25,891,784`` or ``chr21:25891700-25891800``.

        :raises InputError: when it is neither.
        """
        match = _LOCUS.fullmatch(text)
        if match is None:
            raise InputError("A place is written contig:position or contig:start-end, such as chr21:25891784.")
        start = int(match["start"].replace(",", ""))
        end = int(match["end"].replace(",", "")) if match["end"] else start
        if not 1 <= start <= end:
            raise InputError("A place begins at 1 at the earliest, and ends where it begins at the earliest.")
        return cls(chrom=match["chrom"], start=start, end=end)

    def __str__(self) -> str:
        return f"{self.chrom}:{self.start}" + (f"-{self.end}" if self.end != self.start else "")

    @property
    def said(self) -> str:
        """For a person."""
        return f"{self.chrom}:{self.start:,}" + (f" to {self.end:,}" if self.end != self.start else "")


class GenomeView(BaseView):
    """The page."""

    route_base = "/jobs"
    default_view = "genome"

    @expose("/<job_id>/genome")
    @permitted
    def genome(self, job_id: str) -> str:
        account = current_account()
        job = owned_job(job_id, account)
        form = public_form(job, account)
        try:
            stored = table_of(job, account)
            reference = services().references.get(job.reference)
        except (Archived, NotFound, ReferenceProblem) as absent:
            return render_template("gas/genome.html", job=form, absent=str(absent))
        with tables().open(stored) as table:
            asked = request.args.get("locus", "").strip()
            locus = Locus.parse(asked) if asked else _first(table)
            if locus is None:
                return render_template("gas/genome.html", job=form, absent="The result has no variants to look at.")
            shown = _shown(table, job, locus)
        vcf = services().objects.presigned_download(job.outputs[Output.VCF], file_name="origin")
        parts = urlsplit(vcf)
        headers.allow_connect(f"{parts.scheme}://{parts.netloc}")
        headers.allow_style_attributes(*IGV_STYLES)
        igv = igv_config(job, reference, locus)  # "config" in a template is Flask's, with its secrets
        return render_template("gas/genome.html", job=form, locus=locus, igv=igv, labels=LABELS, **shown)


class IgvView(BaseView):
    """The library, out of its package."""

    route_base = "/static"
    default_view = "script"

    @expose("/igv.js")
    def script(self) -> Response:
        return send_file(igv_script(), mimetype="text/javascript", max_age=IGV_MAX_AGE_S)


class ReferenceFilesApi(GasApi):
    """The genome and the genes of a reference, for whatever reads them in stretches."""

    route_base = "/api/v1/references"
    openapi_spec_tag = "References"

    @expose("/<name>/<file>")
    @permitted
    def file(self, name: str, file: str) -> Response:
        """A file of a reference
        ---
        get:
          summary: The genome or the genes of a reference, whole or in part (Range)
          parameters:
          - {in: path, name: name, required: true, schema: {type: string}}
          - in: path
            name: file
            required: true
            schema:
              type: string
              enum: [genome.fa.gz, genome.fa.gz.fai, genome.fa.gz.gzi, genes.gff3.gz, genes.gff3.gz.tbi, aliases.tsv]
          responses:
            200:
              description: The file
              content:
                application/octet-stream: {schema: {type: string, format: binary}}
                text/tab-separated-values: {schema: {type: string}}
            206:
              description: The part asked for
              content: {application/octet-stream: {schema: {type: string, format: binary}}}
            304: {description: It is as the caller has it}
            401: {$ref: '#/components/responses/Unauthorized'}
            404: {$ref: '#/components/responses/NotFound'}
            416: {$ref: '#/components/responses/NoSuchPart'}
        """
        try:
            reference = services().references.get(name)
        except ReferenceProblem as error:
            raise NotFound(str(error)) from None
        if file not in REFERENCE_FILES:
            raise NotFound(f"The files of a reference are {', '.join(REFERENCE_FILES)}.")
        try:
            made = REFERENCE_FILES[file](reference)
            source = made if isinstance(made, Path) else BytesIO(made)
            response = send_file(source, mimetype="application/octet-stream", max_age=REFERENCE_MAX_AGE_S)
        except FileNotFoundError:
            raise NotFound(f"The reference {name} has no {file}.") from None
        response.cache_control.public = None
        response.cache_control.private = True
        return response


def _aliases(reference: Reference) -> bytes:
    """A line for each contig: its own name, and the other spellings of it."""
    spelled: dict[str, list[str]] = {contig.name: [contig.name] for contig in reference.contigs}
    for alias, name in reference.aliases.items():
        spelled[name].append(alias)
    return "".join("\t".join(names) + "\n" for names in spelled.values()).encode()


def _block_index(reference: Reference) -> bytes:
    """Where the blocks of the compressed genome begin, the empty one at its end among them.

    htslib's index leaves that one out, which is as good; igv.js 3.1 then finds no sequence in the last block (and so
    none at all in a small genome), for it takes a block to end where the next begins.
    """
    index, genome = Path(f"{reference.fasta}.gzi").read_bytes(), reference.fasta
    end = genome.stat().st_size - len(_BGZF_END)
    with genome.open("rb") as file:
        file.seek(end - 4)
        held, mark = file.read(4), file.read()
    (blocks,) = struct.unpack_from("<Q", index)
    last = struct.unpack_from("<QQ", index, 16 * blocks - 8) if blocks else (0, 0)
    if mark != _BGZF_END or last[0] == end:
        return index
    # A block ends with the number of bytes that it holds.
    total = last[1] + int.from_bytes(held, "little")
    return struct.pack("<Q", blocks + 1) + index[8:] + struct.pack("<QQ", end, total)


#: The files that are given out: nothing of a request's path reaches the disk.
REFERENCE_FILES: Mapping[str, Callable[[Reference], Path | bytes]] = {
    "genome.fa.gz": lambda reference: reference.fasta,
    "genome.fa.gz.fai": lambda reference: Path(f"{reference.fasta}.fai"),
    "genome.fa.gz.gzi": _block_index,
    "genes.gff3.gz": lambda reference: reference.gff,
    "genes.gff3.gz.tbi": lambda reference: Path(f"{reference.gff}.tbi"),
    "aliases.tsv": _aliases,
}


@cache
def igv_script() -> Path:
    """igv.js on this machine.

    :raises NotFound: when its package is not installed.
    """
    package = importlib.util.find_spec("igv_notebook")  # imports nothing of it
    for folder in (package.submodule_search_locations or ()) if package else ():
        script = Path(folder) / "js" / "igv.iife.js"
        if script.is_file():
            return script
    raise NotFound("The genome view needs the package igv-notebook, which this server does not have.")


def igv_config(job: Job, reference: Reference, locus: Locus) -> dict[str, Any]:
    """What igv.js is to show. It is told of everything: what it is not told, it would ask of other hosts.

    :raises InputError: when the place is outside the reference.
    """
    own = reference.aliases.get(locus.chrom, locus.chrom)
    length = next((contig.length for contig in reference.contigs if contig.name == own), None)
    if length is None or locus.end > length:
        raise InputError(f"{locus.said} is no place of the reference {reference.name}.")
    files = f"/api/v1/references/{quote(reference.name)}"
    version = f"?v={reference.fasta_sha256[:12]}{reference.gff_sha256[:12]}"

    def address(file: str) -> str:
        return f"{files}/{file}{version}"

    download = f"/api/v1/jobs/{job.job_id}/download"
    start, end = max(locus.start - MARGIN, 1), min(locus.end + MARGIN, length)
    return {
        "reference": {
            "id": f"gas-{reference.name}",
            "name": reference.name,
            "fastaURL": address("genome.fa.gz"),
            "indexURL": address("genome.fa.gz.fai"),
            "compressedIndexURL": address("genome.fa.gz.gzi"),
            "aliasURL": address("aliases.tsv"),
            "wholeGenomeView": False,
        },
        "locus": f"{own}:{start}-{end}",
        "loadDefaultGenomes": False,
        "genomeList": [],
        "search": False,
        "showSVGButton": False,
        "roi": [
            {
                "name": "Chosen",
                "color": "rgba(11, 107, 99, 0.12)",
                "features": [{"chr": own, "start": locus.start - 1, "end": locus.end}],
            }
        ],
        "tracks": [
            {"type": "sequence", "name": "Sequence", "order": 0},
            {
                "type": "annotation",
                "format": "gff3",
                "name": "Genes",
                "url": address("genes.gff3.gz"),
                "indexURL": address("genes.gff3.gz.tbi"),
                "displayMode": "EXPANDED",
                "nameField": "Name",
                "order": 1,
            },
            {
                "type": "variant",
                "format": "vcf",
                "name": "Variants",  # igv.js takes a name for HTML, so it is not the file's
                "url": f"{download}/vcf",
                "indexURL": f"{download}/index",
                "filename": OUTPUT_KEYS[Output.VCF][0],
                "displayMode": "EXPANDED",
                "order": 2,
            },
        ],
    }


def _shown(table: Table, job: Job, locus: Locus) -> dict[str, Any]:
    """The rows of the chosen place, and the way to the variants before and after it."""
    columns = default_columns(table.schema)
    base = f"/jobs/{job.job_id}/table"
    here = View(
        columns=columns,
        conditions=(_on(locus), _at("pos", Operator.BETWEEN, locus.start, locus.end)),
        limit=MAX_ROWS,
    )
    before = _nearest(table, locus, _at("pos", Operator.LESS, locus.start), descending=True)
    after = _nearest(table, locus, _at("pos", Operator.MORE, locus.end), descending=False)
    return {
        "columns": columns,
        "rows": table.page(here).rows,
        "total": table.total(here),
        "table_href": f"{base}?{replace(here, limit=View(columns=columns).limit).query(table.schema)}",
        "before": before and genome_href(job.job_id, str(before)),
        "after": after and genome_href(job.job_id, str(after)),
    }


def _on(locus: Locus) -> Condition:
    return Condition(column="chrom", operator=Operator.IS, values=(locus.chrom,))


def _at(column: str, operator: Operator, *values: int) -> Condition:
    return Condition(column=column, operator=operator, values=values)


def _nearest(table: Table, locus: Locus, where: Condition, *, descending: bool) -> Locus | None:
    """The variant next to a place on its contig."""
    view = View(
        columns=("chrom", "pos"),
        conditions=(_on(locus), where),
        sort=(Order(column="pos", descending=descending),),
        limit=1,
    )
    return _locus_of(table.page(view).rows)


def _first(table: Table) -> Locus | None:
    return _locus_of(table.page(View(columns=("chrom", "pos"), limit=1)).rows)


def _locus_of(rows: list[tuple[Any, ...]]) -> Locus | None:
    return Locus(chrom=rows[0][0], start=rows[0][1], end=rows[0][1]) if rows else None
