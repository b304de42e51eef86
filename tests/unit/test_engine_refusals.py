"""What the engine refuses: each with its own class, a sentence, the line, and nothing left behind."""

from __future__ import annotations

import gzip
import random
from pathlib import Path

import pytest

from gas.annotation import Limits, annotate, refusals
from gas.errors import InputError
from gas.references import Reference
from tests.unit.engine_inputs import CONTIG, D614G, HEADER, N501Y, vcf, write


def _record(
    pos: object = 23063, ref: str = "A", alt: str = "T", *, contig: str = CONTIG, qual: str = ".", rest: str = ""
) -> str:
    return f"{contig}\t{pos}\t.\t{ref}\t{alt}\t{qual}\t.\t.{rest}"


def _bgzip(folder: Path, data: bytes) -> bytes:
    return write(folder / "made.gz", data, compressed="bgzip").read_bytes()


def _long() -> bytes:
    """A VCF whose random INFO does not compress."""
    noise = random.Random(5)
    return vcf(*(f"{_record()[:-1]}SRC={noise.randbytes(30).hex()}" for _ in range(2000)))


REFUSED = {
    "an empty file": (b"", refusals.EmptyFile, None, "empty"),
    "an empty gzip": (gzip.compress(b""), refusals.EmptyFile, None, "empty"),
    "text that is no VCF": (b"hello\nworld\n", refusals.NotVcf, None, "##fileformat"),
    "binary junk": (random.Random(1).randbytes(5000), refusals.NotVcf, None, "not a VCF"),
    "VCF 3.3": (b"##fileformat=VCFv3.3\n#CHROM\n", refusals.NotVcf, None, "not a VCF"),
    "a file without #CHROM line": ("\n".join(HEADER).encode() + b"\n", refusals.BadHeader, 8, "#CHROM"),
    "records before the #CHROM line": ("\n".join([*HEADER, N501Y]).encode(), refusals.BadHeader, 8, "#CHROM"),
    "a #CHROM line that lacks a column": (vcf().replace(b"\tFILTER", b""), refusals.BadHeader, 8, "FILTER"),
    "two samples of one name": (vcf(samples=("a", "b", "a")), refusals.DuplicateSamples, 8, "'a'"),
    "a truncated last line": (vcf(N501Y, D614G[:20], end=""), refusals.TruncatedLine, 10, "cut off"),
    "a missing column": (vcf(N501Y, D614G.rpartition("\t")[0]), refusals.BadColumns, 10, "7 columns"),
    "spaces instead of tabs": (vcf(N501Y.replace("\t", " ")), refusals.BadColumns, 9, "tabs"),
    "an empty column": (vcf(N501Y.replace("\t.\t", "\t\t")), refusals.BadColumns, 9, "empty"),
    "a sample too many": (vcf(N501Y + "\tGT\t1\t1", samples=("a",)), refusals.BadColumns, 9, "11 columns"),
    "two files joined": (vcf(N501Y) + vcf(N501Y), refusals.BadColumns, 10, "joined"),
    "a POS that is no number": (vcf(_record("12x")), refusals.BadPosition, 9, "'12x'"),
    "a negative POS": (vcf(_record(-5)), refusals.BadPosition, 9, "'-5'"),
    "a POS with a fraction": (vcf(_record("1.5")), refusals.BadPosition, 9, "'1.5'"),
    "a POS of 0": (vcf(_record(0)), refusals.OutsideContig, 9, "29,903"),
    "a POS beyond the contig": (vcf(_record(29904)), refusals.OutsideContig, 9, "29,903"),
    "a REF that reaches beyond the contig": (vcf(_record(29903, "AA")), refusals.OutsideContig, 9, "29,903"),
    "a REF that is no allele": (vcf(_record(ref="A?")), refusals.BadAllele, 9, "'A?'"),
    "an ALT that is no allele": (vcf(_record(alt="T!")), refusals.BadAllele, 9, "'T!'"),
    "an ALT with an empty allele": (vcf(_record(alt="T,,G")), refusals.BadAllele, 9, "'T,,G'"),
    "an ALT with an open bracket": (vcf(_record(alt="<DEL")), refusals.BadAllele, 9, "'<DEL'"),
    "a QUAL that is no number": (vcf(_record(qual="3x0")), refusals.BadQuality, 9, "'3x0'"),
    "a control character": (vcf(N501Y, D614G.replace("DP", "D\x01")), refusals.ControlCharacters, 10, "0x01"),
    "a NUL byte": (vcf(N501Y.replace("12", "1\x00")), refusals.ControlCharacters, 9, "0x00"),
    "a contig that the reference lacks": (vcf(N501Y, _record(contig="chr7")), refusals.UnknownContigs, None, "chr7"),
    "two names for one contig": (vcf(N501Y, _record(contig="NC_045512")), refusals.MixedContigNames, 10, "same contig"),
    "a genotype that is none": (vcf(N501Y + "\tGT\t0/x", samples=("a",)), refusals.BadValue, None, "Record 1"),
}  # fmt: skip


