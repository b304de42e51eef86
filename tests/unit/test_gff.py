"""Gene models: what is read from GFF3 of several styles, and what is written for csq."""

from __future__ import annotations

import gzip
from pathlib import Path

import pytest

from gas import gff
from gas.errors import ReferenceProblem

LENGTHS = {"chr1": 10_000, "plasmid": 2_000}


def models(folder: Path, text: str, *, aliases: dict[str, str] | None = None) -> gff.GeneModels:
    """The gene models of a GFF3 whose columns are written with spaces."""
    path = folder / "genes.gff3"
    path.write_text("".join("\t".join(line.split(None, 8)) + "\n" for line in text.strip().splitlines()))
    return gff.read(path, contigs=LENGTHS, aliases=aliases or {})


def written(found: gff.GeneModels) -> list[str]:
    """The written lines as ``kind start end strand phase attributes``."""
    lines = "".join(gff.written(found, order=LENGTHS)).splitlines()
    assert lines[0] == "##gff-version 3"
    return [" ".join((c[2], c[3], c[4], c[6], c[7], c[8])) for c in (line.split("\t") for line in lines[1:])]


def test_a_gene_with_a_cds_alone_gets_a_transcript(tmp_path: Path) -> None:
    """NCBI's viruses and bacteria have no transcripts: one is made for each protein."""
    found = models(
        tmp_path,
        """
        chr1 RefSeq region 1 10000 . + . ID=chr1:1..10000
        chr1 RefSeq gene 101 400 . + . ID=gene-b0001;Name=thrL;locus_tag=b0001
        chr1 RefSeq CDS 101 400 . + 0 ID=cds-NP_1.1;Parent=gene-b0001;protein_id=NP_1.1
        chr1 RefSeq mature_protein_region_of_CDS 101 200 . + . ID=id-1;Parent=cds-NP_1.1
        """,
    )
    assert written(found) == [
        "gene 101 400 + . ID=gene:b0001;Name=thrL",
        "mRNA 101 400 + . ID=transcript:NP_1.1;Parent=gene:b0001;biotype=protein_coding",
        "CDS 101 400 + 0 Parent=transcript:NP_1.1",
        "exon 101 400 + . Parent=transcript:NP_1.1",
    ]


def test_ncbi_transcripts_get_the_utrs_that_their_exons_imply(tmp_path: Path) -> None:
    """What the CDS leaves of the exons is 5' and 3' UTR, by strand, or csq would call it intron."""
    found = models(
        tmp_path,
        """
        chr1 RefSeq gene 101 900 . - . ID=gene-ABC;Name=ABC
        chr1 RefSeq mRNA 101 900 . - . ID=rna-NM_1.2;Parent=gene-ABC
        chr1 RefSeq exon 701 900 . - . ID=exon-1;Parent=rna-NM_1.2
        chr1 RefSeq exon 101 400 . - . ID=exon-2;Parent=rna-NM_1.2
        chr1 RefSeq CDS 701 800 . - 0 ID=cds-NP_1.2;Parent=rna-NM_1.2
        chr1 RefSeq CDS 199 400 . - 2 ID=cds-NP_1.2;Parent=rna-NM_1.2
        """,
    )
    assert written(found)[2:] == [
        "exon 101 400 - . Parent=transcript:NM_1.2",
        "three_prime_UTR 101 198 - . Parent=transcript:NM_1.2",
        "CDS 199 400 - 2 Parent=transcript:NM_1.2",
        "CDS 701 800 - 0 Parent=transcript:NM_1.2",
        "exon 701 900 - . Parent=transcript:NM_1.2",
        "five_prime_UTR 801 900 - . Parent=transcript:NM_1.2",
    ]


def test_where_the_ribosome_slips_two_cds_parts_share_an_exon(tmp_path: Path) -> None:
    """Parts that overlap by a base stay apart as CDS, in their own frame, with no intron between them."""
    found = models(
        tmp_path,
        """
        chr1 RefSeq gene 101 700 . + . ID=gene-1;Name=ORF1ab
        chr1 RefSeq CDS 101 400 . + 0 ID=cds-P1;Parent=gene-1;protein_id=P1;exception=ribosomal%20slippage
        chr1 RefSeq CDS 400 699 . + 0 ID=cds-P1;Parent=gene-1;protein_id=P1;exception=ribosomal%20slippage
        chr1 RefSeq CDS 101 430 . + 0 ID=cds-P2;Parent=gene-1;protein_id=P2
        """,
    )
    by_id = {t.id: t for t in found.transcripts}
    assert [part[:2] for part in by_id["P1"].cds] == [(101, 400), (400, 699)]
    assert [part[:2] for part in by_id["P1"].exons] == [(101, 699)]
    assert [part[:2] for part in by_id["P2"].cds] == [(101, 430)]
    assert found.slippage == [("ORF1ab", "chr1", 400)]


