"""What the engine accepts with a note, and that nothing of it is lost."""

from __future__ import annotations

import gzip
import json
import random
from collections import Counter
from pathlib import Path

import pysam
import pysam.bcftools
import pytest

from gas.annotation import Result, annotate
from gas.references import Reference
from tests.unit.engine_inputs import (
    CONTIG,
    D614G,
    F924F,
    HEADER,
    LENGTH,
    N501Y,
    Record,
    genome,
    header_of,
    records_of,
    vcf,
    write,
)


def _annotate(
    tmp_path: Path, data: bytes, reference: Reference, *, compressed: str = "", processors: int = 1
) -> Result:
    given = write(tmp_path / "in", data, compressed=compressed)
    return annotate(given, tmp_path / "out" / "r.vcf.gz", reference=reference, processors=processors)


def _by_number(result: Result) -> dict[int, list[Record]]:
    found: dict[int, list[Record]] = {}
    for record in records_of(result.vcf):
        found.setdefault(record.number, []).append(record)
    return found


def _noted(result: Result, words: str) -> bool:
    return any(words in note for note in result.notes)


@pytest.mark.parametrize("compressed", ["", "gzip", "bgzip"])
def test_annotates_known_changes(compressed: str, tmp_path: Path, sars_cov_2: Reference) -> None:
    """N501Y and D614G are what the literature calls them, from plain, gzip and bgzip alike."""
    result = _annotate(tmp_path, vcf(F924F, N501Y, D614G), sars_cov_2, compressed=compressed)
    spoken = [record.info["BCSQ"] for record in records_of(result.vcf)]
    assert "synonymous|ORF1ab" in spoken[0]
    assert "missense|S|" in spoken[1]
    assert "|501N>501Y|" in spoken[1]
    assert "|614D>614G|" in spoken[2]
    assert result.counts["records"] == 3
    assert result.counts["by_impact"]["MODERATE"] == 2
    assert result.counts["by_impact"]["LOW"] == 1


def test_leaves_five_files_that_tools_read(tmp_path: Path, sars_cov_2: Reference) -> None:
    """Beside the VCF lie index, log, summary and table; htslib fetches by the index, and split-vep reads BCSQ."""
    result = _annotate(tmp_path, vcf(F924F, N501Y, D614G), sars_cov_2)
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == [
        "r.parquet", "r.summary.json", "r.vcf.count.log", "r.vcf.gz", "r.vcf.gz.tbi",
    ]  # fmt: skip
    with pysam.VariantFile(str(result.vcf)) as file:
        assert [record.pos for record in file.fetch(CONTIG, 23000, 23100)] == [23063]
    rows = pysam.bcftools.view("-H", "-i", 'INFO/BCSQ~"501Y"', str(result.vcf))
    assert rows.count("\n") == 1
    assert json.loads(result.summary.read_text())["counts"]["records"] == 3
    assert result.log.read_text().strip()


def test_says_where_the_result_comes_from(tmp_path: Path, sars_cov_2: Reference) -> None:
    """The header names the engine with its version, the reference with its checksums, and the options."""
    header = "\n".join(header_of(_annotate(tmp_path, vcf(N501Y), sars_cov_2).vcf))
    assert '##gasEngine=<ID=gas,version="' in header
    assert f'##gasReference=<ID=sars-cov-2,fasta_sha256="{sars_cov_2.fasta_sha256}"' in header
    assert '##gasOptions=<ID=options,norm="' in header


def test_reads_bcf(tmp_path: Path, sars_cov_2: Reference) -> None:
    """A BCF is annotated like the VCF it was made of."""
    plain = write(tmp_path / "a.vcf", vcf(F924F, N501Y + "\tGT\t1", samples=()).replace(b"\tGT\t1", b""))
    pysam.bcftools.view("--no-version", "-Ob", "-o", str(tmp_path / "a.bcf"), str(plain), catch_stdout=False)
    result = annotate(tmp_path / "a.bcf", tmp_path / "r.vcf.gz", reference=sars_cov_2)
    assert [record.consequences[0] for record in records_of(result.vcf)] == ["synonymous", "missense"]


