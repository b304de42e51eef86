"""The two ways of checking a block say the same, and whatever comes, it is refused in words or kept whole."""

from __future__ import annotations

import gzip
import random
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from gas.annotation import Limits, annotate, check_arrays
from gas.annotation import check as check_module
from gas.annotation.check import Block, Check, lines_of
from gas.annotation.header import read_header
from gas.errors import InputError
from gas.references import Reference
from tests.unit.engine_inputs import CONTIG, HEADER, LENGTH, genome, records_of, vcf, write

LIMITS = Limits(max_line_bytes=4096)


@dataclass
class Outcome:
    """What a check came to, in a form that can be compared."""

    error: tuple[str, str] | None
    text: bytes
    places: list[tuple[int, int, int, int]]
    odd: list[int]
    state: dict[str, Any]


def _check(data: bytes, reference: Reference, *, arrays: bool) -> Outcome:
    """Check a whole file by lines, or by arrays."""
    header_bytes, records = _split(data)
    header = read_header(iter([header_bytes]), limits=LIMITS).header
    check = Check(header=header, reference=reference, limits=LIMITS)
    blocks: list[Block] = []
    error = None
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(check_module, "_NUMPY_FROM_BYTES", 0 if arrays else 1 << 60)
        try:
            pieces = iter([records[: len(records) // 2], records[len(records) // 2 :]])
            for block, last in lines_of(filter(None, pieces), limits=LIMITS, first_line=header.n_lines):
                blocks.append(check.block(block, last=last))
            check.finish()
        except InputError as refused:
            error = type(refused).__name__, str(refused)
    if error:
        return Outcome(error, b"", [], [], {})
    places, odd, offset = [], [], 0
    for block in blocks:
        places += [
            (int(offset + s), int(c), int(p), int(e))
            for s, c, p, e in zip(block.starts, block.contigs, block.positions, block.ends, strict=True)
        ]
        odd += [len(places) - len(block.starts) + number for number in block.odd]
        offset += len(block.text)
    state = {
        "records": check.records,
        "sorted": check.sorted,
        "phase_unknown": check.phase_unknown,
        "seen": +check.seen,
        "skipped": +check.skipped,
        "spelled": check.contigs.spelled,
    }
    text = b"".join(block.text for block in blocks)
    # Arrays pad the number with zeros, which htslib reads alike; places are compared by their line instead.
    lines = [_unpadded(line) for line in text.split(b"\n")]
    starts = {s: number for number, (s, *_) in enumerate(places)}
    assert list(starts) == _line_starts(text)
    return Outcome(None, b"\n".join(lines), [(n, *p[1:]) for n, p in enumerate(places)], odd, state)


def _split(data: bytes) -> tuple[bytes, bytes]:
    end = data.index(b"\n", data.index(b"#CHROM")) + 1
    return data[:end], data[end:]


def _unpadded(line: bytes) -> bytes:
    before, tag, after = line.partition(b"GAS_REC=")
    return before + tag + (after.lstrip(b"0") if tag else after)


def _line_starts(text: bytes) -> list[int]:
    return [at + 1 for at in [-1, *(i for i, byte in enumerate(text) if byte == 10)] if at + 1 < len(text)]


def _some_records(rng: random.Random, bases: str, *, samples: int) -> list[str]:
    found = []
    for pos in sorted(rng.sample(range(1, LENGTH - 10), rng.randrange(1, 12))):
        ref = bases[pos - 1 : pos - 1 + rng.choice((1, 1, 1, 3))]
        alt = rng.choice(("A", "C", "G", "T", "ACG", "*", "<DEL>", "A,C", "T,<DEL>", "N", ".", "a", f"A[{CONTIG}:9["))
        info = rng.choice((".", "DP=1", "DP=2;SRC=x,y", "FLAG"))
        qual = rng.choice((".", "3", "30.5", "1e3", "0"))
        called = [rng.choice(("0", "1", "0|1", "1/1", "./.", ".", "0/1", "1|1:3", "0/10")) for _ in range(samples)]
        columns = [CONTIG, str(pos), ".", ref, alt, qual, "PASS", info, *(["GT:AD", *called] if samples else [])]
        found.append("\t".join(columns))
    return found


_MUTATIONS = st.lists(st.sampled_from(("byte", "delete", "double", "shuffle", "cut", "number", "tab")), max_size=4)
_BYTES = b"\t\n\r\0 .;:=,/|<>[]*ACGTacgtNRX0129-#\x7f\xff"


def _mutated(seed: int, samples: int, mutations: list[str], bases: str) -> bytes:
    """A small VCF, and then some bytes of its records changed, doubled, moved or cut off."""
    rng = random.Random(seed)
    data = vcf(*_some_records(rng, bases, samples=samples), samples=[f"s{i}" for i in range(samples)])
    head, records = _split(data)
    for mutation in mutations:
        at = rng.randrange(len(records) + 1)
        before, after = records[:at], records[at:]
        match mutation:
            case "byte":
                records = before + bytes([rng.choice(_BYTES)]) + after[1:]
            case "delete":
                records = before + after[rng.randrange(1, 20) :]
            case "double":
                records = before + records[max(0, at - rng.randrange(40)) :]
            case "shuffle":
                lines = records.splitlines(keepends=True)
                rng.shuffle(lines)
                records = b"".join(lines)
            case "cut":
                records = before
            case "number":
                records = records.replace(b"\t", b"\t%d" % rng.choice((0, 7, 10**6, 10**11)), 1)
            case "tab":
                records = before + b"\t" + after
    return head + records


@pytest.fixture(scope="module")
def bases(sars_cov_2: Reference) -> str:
    """The genome."""
    return genome(sars_cov_2.fasta)


@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(seed=st.integers(0, 2**32), samples=st.sampled_from((0, 1, 3)), mutations=_MUTATIONS)
def test_arrays_say_what_lines_say(
    seed: int, samples: int, mutations: list[str], sars_cov_2: Reference, bases: str
) -> None:
    """On any mutated VCF both ways give the same text, places, counts and state, or the very same refusal."""
    given_vcf = _mutated(seed, samples, mutations, bases)
    assert _check(given_vcf, sars_cov_2, arrays=True) == _check(given_vcf, sars_cov_2, arrays=False)


@settings(max_examples=50, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(seed=st.integers(0, 2**32), samples=st.sampled_from((0, 1, 3)), mutations=_MUTATIONS)
def test_mutated_vcfs_are_refused_in_words_or_kept_whole(
    seed: int,
    samples: int,
    mutations: list[str],
    tmp_path_factory: pytest.TempPathFactory,
    sars_cov_2: Reference,
    bases: str,
) -> None:
    """The engine never crashes or hangs on a mutated VCF, and of an accepted one no record is missing."""
    given_vcf = _mutated(seed, samples, mutations, bases)
    folder = tmp_path_factory.mktemp("mutated")
    given_file, limits = write(folder / "in", given_vcf), Limits(timeout_s=120)
    refused: InputError | None = None
    try:
        result = annotate(given_file, folder / "r.vcf.gz", reference=sars_cov_2, limits=limits)
    except InputError as error:
        refused = error
    if refused is not None:
        assert str(refused)
        assert not list(folder.glob("r.*"))
        return
    n_records = sum(bool(line.strip()) for line in _split(given_vcf)[1].split(b"\n"))
    assert {record.number for record in records_of(result.vcf)} == set(range(1, n_records + 1))
    assert result.counts["records"] == n_records


@settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(junk=st.binary(max_size=2000), packed=st.booleans())
def test_junk_after_a_plausible_beginning_is_refused(
    junk: bytes, packed: bool, tmp_path_factory: pytest.TempPathFactory, sars_cov_2: Reference
) -> None:
    """Whatever bytes follow the first line, the answer is a refusal in words."""
    folder = tmp_path_factory.mktemp("junk")
    text = b"##fileformat=VCFv4.2\n" + junk
    with pytest.raises(InputError):
        annotate(
            write(folder / "in", gzip.compress(text) if packed else text), folder / "r.vcf.gz", reference=sars_cov_2
        )


@pytest.mark.parametrize("samples", [0, 3])
def test_plain_blocks_need_no_reading_by_line(samples: int, sars_cov_2: Reference, bases: str) -> None:
    """SNVs, indels, several ALTs and simple genotypes are all checked as arrays: the exact way is for the rest."""
    called = ["0|1", "1/1", "."][:samples]
    sites = [(100, 1, "A"), (200, 3, "T"), (300, 1, "ACG"), (400, 1, "A,C"), (500, 1, "G,*")]
    rest = ["30.5", "PASS", ".", *(["GT", *called] if samples else [])]
    records = ["\t".join([CONTIG, str(p), ".", bases[p - 1 : p - 1 + n], alt, *rest]) for p, n, alt in sites]
    head, text = _split(vcf(*records, samples=[f"s{i}" for i in range(samples)]))
    check = Check(header=read_header(iter([head]), limits=LIMITS).header, reference=sars_cov_2, limits=LIMITS)
    block = check_arrays.block(check, text)
    assert block is not None
    assert len(block.starts) == len(sites)
    assert block.odd == [4]


def test_header_lines_survive(tmp_path: Path, sars_cov_2: Reference) -> None:
    """Lines of the header that mean nothing to the engine are in the result as they were."""
    own = ['##source=caller "x" v1', '##ALT=<ID=DEL,Description="Deletion">', "##PEDIGREE=<ID=a,Original=b>"]
    result = annotate(write(tmp_path / "in", vcf(header=[*HEADER, *own])), tmp_path / "r.vcf.gz", reference=sars_cov_2)
    said = gzip.decompress(result.vcf.read_bytes()).decode()
    for line in own:
        assert line in said
