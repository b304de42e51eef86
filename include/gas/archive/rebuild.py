"""What is not archived because it can be made again from the VCF: its index, and the table of its consequences."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import TYPE_CHECKING

from gas.errors import GasError
from gas.job import Job, Output
from gas.objects import OUTPUT_KEYS

if TYPE_CHECKING:
    from gas.services import Services

log = logging.getLogger(__name__)

#: The longest contig that a tabix index can hold, in bases.
TBI_MAX = 1 << 29


def rebuild(services: Services, job: Job, vcf: Path) -> tuple[dict[Output, Path], str | None]:
    """The result's files, those that could be made again beside the VCF; and a sentence about those that could not.

    A failure never holds up the VCF itself.
    """
    files = {Output.VCF: vcf}
    failed: list[str] = []
    for output, make in ((Output.INDEX, make_index), (Output.TABLE, make_table)):
        path = vcf.with_name(OUTPUT_KEYS[output][0])
        try:
            make(services, job, vcf, path)
        except Exception as error:  # whatever the libraries raise: the person gets the VCF
            log.exception("the %s of job %s could not be made again", output, job.job_id)
            failed.append(f"{output} ({error})")
        else:
            files[output] = path
    trouble = f"could not be made again from the result's VCF: {', '.join(failed)}" if failed else None
    return files, trouble


def make_index(services: Services, job: Job, vcf: Path, path: Path) -> None:
    """Index the VCF as the engine does: tabix, or CSI where a contig is too long for it."""
    import pysam
    import pysam.bcftools

    verbosity = pysam.set_verbosity(0)  # htslib would complain that there is no index
    with pysam.VariantFile(str(vcf)) as opened:
        long = any((contig.length or 0) > TBI_MAX for contig in opened.header.contigs.values())
    pysam.set_verbosity(verbosity)
    pysam.bcftools.index("-c" if long else "-t", "-f", "-o", str(path), str(vcf), catch_stdout=False)


def make_table(services: Services, job: Job, vcf: Path, path: Path) -> None:
    """Write the Parquet table, with a column for each INFO field of the reference's sources that the VCF has."""
    from gas.annotation.report import write_table

    try:
        columns = services.references.get(job.reference).source_columns
    except GasError:  # the reference was removed since
        columns = ()
    write_table(vcf, path, source_columns=columns, work_dir=path.parent)