def test_header_only(tmp_path: Path, sars_cov_2: Reference) -> None:
    """A file without records has a result without records, and says so."""
    result = _annotate(tmp_path, vcf(), sars_cov_2)
    assert records_of(result.vcf) == []
    assert any(line.startswith("##INFO=<ID=BCSQ,") for line in header_of(result.vcf))
    assert _noted(result, "no records")


def test_unsorted_records_are_sorted_and_keep_their_number(tmp_path: Path, sars_cov_2: Reference) -> None:
    """The result is sorted; GAS_REC gives the input's order back."""
    result = _annotate(tmp_path, vcf(D614G, F924F, N501Y), sars_cov_2)
    records = records_of(result.vcf)
    assert [record.pos for record in records] == [3037, 23063, 23403]
    assert [record.number for record in records] == [2, 3, 1]
    assert _noted(result, "not sorted")


def test_equal_places_keep_their_order_when_sorted(tmp_path: Path, sars_cov_2: Reference) -> None:
    """Sorting keeps the order of records at the same place."""
    result = _annotate(tmp_path, vcf(D614G, N501Y, N501Y.replace("DP=12", "DP=1"), F924F), sars_cov_2)
    assert [record.number for record in records_of(result.vcf)] == [4, 2, 3, 1]


def test_lower_case_alleles(tmp_path: Path, sars_cov_2: Reference) -> None:
    """Alleles in lower case are written in capitals and annotated."""
    result = _annotate(tmp_path, vcf(N501Y.replace("\tA\tT", "\ta\tt")), sars_cov_2)
    (record,) = records_of(result.vcf)
    assert (record.ref, record.alt, record.consequences) == ("A", "T", ["missense"])
    assert _noted(result, "lower case")


def test_multi_allelic_records_are_split_and_the_original_noted(tmp_path: Path, sars_cov_2: Reference) -> None:
    """Each ALT becomes a record of its own with its share of the fields; the original stands in GAS_OLD."""
    given = f"{CONTIG}\t23063\t.\tA\tT,G\t60\tPASS\tDP=12;AC=3,4\tGT:AD\t1:1,2,3\t2:4,5,6"
    result = _annotate(tmp_path, vcf(given, samples=("a", "b")), sars_cov_2)
    one, two = records_of(result.vcf)
    assert (one.alt, one.info["AC"], two.alt, two.info["AC"]) == ("T", "3", "G", "4")
    assert one.info["GAS_OLD"] == f"{CONTIG}|23063|A|T,G|1"
    assert [sample["AD"] for sample in two.samples] == ["1,3", "4,6"]
    assert [sample["GT"] for sample in one.samples] == ["1", "0"]
    assert one.number == two.number == 1
    assert _noted(result, "split")


def test_indels_are_left_aligned_and_the_original_noted(tmp_path: Path, sars_cov_2: Reference) -> None:
    """A deletion in a run of T moves to its left end."""
    bases = genome(sars_cov_2.fasta)
    run = bases.index("TTTTTTTT") + 1  # 1-based first T
    given = f"{CONTIG}\t{run + 5}\t.\tTT\tT\t.\t.\t."
    (record,) = records_of(_annotate(tmp_path, vcf(given), sars_cov_2).vcf)
    assert record.pos == run - 1
    assert record.info["GAS_OLD"].startswith(f"{CONTIG}|{run + 5}|TT|T")


@pytest.mark.parametrize(
    ("alt", "reason"),
    [
        ("*", "spanning deletion"),
        ("<DEL>", "symbolic"),
        ("<INS:ME:ALU>", "symbolic"),
        ("<NON_REF>", "symbolic"),
        (f"A[{CONTIG}:321[", "breakend"),
        (f"]{CONTIG}:321]A", "breakend"),
        ("A.", "breakend"),
        (".A", "breakend"),
        ("R", "ambiguous"),
        ("N", "ambiguous"),
        (".", "no alternative"),
    ],
)
def test_other_alleles_are_kept_unannotated_and_counted(
    alt: str, reason: str, tmp_path: Path, sars_cov_2: Reference
) -> None:
    """What has no bases of its own stays where and as it is, without a consequence, and is counted with the reason."""
    given = f"{CONTIG}\t23070\t.\tT\t{alt}\t.\t.\tDP=3"
    result = _annotate(tmp_path, vcf(N501Y, given, D614G), sars_cov_2)
    kept = _by_number(result)[2]
    assert [(record.pos, record.ref, record.alt, record.info.get("BCSQ")) for record in kept] == [
        (23070, "T", alt, None)
    ]
    assert kept[0].info["DP"] == "3"
    assert _by_number(result)[1][0].consequences == ["missense"]
    assert sum(n for said, n in result.counts["skipped"].items() if reason in said) == 1
    assert _noted(result, reason)


