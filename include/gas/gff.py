"""Gene models: GFF3 as Ensembl, NCBI or GenBank converters write it, into the one form that ``bcftools csq`` reads.

``csq`` wants ``gene:`` <- ``transcript:`` <- ``CDS``/``exon``/UTR with a biotype it knows. What it cannot link it drops
without a word (an NCBI file leaves 99 % of variants unannotated, exit code 0), and on an inconsistent reading frame it
stops. So every file is read into gene models here, checked, and written anew:

- ``gene -> CDS`` without a transcript (viruses, bacteria) gets one transcript for each protein;
- parts of a CDS that overlap or nearly touch (ribosomal slippage, as in SARS-CoV-2's ORF1ab) keep their own CDS lines
  and share one exon, since no intron lies between them;
- untranslated regions that the file does not name are what the CDS leaves of the exons (``csq`` would call a variant
  there an intron's);
- mature peptides, stem loops, alignments and the like are left out.

Coordinates are 1-based and closed, as in GFF3.
"""

from __future__ import annotations

import gzip
import re
import sys
import zlib
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path
from typing import NamedTuple
from urllib.parse import unquote

from gas.errors import ReferenceProblem

#: Biotypes ``csq`` treats as coding and as non-coding, by the prefixes it compares (bcftools 1.24, gff.c).
_CODING = (
    "protein_coding", "polymorphic_pseudogene", "IG_C", "IG_D", "IG_J", "IG_LV", "IG_V", "TR_C", "TR_D", "TR_J", "TR_V",
    "nonsense_mediated_decay", "NMD", "non_stop_decay",
)  # fmt: skip
_NON_CODING = (
    "pseudogene", "processed_transcript", "processed_pseudogene", "artifact", "antisense", "ambiguous_orf",
    "IG_pseudogene", "IG_C_pseudogene", "IG_J_pseudogene", "IG_V_pseudogene", "TR_V_pseudogene", "TR_J_pseudogene",
    "Mt_tRNA", "Mt_rRNA", "lincRNA", "lncRNA", "macro_lncRNA", "misc_RNA", "miRNA", "rRNA", "ribozyme",
    "retained_intron", "retrotransposed", "snRNA", "sRNA", "scRNA", "scaRNA", "snoRNA", "sense_intronic",
    "sense_overlapping", "tRNA_pseudogene", "transcribed_processed_pseudogene", "transcribed_unprocessed_pseudogene",
    "transcribed_unitary_pseudogene", "translated_unprocessed_pseudogene", "translated_processed_pseudogene",
    "known_ncrna", "unitary_pseudogene", "unprocessed_pseudogene", "LRG_gene", "3prime_overlapping_ncRNA",
    "3_prime_overlapping_ncRNA", "disrupted_domain", "vaultRNA", "bidirectional_promoter_lncRNA",
)  # fmt: skip

#: NCBI's transcript types that ``csq`` has no word for.
_NCBI_BIOTYPES = {
    "lnc_RNA": "lncRNA",
    "antisense_RNA": "antisense",
    "pseudogenic_transcript": "pseudogene",
    "transcript": "processed_transcript",
    "primary_transcript": "misc_RNA",
    "ncRNA": "misc_RNA",
    "tRNA": "misc_RNA",
    "tmRNA": "misc_RNA",
    "guide_RNA": "misc_RNA",
    "RNase_P_RNA": "misc_RNA",
    "RNase_MRP_RNA": "misc_RNA",
    "SRP_RNA": "misc_RNA",
    "telomerase_RNA": "misc_RNA",
    "Y_RNA": "misc_RNA",
    "vault_RNA": "vaultRNA",
    "mRNA": "protein_coding",
}

_PARTS = frozenset({"CDS", "exon", "five_prime_UTR", "three_prime_UTR"})
_GENES = frozenset({"gene", "pseudogene", "ncRNA_gene", "transposable_element_gene"})
#: Two parts of a CDS closer than this many bases have no intron between them: the ribosome slips there.
_SHORTEST_INTRON = 10
_COLUMNS = 9
_UNSAFE = re.compile(r"[\s,;|=&%@*]+")
_PREFIX = re.compile(r"^(gene:|transcript:|CDS:|gene-|rna-|cds-|id-)")


class Part(NamedTuple):
    """One CDS, exon or UTR line of a transcript; ``phase`` is -1 where the file gives none."""

    start: int
    end: int
    phase: int = -1


