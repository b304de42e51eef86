"""Large inputs: cut into chunks, annotated by several processes, and the same bytes whatever their number."""

from __future__ import annotations

import hashlib
import random
from collections import Counter
from pathlib import Path

import pytest

from gas.annotation import Result, annotate, chunks, engine, refusals
from tests.unit.engine_inputs import Record, records_of
from tests.unit.made_genome import MadeGenome, header, make_genome


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> MadeGenome:
    """A genome with many places where work may be cut."""
    return make_genome(tmp_path_factory.mktemp("genome"))


@pytest.fixture
def small_chunks(monkeypatch: pytest.MonkeyPatch) -> int:
    """Chunks of 100 records, so that small files have many; the engine is a fork of this process and sees it."""
    monkeypatch.setattr(chunks, "RECORDS", 100)
    monkeypatch.setattr(engine, "_has_one_thread", lambda: True)
    return 100


def _run(
    folder: Path, records: list[str], made: MadeGenome, *, samples: int = 0, processors: int = 1, name: str = "r"
) -> Result:
    given = folder / f"{name}.vcf"
    given.write_text("\n".join([*header(samples=samples), *records]) + "\n")
    return annotate(given, folder / f"{name}.vcf.gz", reference=made.reference, processors=processors)


def _digests(result: Result) -> list[str]:
    return [hashlib.sha256(path.read_bytes()).hexdigest() for path in (result.vcf, result.index, result.table)]


def _content(records: list[Record]) -> list[tuple[object, ...]]:
    return [(r.contig, r.pos, r.id, r.ref, r.alt, tuple(sorted(r.info.items())), str(r.samples)) for r in records]


@pytest.mark.parametrize("samples", [0, 2])
def test_bytes_do_not_depend_on_the_processors(
    samples: int, tmp_path: Path, made: MadeGenome, small_chunks: int
) -> None:
    """VCF, index and table of one, two and five processors are the same bytes."""
    records = made.records(1200, seed=1, samples=samples)
    results = [_run(tmp_path, records, made, samples=samples, processors=n, name=f"p{n}") for n in (1, 2, 5)]
    assert len({tuple(_digests(result)) for result in results}) == 1


@pytest.mark.parametrize("samples", [0, 2])
def test_chunks_change_nothing(samples: int, tmp_path: Path, made: MadeGenome, monkeypatch: pytest.MonkeyPatch) -> None:
    """Cut into many chunks a file has the very records that it has in one."""
    monkeypatch.setattr(engine, "_has_one_thread", lambda: True)
    records = made.records(1200, seed=2, samples=samples)
    whole = _run(tmp_path, records, made, samples=samples, name="whole")
    monkeypatch.setattr(chunks, "RECORDS", 100)
    cut = _run(tmp_path, records, made, samples=samples, name="cut", processors=2)
    assert _content(records_of(cut.vcf)) == _content(records_of(whole.vcf))
    assert cut.counts == whole.counts