@pytest.mark.parametrize(("data", "kind", "line", "words"), REFUSED.values(), ids=REFUSED)
def test_refuses_with_a_sentence_and_the_line(
    data: bytes, kind: type[InputError], line: int | None, words: str, tmp_path: Path, sars_cov_2: Reference
) -> None:
    """Each kind of bad input has its own class, names its line, says what is wrong, and leaves no file."""
    given = write(tmp_path / "in.vcf", data)
    out = tmp_path / "out"
    with pytest.raises(kind) as refused:
        annotate(given, out / "result.vcf.gz", reference=sars_cov_2)
    assert type(refused.value) is kind
    assert refused.value.line == line
    assert words in str(refused.value)
    assert str(refused.value).rstrip().endswith((".", "?"))
    assert "\n" not in str(refused.value)
    assert list(out.iterdir()) == []


def test_kinds_are_distinct() -> None:
    """No two refusals share the word by which programs know them."""
    classes = [c for c in vars(refusals).values() if isinstance(c, type) and issubclass(c, InputError)]
    kinds = [c.kind for c in classes]
    assert len(kinds) > 15
    assert len(set(kinds)) == len(kinds)


@pytest.mark.parametrize("share", [0.999, 0.6, 0.1])
def test_refuses_truncated_gzip(share: float, tmp_path: Path, sars_cov_2: Reference) -> None:
    """A gzip that ends before its end is refused, wherever it was cut."""
    whole = gzip.compress(_long())
    given = write(tmp_path / "in.vcf.gz", whole[: int(len(whole) * share)])
    with pytest.raises(refusals.TruncatedCompression, match="cut off"):
        annotate(given, tmp_path / "r.vcf.gz", reference=sars_cov_2)


def test_refuses_bgzip_without_its_last_block(tmp_path: Path, sars_cov_2: Reference) -> None:
    """A bgzip file cut between two blocks inflates without error; the missing end block gives it away."""
    given = write(tmp_path / "in.vcf.gz", _bgzip(tmp_path, vcf(N501Y))[:-28])
    with pytest.raises(refusals.TruncatedCompression, match="bgzip"):
        annotate(given, tmp_path / "r.vcf.gz", reference=sars_cov_2)


def test_refuses_damaged_gzip(tmp_path: Path, sars_cov_2: Reference) -> None:
    """A flipped byte inside the compressed data is found."""
    data = bytearray(gzip.compress(_long()))
    data[len(data) // 2] ^= 0xFF
    given = write(tmp_path / "in.vcf.gz", bytes(data))
    with pytest.raises(refusals.DamagedCompression, match="damaged"):
        annotate(given, tmp_path / "r.vcf.gz", reference=sars_cov_2)


def test_refuses_what_follows_the_gzip(tmp_path: Path, sars_cov_2: Reference) -> None:
    """Something that is not gzip after the compressed data is refused, not ignored."""
    given = write(tmp_path / "in.vcf.gz", gzip.compress(vcf(N501Y)) + b"more")
    with pytest.raises(refusals.DamagedCompression, match="not gzip"):
        annotate(given, tmp_path / "r.vcf.gz", reference=sars_cov_2)


def test_refuses_a_compression_bomb_by_ratio(tmp_path: Path, sars_cov_2: Reference) -> None:
    """A file that inflates too many times is refused before it is all inflated."""
    bomb = vcf(*[f"{N501Y};SRC={'A' * 2000}"] * 3000)
    given = write(tmp_path / "in.vcf.gz", gzip.compress(bomb))
    with pytest.raises(refusals.CompressionBomb, match="100 times"):
        annotate(
            given,
            tmp_path / "r.vcf.gz",
            reference=sars_cov_2,
            limits=Limits(max_inflation_ratio=100, ratio_from_bytes=1 << 20),
        )


def test_refuses_what_inflates_beyond_the_limit(tmp_path: Path, sars_cov_2: Reference) -> None:
    """The inflated size is limited whatever the ratio."""
    given = write(tmp_path / "in.vcf.gz", gzip.compress(_long()))
    with pytest.raises(refusals.CompressionBomb, match="100,000 bytes"):
        annotate(given, tmp_path / "r.vcf.gz", reference=sars_cov_2, limits=Limits(max_inflated_bytes=100_000))


@pytest.mark.parametrize("compressed", ["", "gzip"])
def test_refuses_a_line_of_ten_megabytes(compressed: str, tmp_path: Path, sars_cov_2: Reference) -> None:
    """A line beyond the limit is refused, with its number, without being held in memory whole."""
    given = write(tmp_path / "in.vcf", vcf(N501Y, f"{D614G};SRC={'ACGTTGCA' * 1_300_000}"), compressed=compressed)
    with pytest.raises(refusals.LineTooLong) as refused:
        annotate(given, tmp_path / "r.vcf.gz", reference=sars_cov_2)
    assert refused.value.line == 10


def test_refuses_ref_alleles_that_differ(tmp_path: Path, sars_cov_2: Reference) -> None:
    """Of REF alleles that differ from the genome the number and the first are named."""
    given = write(tmp_path / "in.vcf", vcf(N501Y, D614G, _record(23500, "G", "T"), *[N501Y] * 3))
    with pytest.raises(refusals.ReferenceMismatch, match=r"1 of 6 .*NC_045512.2:23,500.* G ") as refused:
        annotate(given, tmp_path / "r.vcf.gz", reference=sars_cov_2)
    assert type(refused.value) is refusals.ReferenceMismatch