@dataclass(slots=True, kw_only=True)
class Gene:
    """A gene; ``name`` is what ``csq`` prints."""

    id: str
    name: str
    contig: str
    strand: str
    start: int
    end: int


@dataclass(slots=True, kw_only=True)
class Transcript:
    """A transcript and its parts, each list in ascending order of position. Without ``cds`` it is non-coding."""

    id: str
    gene: Gene
    biotype: str
    start: int
    end: int
    cds: list[Part] = field(default_factory=list)
    exons: list[Part] = field(default_factory=list)
    utr5: list[Part] = field(default_factory=list)
    utr3: list[Part] = field(default_factory=list)


@dataclass(slots=True, kw_only=True)
class GeneModels:
    """What a GFF3 file says of genes, ready to be written for ``csq``."""

    transcripts: list[Transcript]
    left_out: Counter[str]
    """Transcripts that cannot be used, by reason."""
    contigs: frozenset[str]
    """The contigs that the file speaks of, in its own spelling."""

    @property
    def coding(self) -> int:
        """How many transcripts are coding."""
        return sum(bool(t.cds) for t in self.transcripts)

    @property
    def slippage(self) -> list[tuple[str, str, int]]:
        """Where the ribosome slips within a coding transcript: gene name, contig, and the last base before the slip."""
        return sorted(
            {
                (t.gene.name, t.gene.contig, left.end if t.gene.strand == "+" else right.start)
                for t in self.transcripts
                for left, right in pairwise(t.cds)
                if right.start - left.end - 1 < _SHORTEST_INTRON
            }
        )

    @property
    def genes(self) -> dict[str, Gene]:
        """The genes of these transcripts, by id."""
        return {t.gene.id: t.gene for t in self.transcripts}


def read(path: Path, *, contigs: Mapping[str, int], aliases: Mapping[str, str]) -> GeneModels:
    """Read the gene models of a GFF3 file, plain or compressed.

    :param contigs: the genome's contigs and their lengths in bases.
    :param aliases: other spellings of those contigs; the models carry the genome's own.
    :raises ReferenceProblem: naming the line where the file is not GFF3 or reaches beyond a contig's end.
    """
    linker = _Linker(path.name, contigs=contigs, aliases=aliases)
    for number, row in _rows(path):
        linker.take(number, row)
    return linker.models()


def written(models: GeneModels, *, order: Iterable[str]) -> Iterator[str]:
    """The models in Ensembl's form, one text a contig (in ``order``), sorted by position, parents first."""
    by_contig: dict[str, list[Transcript]] = defaultdict(list)
    for transcript in models.transcripts:
        by_contig[transcript.gene.contig].append(transcript)
    yield "##gff-version 3\n"
    for contig in order:
        lines: list[tuple[int, int, str]] = []
        for gene in {t.gene.id: t.gene for t in by_contig[contig]}.values():
            attributes = f"ID=gene:{gene.id};Name={gene.name}"
            lines.append((gene.start, 0, _line(gene, "gene", Part(gene.start, gene.end), attributes)))
        for t in by_contig[contig]:
            kind = "mRNA" if t.cds else "transcript"
            attributes = f"ID=transcript:{t.id};Parent=gene:{t.gene.id};biotype={t.biotype}"
            lines.append((t.start, 1, _line(t.gene, kind, Part(t.start, t.end), attributes)))
            for kind, parts in (
                ("exon", t.exons),
                ("five_prime_UTR", t.utr5),
                ("CDS", t.cds),
                ("three_prime_UTR", t.utr3),
            ):
                lines.extend((p.start, 2, _line(t.gene, kind, p, f"Parent=transcript:{t.id}")) for p in parts)
        lines.sort()
        yield "".join(line for _, _, line in lines)


