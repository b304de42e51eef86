"""A small Ensembl and ClinVar on loopback: one made genome, in the publishers' trees and with their checksums."""

from __future__ import annotations

import gzip
import hashlib
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from gas.downloads import bsd_sum_of
from gas.settings import Settings
from tests.unit.made_genome import make_genome
from tests.web_files import WebFiles, serving


@dataclass
class Mirror:
    """Ensembl under ``/pub``, ClinVar under ``/clinvar``."""

    web: WebFiles
    fasta: bytes
    gff: bytes
    known: list[str]
    """The lines of a VCF with the INFO fields that ClinVar has."""

    @property
    def variables(self) -> dict[str, str]:
        """The settings that lead here."""
        return {"GAS_ENSEMBL_URL": f"{self.web.url}/pub", "GAS_CLINVAR_URL": f"{self.web.url}/clinvar"}

    def settings(self, folder: Path) -> Settings:
        """Settings with this mirror, and references in ``folder``."""
        return Settings.of({**self.variables, "GAS_REFERENCES": str(folder)})

    def release(self, release: str, *, latest: bool = True) -> None:
        """Publish the genome and its genes as a release of Ensembl's, for both human assemblies."""
        if latest:
            self.web.put("/pub/VERSION", f"{release}\n".encode())
        for root, assembly in (("/pub", "GRCh38"), ("/pub/grch37", "GRCh37")):
            base = f"{root}/release-{release}"
            for folder, name, body in (
                ("fasta/homo_sapiens/dna", f"Homo_sapiens.{assembly}.dna.primary_assembly.fa.gz", self.fasta),
                ("gff3/homo_sapiens", f"Homo_sapiens.{assembly}.{release}.gff3.gz", self.gff),
            ):
                self.web.put(f"{base}/{folder}/{name}", body)
                line = f"{_sum(body)} {name}\n00001     1 README\n"
                self.web.put(f"{base}/{folder}/CHECKSUMS", line.encode())

    def clinvar(self, day: str, *, leave: int = 0) -> bytes:
        """Publish a ClinVar of this day (``20261116``) without its last ``leave`` records; the file."""
        lines = self.known[: len(self.known) - leave]
        text = "\n".join(line.replace("20260101", day) for line in lines) + "\n"
        body = gzip.compress(text.encode(), mtime=0)
        for folder in ("vcf_GRCh38", "vcf_GRCh37"):
            path = f"/clinvar/{folder}/clinvar.vcf.gz"
            self.web.put(path, body)
            digest = hashlib.md5(body, usedforsecurity=False).hexdigest()
            self.web.put(f"{path}.md5", f"{digest}  /clinvar/{folder}/clinvar_{day}.vcf.gz\n".encode())
        return body


@contextmanager
def mirrored() -> Iterator[Mirror]:
    """Release 115 (87 of GRCh37) and a ClinVar of 16 November 2026, served while the block lasts."""
    with tempfile.TemporaryDirectory() as name, serving() as web:
        folder = Path(name)
        make_genome(folder, genes=6)
        known = (folder / "made-known.vcf").read_text().replace("SIG", "CLNSIG").splitlines()
        spare = '##INFO=<ID={},Number=.,Type=String,Description="Another of ClinVar\'s fields">'
        known[2:2] = [spare.format("CLNREVSTAT"), spare.format("CLNDN")]
        mirror = Mirror(
            web=web,
            fasta=gzip.compress((folder / "made.fa").read_bytes(), mtime=0),
            gff=gzip.compress((folder / "made.gff3").read_bytes(), mtime=0),
            known=known,
        )
        mirror.release("87", latest=False)
        mirror.release("115")
        mirror.clinvar("20261116")
        yield mirror


def _sum(body: bytes) -> str:
    with tempfile.NamedTemporaryFile() as file:
        file.write(body)
        file.flush()
        return f"{bsd_sum_of(Path(file.name)):05d} {-(-len(body) // 1024):5d}"