def test_a_chunk_never_begins_inside_a_gene(
    tmp_path: Path, made: MadeGenome, small_chunks: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Chunks begin at the reference's cut points, or at the start of a contig."""
    close = chunks.Chunks._close

    def recording(self: chunks.Chunks) -> chunks.Chunk:
        chunk = close(self)
        with (tmp_path / "begun").open("a") as told:  # in the engine's process
            told.write(f"{chunk.starts_at}\n")
        return chunk

    monkeypatch.setattr(chunks.Chunks, "_close", recording)
    _run(tmp_path, made.records(1200, seed=3), made)
    lines = [line for line in (tmp_path / "begun").read_text().splitlines() if line != "None"]
    assert len(lines) >= 10
    for line in lines:
        contig, cut = map(int, line.strip("()").split(","))
        assert cut == 1 or cut in made.reference.cut_points(made.reference.contigs[contig].name)


@pytest.mark.parametrize("shift", [40, 400])
def test_left_alignment_over_a_cut(shift: int, tmp_path: Path, small_chunks: int) -> None:
    """A deletion that moves left over the cut where its chunk begins is placed and annotated as in one chunk."""
    made = make_genome(tmp_path, name=f"runs{shift}", genes=6, gap="A")
    bases = made.bases["1"]
    cuts = [p for p in made.reference.cut_points("1") if p > 600 and set(bases[p - 500 : p + shift]) == {"A"}]
    assert len(cuts) >= 3
    single = [
        f"1\t{p}\t.\t{b}\t{'C' if b != 'C' else 'G'}\t.\t.\t." for p, b in enumerate(bases[:-20], 1) if p % 9 == 0
    ]
    moving = [f"1\t{cut + shift - 2}\t.\tAAA\tA\t.\t.\t." for cut in cuts]
    records = sorted([*single, *moving], key=lambda line: int(line.split("\t")[1]))
    result = _run(tmp_path, records, made, processors=2)
    found = records_of(result.vcf)
    positions = [record.pos for record in found]
    assert positions == sorted(positions)
    assert sorted(record.number for record in found) == list(range(1, len(records) + 1))
    moved = [record.pos for record in found if len(record.ref) == 3]
    starts = [max(1, len(bases[:cut].rstrip("A"))) for cut in cuts]
    assert moved == starts


def test_unsorted_in_many_chunks(tmp_path: Path, made: MadeGenome, small_chunks: int) -> None:
    """Shuffled records give the records of the sorted file, each with the number it has in the shuffled one."""
    records = made.records(1500, seed=4)
    order = list(range(len(records)))
    random.Random(5).shuffle(order)
    in_order = _run(tmp_path, records, made, name="sorted")
    shuffled = _run(tmp_path, [records[i] for i in order], made, name="shuffled", processors=2)
    numbers = {i + 1: place + 1 for place, i in enumerate(order)}
    expected = Counter((r.pos, r.alt, r.id, r.info.get("BCSQ"), numbers[r.number]) for r in records_of(in_order.vcf))
    found = Counter((r.pos, r.alt, r.id, r.info.get("BCSQ"), r.number) for r in records_of(shuffled.vcf))
    assert found == expected


def test_sources_match_by_position_and_allele(tmp_path: Path, made: MadeGenome) -> None:
    """A known variant gets its ID and fields, also when it comes twice; another allele at the place does not."""
    pos = 17
    ref = made.bases["1"][pos - 1]
    known = next(line.split("\t") for line in _known_lines(made) if line.startswith(f"1\t{pos}\t"))
    one, two = known[4].split(",")
    (third,) = set("ACGT") - {ref, one, two}
    records = [
        f"1\t{pos}\t{i}\t{ref}\t{alt}\t.\t.\t."
        for i, alt in ((".", one), ("mine", one), (".", third), (".", f"{two},{one}"))
    ]
    found = records_of(_run(tmp_path, records, made).vcf)
    said = {(r.number, r.alt): (r.id, r.info.get("KNOWN_AF"), r.info.get("KNOWN_SIG")) for r in found}
    assert said == {
        (1, one): (f"rs1x{pos}", "0.25", f"s{pos}"),
        (2, one): ("mine", "0.25", f"s{pos}"),
        (3, third): (".", None, None),
        (4, two): (f"rs1x{pos}", "0.125", f"s{pos}"),
        (4, one): (f"rs1x{pos}", "0.25", f"s{pos}"),
    }


def _known_lines(made: MadeGenome) -> list[str]:
    folder = made.reference.folder.parent.parent
    return (folder / f"{made.reference.name}-known.vcf").read_text().splitlines()


def test_names_of_contigs_with_sources(tmp_path: Path, made: MadeGenome, small_chunks: int) -> None:
    """Under other names of the contigs a file has the same consequences and the same matches."""
    records = made.records(600, seed=6)
    own = records_of(_run(tmp_path, records, made, name="own").vcf)
    given = tmp_path / "chr.vcf"
    lines = [*header(contigs=("chr1", "chr2")), *(f"chr{record}" for record in records)]
    given.write_text("\n".join(lines) + "\n")
    result = annotate(given, tmp_path / "chr.vcf.gz", reference=made.reference, processors=2)
    other = records_of(result.vcf)
    assert {record.contig for record in other} == {"chr1", "chr2"}
    strip = [(r.pos, r.id, r.ref, r.alt, r.info.get("BCSQ"), r.info.get("KNOWN_SIG")) for r in own]
    assert [(r.pos, r.id, r.ref, r.alt, r.info.get("BCSQ"), r.info.get("KNOWN_SIG")) for r in other] == strip


def test_wrong_build_names_the_one_that_fits(tmp_path: Path, made: MadeGenome) -> None:
    """When most REF alleles differ, the installed reference that fits is named."""
    other = make_genome(tmp_path, name="other", seed=99)
    records = other.records(300, seed=8)
    given = tmp_path / "in.vcf"
    shorter = {name: min(len(bases), len(other.bases[name])) for name, bases in made.bases.items()}
    records = [r for r in records if int(r.split("\t")[1]) < shorter[r.split("\t")[0]] - 30]
    given.write_text("\n".join([*header(), *records]) + "\n")
    with pytest.raises(refusals.WrongBuild, match="fits the reference other"):
        annotate(given, tmp_path / "r.vcf.gz", reference=made.reference, others=[other.reference, made.reference])
    with pytest.raises(refusals.WrongBuild, match="another genome"):
        annotate(given, tmp_path / "r.vcf.gz", reference=made.reference)