def cut_points(models: GeneModels, *, lengths: Mapping[str, int], margin: int, spacing: int) -> dict[str, list[int]]:
    """Where work may be split: positions ``p`` such that no gene has bases both below ``p`` and at or above it.

    Every gene is taken ``margin`` bases longer at both ends. Between two genes stands one point, in the middle of the
    gap, or one every ``spacing`` bases where the gap is long.
    """
    spans: dict[str, list[tuple[int, int]]] = defaultdict(list)
    for gene in models.genes.values():
        spans[gene.contig].append((gene.start - margin, gene.end + margin))
    points: dict[str, list[int]] = {}
    for contig, length in lengths.items():
        found: list[int] = []
        first_free = 2  # a cut at 1 would leave an empty side
        for start, end in [*sorted(spans[contig]), (length, length)]:
            gap = start - first_free + 1
            if gap > 0:
                pieces = -(-gap // spacing)
                found.extend(first_free + gap * (2 * i + 1) // (2 * pieces) for i in range(pieces))
            first_free = max(first_free, end + 1)
        points[contig] = found
    return points


def _line(gene: Gene, kind: str, part: Part, attributes: str) -> str:
    phase = part.phase if part.phase >= 0 else "."
    return f"{gene.contig}\tgas\t{kind}\t{part.start}\t{part.end}\t.\t{gene.strand}\t{phase}\t{attributes}\n"


def _rows(path: Path) -> Iterator[tuple[int, list[str]]]:
    """The feature lines with their 1-based numbers; stops at an appended FASTA."""
    try:
        with path.open("rb") as probe:
            packed = probe.read(2) == b"\x1f\x8b"
        with gzip.open(path, "rt", encoding="utf-8") if packed else path.open(encoding="utf-8") as lines:
            for number, line in enumerate(lines, start=1):
                if line.startswith(("##FASTA", ">")):
                    return
                if line.startswith("#") or not line.strip():
                    continue
                row = line.rstrip("\r\n").split("\t")
                if len(row) != _COLUMNS:
                    raise ReferenceProblem(
                        f"{path.name} is not GFF3: line {number:,} has {len(row)} columns instead of {_COLUMNS}."
                    )
                yield number, row
    except (OSError, EOFError, zlib.error, UnicodeDecodeError) as error:
        raise ReferenceProblem(f"{path.name} cannot be read as GFF3: {error}.") from error


def _clean(text: str) -> str:
    """A name that may stand in ``INFO/BCSQ``, whose own separators it must not hold."""
    return _UNSAFE.sub("_", unquote(text)).strip("_") or "unnamed"


def _bare(ident: str) -> str:
    """The id without the prefix that Ensembl or NCBI puts before it."""
    return _PREFIX.sub("", ident)


def _biotype(declared: str, kind: str, *, coding: bool) -> str | None:
    """The biotype as ``csq`` knows it, or None where it has none for this transcript."""
    for word in (declared, kind):
        known = _NCBI_BIOTYPES.get(word, word)
        if known.startswith(_NON_CODING):
            return known
        if known.startswith(_CODING):
            # Without a CDS csq would call a change in an exon an intron's.
            return known if coding else "processed_transcript"
    return "protein_coding" if coding else None


def _joined(parts: Iterable[Part], *, gap: int) -> list[Part]:
    """The parts in ascending order, those with fewer than ``gap`` bases between them made one."""
    joined: list[Part] = []
    for part in sorted(parts):
        if joined and part.start - joined[-1].end - 1 < gap:
            joined[-1] = Part(joined[-1].start, max(joined[-1].end, part.end))
        else:
            joined.append(Part(part.start, part.end))
    return joined


def _in_frame(cds: list[Part], *, strand: str) -> list[Part] | None:
    """The CDS with a phase on every part, or None where the phases contradict the lengths.

    The phase of a part is how many of its bases, in the direction of transcription, belong to a codon begun before.
    """
    ordered = cds if strand == "+" else cds[::-1]
    first = max(ordered[0].phase, 0)
    if ordered[0].end - ordered[0].start + 1 <= first:
        return None  # csq takes the phase off the first part's length without looking
    length = -first
    phased = []
    for index, part in enumerate(ordered):
        phase = first if index == 0 else -length % 3
        if part.phase not in (-1, phase):
            return None
        phased.append(part._replace(phase=phase))
        length += part.end - part.start + 1
    return phased if strand == "+" else phased[::-1]


class _Feature(NamedTuple):
    """A line that may be a transcript: which it is shows when its parents and parts are known."""

    kind: str
    parent: str
    biotype: str
    contig: str
    strand: str
    start: int
    end: int


class _PartOf(NamedTuple):
    """A CDS, exon or UTR line."""

    kind: str
    part: Part
    contig: str
    strand: str
    product: str
    """What tells the proteins of one gene apart where no transcript does."""


class _Linker:
    """Collects lines, and links them once all are seen: children may come before their parents."""

    def __init__(self, file_name: str, *, contigs: Mapping[str, int], aliases: Mapping[str, str]) -> None:
        self._file_name = file_name
        self._lengths = contigs
        self._aliases = aliases
        self._seen: set[str] = set()
        self._circular: set[str] = set()
        self._genes: dict[str, Gene] = {}
        self._features: dict[str, _Feature] = {}
        self._parts: dict[str, list[_PartOf]] = defaultdict(list)
        self._left_out: Counter[str] = Counter()
        self._ids: set[str] = set()

    def take(self, number: int, row: list[str]) -> None:
        """Take one feature line; lines on contigs that the genome lacks are only remembered as such."""
        contig, _, kind, start_text, end_text, _, strand, phase, text = row
        if not (start_text.isdecimal() and end_text.isdecimal() and 1 <= int(start_text) <= int(end_text)):
            raise ReferenceProblem(
                f"{self._file_name}: line {number:,} runs from {start_text!r} to {end_text!r}; "
                "GFF3 wants two positions, the smaller first."
            )
        start, end = int(start_text), int(end_text)
        if contig not in self._seen:
            self._seen.add(contig)
        contig = self._aliases.get(contig, contig)
        length = self._lengths.get(contig)
        if length is None:
            return
        attributes = dict(pair.strip().split("=", 1) for pair in text.split(";") if "=" in pair)
        if attributes.get("Is_circular") == "true":
            self._circular.add(contig)
        ident = attributes.get("ID", "")
        parents = attributes["Parent"].split(",") if "Parent" in attributes else []
        is_gene = not parents and (kind in _GENES or kind.endswith("_gene") or ident.startswith("gene:"))
        if not (is_gene or parents or kind in _PARTS or kind in _NCBI_BIOTYPES):
            return  # a region, an alignment, a repeat
        if end > length and contig not in self._circular:
            raise ReferenceProblem(
                f"{self._file_name}: line {number:,} ends at {contig}:{end:,}, beyond the contig's {length:,} bases. "
                "These genes belong to another genome, or another build of it, than the FASTA."
            )
        contig, kind, strand = sys.intern(contig), sys.intern(kind), sys.intern(strand)
        if is_gene:
            self._take_gene(ident or f"gene{number}", attributes, contig=contig, strand=strand, start=start, end=end)
        elif kind in _PARTS:
            if kind == "CDS" and attributes.get("pseudo") == "true":
                return
            product = sys.intern(attributes.get("protein_id") or ident)
            part = Part(start, end, int(phase) if phase in ("0", "1", "2") else -1)
            for parent in parents or [ident or f"cds{number}"]:
                self._parts[sys.intern(parent)].append(_PartOf(kind, part, contig, strand, product))
        elif ident:
            biotype = attributes.get("biotype") or attributes.get("transcript_biotype") or ""
            parent = parents[0] if parents else ""
            self._features[ident] = _Feature(kind, parent, sys.intern(biotype), contig, strand, start, end)

    def _take_gene(
        self, ident: str, attributes: Mapping[str, str], *, contig: str, strand: str, start: int, end: int
    ) -> None:
        known = self._genes.get(ident)
        if known is not None:
            if (known.contig, known.strand) == (contig, strand):  # a gene in several lines
                known.start, known.end = min(known.start, start), max(known.end, end)
            return
        name = attributes.get("Name") or attributes.get("gene") or attributes.get("locus_tag") or _bare(ident)
        self._genes[ident] = Gene(
            id=_clean(_bare(ident)), name=_clean(name), contig=contig, strand=strand, start=start, end=end
        )

    def models(self) -> GeneModels:
        """Link what was collected."""
        transcripts: list[Transcript] = []
        for ident, feature in self._features.items():
            gene = self._gene_of(ident)
            if gene is None:
                continue
            parts = self._parts.pop(ident, [])
            biotype = _biotype(feature.biotype, feature.kind, coding=_coding(parts))
            if biotype is None:
                if parts:
                    self._left_out[f"of a kind that has no consequences ({feature.biotype or feature.kind})"] += 1
                continue
            transcripts += self._transcript(ident, gene, biotype, parts, span=Part(feature.start, feature.end))
        for parent, parts in self._parts.items():
            by_product: dict[str, list[_PartOf]] = defaultdict(list)
            for part in parts:
                if part.kind == "CDS":
                    by_product[part.product or parent].append(part)
            for product, cds in by_product.items():
                gene = self._genes.get(parent) or self._own_gene(parent, cds)
                transcripts += self._transcript(product, gene, "protein_coding", cds, span=None)
        return GeneModels(transcripts=transcripts, left_out=self._left_out, contigs=frozenset(self._seen))

    def _gene_of(self, ident: str) -> Gene | None:
        """The gene at the root of a feature's parents; one of its own where it has no parent at all."""
        walked: set[str] = set()
        while ident not in walked:
            walked.add(ident)
            if ident in self._genes:
                return self._genes[ident]
            feature = self._features.get(ident)
            if feature is None:
                return None
            if not feature.parent:
                name = _clean(_bare(ident))
                gene = Gene(
                    id=name,
                    name=name,
                    contig=feature.contig,
                    strand=feature.strand,
                    start=feature.start,
                    end=feature.end,
                )
                return self._genes.setdefault(ident, gene)
            ident = feature.parent
        return None

    def _own_gene(self, ident: str, cds: list[_PartOf]) -> Gene:
        """A gene for a CDS that names no gene, or one that the file does not describe."""
        start, end = min(p.part.start for p in cds), max(p.part.end for p in cds)
        self._take_gene(ident, {}, contig=cds[0].contig, strand=cds[0].strand, start=start, end=end)
        return self._genes[ident]

    def _transcript(
        self, ident: str, gene: Gene, biotype: str, parts: list[_PartOf], *, span: Part | None
    ) -> list[Transcript]:
        """The transcript in a list, or an empty list (and the reason counted) where ``csq`` could not use it."""
        if gene.strand not in ("+", "-") or any((p.contig, p.strand) != (gene.contig, gene.strand) for p in parts):
            self._left_out["on no strand, or on several strands or contigs (trans-splicing)"] += 1
            return []
        start = min([p.part.start for p in parts] + ([span.start] if span else []))
        end = max([p.part.end for p in parts] + ([span.end] if span else []))
        if max(end, gene.end) > self._lengths[gene.contig]:
            self._left_out["across the origin of a circular contig"] += 1
            return []
        cds = _in_frame(sorted(p.part for p in parts if p.kind == "CDS"), strand=gene.strand) if _coding(parts) else []
        if cds is None:
            self._left_out["with a reading frame that contradicts itself"] += 1
            return []
        exons = _joined((p.part for p in parts if p.kind == "exon"), gap=0)
        if not exons:
            exons = _joined(cds, gap=_SHORTEST_INTRON) or [Part(start, end)]
        utr5, utr3 = self._untranslated(parts, exons, cds, strand=gene.strand)
        gene.start, gene.end = min(gene.start, start), max(gene.end, end)
        return [
            Transcript(
                id=self._unique(_clean(_bare(ident))),
                gene=gene,
                biotype=biotype,
                start=start,
                end=end,
                cds=cds,
                exons=exons,
                utr5=utr5,
                utr3=utr3,
            )
        ]

    @staticmethod
    def _untranslated(
        parts: list[_PartOf], exons: list[Part], cds: list[Part], *, strand: str
    ) -> tuple[list[Part], list[Part]]:
        """The 5' and 3' UTRs as the file names them, else what the CDS leaves of the exons."""
        utr5 = sorted(Part(*p.part[:2]) for p in parts if p.kind == "five_prime_UTR")
        utr3 = sorted(Part(*p.part[:2]) for p in parts if p.kind == "three_prime_UTR")
        if not cds or utr5 or utr3:
            return utr5, utr3
        first, last = cds[0].start, max(part.end for part in cds)
        left = [Part(e.start, min(e.end, first - 1)) for e in exons if e.start < first]
        right = [Part(max(e.start, last + 1), e.end) for e in exons if e.end > last]
        return (left, right) if strand == "+" else (right, left)

    def _unique(self, ident: str) -> str:
        """The id, with a number where another transcript has it already (``csq`` would mix the two)."""
        unique, number = ident, 1
        while unique in self._ids:
            number += 1
            unique = f"{ident}-{number}"
        self._ids.add(unique)
        return unique


def _coding(parts: Iterable[_PartOf]) -> bool:
    return any(p.kind == "CDS" for p in parts)
