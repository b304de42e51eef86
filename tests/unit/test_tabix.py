"""A tabix index joined of parts finds what an index made of the whole finds."""

from __future__ import annotations

import random
import shutil
from itertools import pairwise
from pathlib import Path

import pysam
import pysam.bcftools

from gas.annotation import bgzf, tabix

_CONTIGS = {"a": 3_000_000, "b": 200_000, "c": 500_000}


def _lines(rng: random.Random, count: int) -> list[str]:
    contigs = rng.choices(list(_CONTIGS), k=count)
    places = sorted((contig, rng.randrange(1, _CONTIGS[contig] - 50_000)) for contig in contigs)
    return [
        f"{c}\t{p}\t.\t{'A' * rng.choice((1,) * 19 + (40_000,))}\tC\t.\t.\tX={rng.randrange(10**9)}\n"
        for c, p in places
    ]


def test_joined_index_finds_what_a_whole_one_finds(tmp_path: Path) -> None:
    """Over hundreds of regions both give the same records, wherever the parts were cut."""
    rng = random.Random(4)
    head = "##fileformat=VCFv4.2\n" + "".join(f"##contig=<ID={c},length={n}>\n" for c, n in _CONTIGS.items())
    head += '##INFO=<ID=X,Number=1,Type=Integer,Description="x">\n#CHROM\tPOS\tID\tREF\tALT\tQUAL\tFILTER\tINFO\n'
    lines = _lines(rng, 800)
    edges = [0, *sorted(rng.sample(range(1, len(lines)), 5)), len(lines), len(lines)]  # the last part is empty
    parts = []
    for number, (start, end) in enumerate(pairwise(edges)):
        plain, part = tmp_path / f"{number}.vcf", tmp_path / f"{number}.vcf.gz"
        plain.write_text(head + "".join(lines[start:end]))
        pysam.bcftools.view("--no-version", "-Oz", "-W=tbi", "-o", str(part), str(plain), catch_stdout=False)
        parts.append(part)
    whole = tmp_path / "whole.vcf.gz"
    shifts = bgzf.join(head.encode(), parts, whole)
    indexes = [part.with_name(f"{part.name}.tbi") for part in parts]
    tabix.join(list(zip(indexes, shifts, strict=True)), tmp_path / "joined.tbi")
    pysam.bcftools.index("-t", "-o", str(tmp_path / "whole.tbi"), str(whole), catch_stdout=False)
    with (
        pysam.TabixFile(str(whole), index=str(tmp_path / "joined.tbi")) as joined,
        pysam.TabixFile(str(whole), index=str(tmp_path / "whole.tbi")) as made,
    ):
        assert joined.contigs == made.contigs == list(_CONTIGS)
        assert list(joined.fetch()) == [line.rstrip("\n") for line in lines]
        for _ in range(400):
            contig = rng.choice(list(_CONTIGS))
            start = rng.randrange(_CONTIGS[contig])
            end = start + rng.choice((1, 100, 20_000, 400_000))
            assert list(joined.fetch(contig, start, end)) == list(made.fetch(contig, start, end))
    counts = []
    for name in ("joined.tbi", "whole.tbi"):
        shutil.copyfile(tmp_path / name, tmp_path / "whole.vcf.gz.tbi")
        counts.append(pysam.bcftools.index("-n", str(whole)))
    assert counts == [f"{len(lines)}\n"] * 2