@pytest.mark.parametrize("other", ["*", "<DEL>", "N", f"A[{CONTIG}:321["])
def test_plain_alleles_beside_others_are_annotated(other: str, tmp_path: Path, sars_cov_2: Reference) -> None:
    """In a record with a plain ALT and another the plain one has its consequence, and the other stays at its place."""
    given = f"{CONTIG}\t23063\t.\tA\t{other},T\t.\t.\tDP=3"
    plain, kept = sorted(records_of(_annotate(tmp_path, vcf(given), sars_cov_2).vcf), key=lambda r: r.alt != "T")
    assert plain.consequences == ["missense"]
    assert (kept.pos, kept.alt, kept.info.get("BCSQ")) == (23063, other, None)


def test_missing_declarations_are_supplied(tmp_path: Path, sars_cov_2: Reference) -> None:
    """Contigs, INFO, FORMAT and FILTER that the header lacks are declared, and their values kept."""
    header = ["##fileformat=VCFv4.1"]
    given = [
        f"{CONTIG}\t3037\t.\tC\tT\t.\tlowq;q10\tX1=a;FLAG\tGT:ZZ\t1:zz",
        f"{CONTIG}\t23063\t.\tA\tT\t.\tPASS\tX2=1,2\tGT:YY\t1:7",
    ]
    result = _annotate(tmp_path, vcf(*given, samples=("s",), header=header), sars_cov_2)
    one, two = records_of(result.vcf)
    assert (one.filter, one.info["X1"], "FLAG" in one.info, one.samples[0]["ZZ"]) == ("lowq;q10", "a", True, "zz")
    assert (two.info["X2"], two.samples[0]["YY"]) == ("1,2", "7")
    said = "\n".join(header_of(result.vcf))
    assert f"##contig=<ID={CONTIG},length={LENGTH}>" in said
    for tag in ("INFO=<ID=X1", "INFO=<ID=FLAG,Number=0,Type=Flag", "FORMAT=<ID=YY", "FILTER=<ID=q10"):
        assert tag in said
    assert _noted(result, "does not declare INFO FLAG, X1, X2")
    assert _noted(result, "declares no contig")


def test_a_contig_line_without_length_is_completed(tmp_path: Path, sars_cov_2: Reference) -> None:
    """csq dies on a contig without a length; it is supplied."""
    data = vcf(N501Y, header=[HEADER[0], f"##contig=<ID={CONTIG}>", *HEADER[2:]])
    result = _annotate(tmp_path, data, sars_cov_2)
    assert f"##contig=<ID={CONTIG},length={LENGTH}>" in header_of(result.vcf)


def test_a_wrong_number_of_values_is_kept(tmp_path: Path, sars_cov_2: Reference) -> None:
    """An INFO field with fewer values than ALTs cannot be split; it is kept whole."""
    result = _annotate(tmp_path, vcf(f"{CONTIG}\t23063\t.\tA\tT,G\t.\t.\tAC=3"), sars_cov_2)
    assert [record.info["AC"] for record in records_of(result.vcf)] == ["3", "3"]
    assert _noted(result, "INFO/AC")


@pytest.mark.parametrize("end", ["\r\n", "\r\n-no-final"])
def test_windows_line_ends(end: str, tmp_path: Path, sars_cov_2: Reference) -> None:
    """CRLF is read as a line end, with or without a last one."""
    data = vcf(N501Y, D614G).replace(b"\n", b"\r\n")
    if end.endswith("no-final"):
        data = data[:-2]
    result = _annotate(tmp_path, data, sars_cov_2)
    assert [record.info["DP"] for record in records_of(result.vcf)] == ["12", "13"]
    assert _noted(result, "CRLF")
    assert b"\r" not in gzip.decompress(result.vcf.read_bytes())