def test_ensembl_models_keep_their_ids_and_biotypes(tmp_path: Path) -> None:
    """An Ensembl file comes through with its own words, whatever the order of its lines."""
    found = models(
        tmp_path,
        """
        chr1 havana exon 201 300 . + . Parent=transcript:ENST2;exon_id=E2
        chr1 havana CDS 11 40 . + 0 ID=CDS:ENSP1;Parent=transcript:ENST1
        chr1 havana exon 1 40 . + . Parent=transcript:ENST1
        chr1 havana five_prime_UTR 1 10 . + . Parent=transcript:ENST1
        chr1 havana lincRNA 201 300 . + . ID=transcript:ENST2;Parent=gene:ENSG2;biotype=lincRNA
        chr1 havana lincRNA_gene 201 300 . + . ID=gene:ENSG2;Name=LINC1;biotype=lincRNA
        chr1 havana mRNA 1 40 . + . ID=transcript:ENST1;Parent=gene:ENSG1;biotype=nonsense_mediated_decay
        chr1 havana gene 1 40 . + . ID=gene:ENSG1;Name=ABC;biotype=protein_coding
        """,
    )
    assert {(t.id, t.gene.id, t.gene.name, t.biotype, len(t.cds)) for t in found.transcripts} == {
        ("ENST1", "ENSG1", "ABC", "nonsense_mediated_decay", 1),
        ("ENST2", "ENSG2", "LINC1", "lincRNA", 0),
    }
    assert found.coding == 1


@pytest.mark.parametrize(
    ("kind", "attributes", "biotype"),
    [
        ("lnc_RNA", "", "lncRNA"),
        ("tRNA", "", "misc_RNA"),
        ("mRNA", ";biotype=protein_coding", "processed_transcript"),
        ("antisense_RNA", "", "antisense"),
        ("snoRNA", "", "snoRNA"),
    ],
)
def test_non_coding_transcripts_get_a_biotype_that_csq_knows(
    tmp_path: Path, kind: str, attributes: str, biotype: str
) -> None:
    """A word that csq does not know would silently drop the transcript; one without CDS is never coding."""
    found = models(
        tmp_path,
        f"""
        chr1 x gene 1 90 . + . ID=gene-1;Name=G
        chr1 x {kind} 1 90 . + . ID=rna-1;Parent=gene-1{attributes}
        chr1 x exon 1 90 . + . Parent=rna-1
        """,
    )
    assert [t.biotype for t in found.transcripts] == [biotype]


@pytest.mark.parametrize(
    ("lines", "reason"),
    [
        (("1 100 . + 0", "201 300 . + 1"), "with a reading frame that contradicts itself"),
        (("1 2 . + 2", "201 300 . + 0"), "with a reading frame that contradicts itself"),
        (("1 99 . + 0", "201 299 . - 0"), "on no strand, or on several strands or contigs (trans-splicing)"),
    ],
)
def test_a_transcript_that_csq_would_stop_at_is_left_out_and_counted(
    tmp_path: Path, lines: tuple[str, str], reason: str
) -> None:
    """csq ends with an error, or worse, on such transcripts: they are left out, with the reason."""
    cds = "\n".join(f"chr1 x CDS {line} ID=cds-1;Parent=gene-1" for line in lines)
    found = models(tmp_path, f"chr1 x gene 1 300 . + . ID=gene-1\n{cds}")
    assert found.transcripts == []
    assert found.left_out == {reason: 1}


def test_a_missing_phase_is_worked_out(tmp_path: Path) -> None:
    """Files without phases get those that follow from the lengths."""
    found = models(
        tmp_path,
        """
        chr1 x gene 1 300 . + . ID=g
        chr1 x CDS 1 100 . + . ID=c;Parent=g
        chr1 x CDS 201 300 . + . ID=c;Parent=g
        """,
    )
    assert [part.phase for part in found.transcripts[0].cds] == [0, 2]