def test_no_final_newline(tmp_path: Path, sars_cov_2: Reference) -> None:
    """A whole last line without newline is a record like others."""
    result = _annotate(tmp_path, vcf(N501Y, D614G, end=""), sars_cov_2)
    assert len(records_of(result.vcf)) == 2
    assert _noted(result, "no newline")


@pytest.mark.parametrize("name", ["MN908947.3", "NC_045512"])
def test_contigs_keep_the_names_of_the_input(name: str, tmp_path: Path, sars_cov_2: Reference) -> None:
    """A contig that the reference calls otherwise is annotated, and has the file's name in the result."""
    data = (
        vcf(N501Y, D614G)
        .replace(CONTIG.encode() + b"\t", name.encode() + b"\t")
        .replace(f"ID={CONTIG}".encode(), f"ID={name}".encode())
    )
    result = _annotate(tmp_path, data, sars_cov_2)
    assert [(record.contig, record.consequences) for record in records_of(result.vcf)] == [(name, ["missense"])] * 2
    assert f"##contig=<ID={name},length={LENGTH}>" in header_of(result.vcf)
    assert not any(CONTIG in line for line in header_of(result.vcf) if line.startswith("##contig"))
    with pysam.TabixFile(str(result.vcf)) as index:
        assert index.contigs == [name]


def test_five_thousand_samples(tmp_path: Path, sars_cov_2: Reference) -> None:
    """Every one of 5,000 sample columns comes through."""
    rng = random.Random(3)
    names = tuple(f"s{i}" for i in range(5000))
    called = [[rng.choice("01") for _ in names] for _ in range(3)]
    given = [f"{r}\tGT\t" + "\t".join(gt) for r, gt in zip((F924F, N501Y, D614G), called, strict=True)]
    result = _annotate(tmp_path, vcf(*given, samples=names), sars_cov_2)
    assert [[s["GT"] for s in record.samples] for record in records_of(result.vcf)] == called


@pytest.mark.parametrize(
    ("genotypes", "mode", "phase"),
    [
        (("1", "1"), "haplotype-aware", "known"),
        (("1|0", "1|0"), "haplotype-aware", "known"),
        (("1/1", "1/1"), "haplotype-aware", "known"),
        (("./.", "1"), "haplotype-aware", "known"),
        (("1|0", "0/1"), "local", "unknown"),
        (("1/.", "1"), "local", "unknown"),
        (("1/1/1", "1"), "local", "unknown"),
        ((), "local", "none"),
    ],
)
def test_phase_decides_the_mode(
    genotypes: tuple[str, ...], mode: str, phase: str, tmp_path: Path, sars_cov_2: Reference
) -> None:
    """Haplotypes are only called where every phase that matters is known; else each variant stands on its own."""
    records = [F924F, N501Y]
    if genotypes:
        records = [f"{record}\tGT\t{gt}" for record, gt in zip(records, genotypes, strict=True)]
    result = _annotate(tmp_path, vcf(*records, samples=("s",) if genotypes else ()), sars_cov_2)
    provenance = json.loads(result.summary.read_text())["provenance"]
    assert (provenance["mode"], provenance["phase"]) == (mode, phase)
    assert _noted(result, "Phase unknown") == (phase == "unknown")
    assert all(record.consequences for record in records_of(result.vcf))


def test_two_changes_of_one_codon_act_together(tmp_path: Path, sars_cov_2: Reference) -> None:
    """On one haplotype two changes in a codon are one change of the amino acid."""
    bases = genome(sars_cov_2.fasta)
    first, second = 23063, 23064  # both in codon 501 of S: AAT
    assert bases[first - 1 : second + 1] == "AAT"
    given = [f"{CONTIG}\t{p}\t.\tA\tG\t.\t.\t.\tGT\t1" for p in (first, second)]
    one, two = records_of(_annotate(tmp_path, vcf(*given, samples=("s",)), sars_cov_2).vcf)
    assert "501N>501G" in one.info["BCSQ"]  # GGT is glycine; alone they would be D and S
    assert two.info["BCSQ"] == f"@{first}"