def test_a_gene_across_the_origin_of_a_circular_contig_is_left_out(tmp_path: Path) -> None:
    """A plasmid's gene may end beyond its length in GFF3; csq cannot follow it."""
    found = models(
        tmp_path,
        """
        plasmid x region 1 2000 . + . ID=r;Is_circular=true
        plasmid x gene 1901 2050 . + . ID=g
        plasmid x CDS 1901 2050 . + 0 ID=c;Parent=g
        """,
    )
    assert found.left_out == {"across the origin of a circular contig": 1}


def test_a_gene_beyond_the_contig_is_another_genomes(tmp_path: Path) -> None:
    """Coordinates past the end refuse the file, with the line."""
    with pytest.raises(ReferenceProblem, match=r"line 1 ends at plasmid:2,050, beyond the contig's 2,000 bases"):
        models(tmp_path, "plasmid x gene 1901 2050 . + . ID=g")


def test_contigs_are_found_under_other_spellings(tmp_path: Path) -> None:
    """Genes of ``1`` are taken for ``chr1`` and written so; unknown contigs are reported as the file spells them."""
    found = models(
        tmp_path,
        """
        1 x gene 1 90 . + . ID=g
        1 x CDS 1 90 . + 0 ID=c;Parent=g
        KI27 x gene 1 90 . + . ID=h
        """,
        aliases={"1": "chr1"},
    )
    assert [t.gene.contig for t in found.transcripts] == ["chr1"]
    assert found.contigs == {"1", "KI27"}


def test_names_cannot_break_the_annotation(tmp_path: Path) -> None:
    """Separators of INFO/BCSQ are taken out of names, and equal transcript ids are told apart."""
    found = models(
        tmp_path,
        """
        chr1 x gene 1 90 . + . ID=g;Name=A%2CB%7Cc%20d
        chr1 x CDS 1 90 . + 0 ID=c1;Parent=g;protein_id=P
        chr1 x gene 101 190 . + . ID=h
        chr1 x CDS 101 190 . + 0 ID=c2;Parent=h;protein_id=P
        """,
    )
    assert [(t.gene.name, t.id) for t in found.transcripts] == [("A_B_c_d", "P"), ("h", "P-2")]


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"chr1\tx\tgene\t1\t90\n", "line 1 has 5 columns instead of 9"),
        (b"##gff-version 3\nchr1\tx\tgene\t90\t1\t.\t+\t.\tID=g\n", "line 2 runs from '90' to '1'"),
        (b"chr1\tx\tgene\tten\t90\t.\t+\t.\tID=g\n", "runs from 'ten' to '90'"),
        (b"\xff\xfe\x00", "cannot be read as GFF3"),
        (gzip.compress(b"chr1\tx\tgene\t1\t90\t.\t+\t.\tID=g\n" * 1000)[:-20], "cannot be read as GFF3"),
    ],
)
def test_what_is_no_gff3_is_refused(tmp_path: Path, content: bytes, said: str) -> None:
    """Broken files are refused with the line, or with what is wrong."""
    path = tmp_path / "genes.gff3"
    path.write_bytes(content)
    with pytest.raises(ReferenceProblem, match=said):
        gff.read(path, contigs=LENGTHS, aliases={})


def test_cuts_keep_clear_of_genes(tmp_path: Path) -> None:
    """Between two genes stands one cut, far enough from both; a long gap has several; none lies in a gene."""
    found = models(
        tmp_path,
        """
        chr1 x gene 1001 2000 . + . ID=a
        chr1 x CDS 1001 2000 . + . ID=ca;Parent=a
        chr1 x gene 2031 3000 . + . ID=b
        chr1 x CDS 2031 3000 . + . ID=cb;Parent=b
        chr1 x gene 3101 4000 . + . ID=c
        chr1 x CDS 3101 4000 . + . ID=cc;Parent=c
        """,
    )
    cuts = gff.cut_points(found, lengths=LENGTHS, margin=20, spacing=2_000)
    assert cuts["plasmid"] == [1001]
    assert 490 < cuts["chr1"][0] < 500
    assert cuts["chr1"][1] == 3051
    assert len(cuts["chr1"]) == 2 + 3
    spans = [(t.gene.start - 20, t.gene.end + 20) for t in found.transcripts]
    assert not any(start < p <= end for p in cuts["chr1"] for start, end in spans)