def test_its_own_result_can_be_annotated_again(tmp_path: Path, sars_cov_2: Reference) -> None:
    """What an earlier run left is replaced, not doubled."""
    first = _annotate(tmp_path, vcf(D614G + "\tGT\t1", F924F + "\tGT\t1", samples=("s",)), sars_cov_2)
    again = annotate(first.vcf, tmp_path / "again.vcf.gz", reference=sars_cov_2)
    assert [record.number for record in records_of(again.vcf)] == [1, 2]
    assert [record.info["BCSQ"] for record in records_of(again.vcf)] == [r.info["BCSQ"] for r in records_of(first.vcf)]
    assert sum(line.startswith("##INFO=<ID=BCSQ") for line in header_of(again.vcf)) == 1
    assert _noted(again, "earlier annotation")


def test_the_file_name_is_never_opened(tmp_path: Path, sars_cov_2: Reference) -> None:
    """Names that a shell or htslib would read meaning into are names like others."""
    for name in ("-o x.vcf", "a;touch pwned", "$(touch pwned)", "x##idx##y.vcf", "s3:x", "ünïcode |.vcf"):
        given = write(tmp_path / name, vcf(N501Y))
        result = annotate(given, tmp_path / "r.vcf.gz", reference=sars_cov_2, file_name="../../" + name)
        assert len(records_of(result.vcf)) == 1
    assert not list(Path.cwd().glob("pwned*"))


@pytest.mark.parametrize("processors", [1, 2])
def test_no_record_sample_or_field_is_lost(processors: int, tmp_path: Path, sars_cov_2: Reference) -> None:
    """Over thousands of shuffled records of every kind each one is there, with its ID, INFO and genotypes."""
    rng = random.Random(11)
    bases = genome(sars_cov_2.fasta)
    given: list[str] = []
    for number in range(4000):
        pos = rng.randrange(2, LENGTH - 10)
        ref = bases[pos - 1 : pos - 1 + rng.choice((1, 1, 1, 2, 5))]
        plain = [b for b in "ACGT" if b != ref[0]]
        alts = rng.sample([*plain, ref + "GA", "*", "<DEL>", "N", f"{ref[0]}[{CONTIG}:5["], rng.choice((1, 1, 1, 2, 3)))
        depth = rng.randrange(1000)
        ac = ",".join(str(rng.randrange(9)) for _ in alts)
        calls = "\t".join(f"{rng.randrange(len(alts) + 1)}:{depth}" for _ in range(2))
        given.append(
            f"{CONTIG}\t{pos}\tid{number}\t{ref}\t{','.join(alts)}\t{depth}\tPASS\tDP={depth};AC={ac};SRC=x{number}\tGT:DP\t{calls}"
        )
    header = [*HEADER, '##FORMAT=<ID=DP,Number=1,Type=Integer,Description="Depth">']
    result = _annotate(tmp_path, vcf(*given, samples=("a", "b"), header=header), sars_cov_2, processors=processors)
    found = _by_number(result)
    assert result.counts["records"] == len(given)
    assert set(found) == set(range(1, len(given) + 1))
    for number, line in enumerate(given, start=1):
        fields = line.split("\t")
        parts = found[number]
        assert len(parts) == fields[4].count(",") + 1
        assert {part.id for part in parts} == {fields[2]}
        assert {part.info["SRC"] for part in parts} == {f"x{number - 1}"}
        assert {part.info["DP"] for part in parts} == {fields[5]}
        ac = fields[7].split(";")[1].removeprefix("AC=")
        assert Counter(part.info["AC"] for part in parts) == Counter(ac.split(","))
        for column in (0, 1):
            allele = int(fields[9 + column].split(":")[0])
            assert sum(int(part.samples[column]["GT"]) for part in parts) == (1 if allele else 0)
            assert {part.samples[column]["DP"] for part in parts} == {fields[5]}
    positions = [record.pos for record in records_of(result.vcf)]
    assert positions == sorted(positions)
