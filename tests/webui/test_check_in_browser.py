"""What the page says of a file before it is sent, beside what the server's check says of the same file."""

from __future__ import annotations

import base64
import gzip
import random
from collections.abc import Callable, Iterator
from pathlib import Path

import pysam.bcftools
import pytest
from playwright.sync_api import Browser as Chromium
from playwright.sync_api import Page

from gas.annotation import Limits, annotate, refusals
from gas.annotation.check import Check, lines_of
from gas.annotation.header import OWN_TAGS, read_header
from gas.annotation.source_text import open_text
from gas.errors import InputError
from gas.references import Reference
from tests.unit.engine_inputs import CONTIG, D614G, HEADER, N501Y, genome, records_of, vcf, write
from tests.unit.test_check import _mutated as mutated
from tests.unit.test_engine_refusals import REFUSED

pytestmark = pytest.mark.browser

STATIC = Path(__file__).parents[2] / "webui" / "static"
LIMITS = Limits()
ORIGIN = "http://check.example"
MUTATIONS = ("byte", "delete", "double", "shuffle", "cut", "number", "tab")
SEEDS = 400
#: What the page cannot see: the rest of the file, the reference, the values of fields.
LEFT_TO_THE_SERVER = (
    refusals.TruncatedLine,
    refusals.OutsideContig,
    refusals.UnknownContigs,
    refusals.MixedContigNames,
    refusals.BadValue,
)
OLD_TAG = (*HEADER, '##INFO=<ID=BCSQ,Number=.,Type=String,Description="Of old">')
ALLELES = [
    *(("A", alt) for alt in (".", "*", "N", "<DEL>", "<\u00a0>", "T,<INS:ME>,*", ".A", "A.", "[<\u2003>:1[a")),
    *(("A", alt) for alt in (f"A[{CONTIG}:9[", f"]{CONTIG}:9]A")),
    ("a", "t"),
    ("R", "acgt"),
    ("U", "T"),
]
QUALITIES = (".", "0", "-1", "+3.", ".5", "1e3", "2E-7", "NaN", "-Inf")
ACCEPTED = {
    "records": vcf(N501Y, D614G),
    "no records": vcf(),
    "no newline behind the header": vcf(end=""),
    "no newline behind the last record": vcf(N501Y, end=""),
    "lines that end as in Windows": vcf(N501Y, D614G).replace(b"\n", b"\r\n"),
    "a byte order mark": b"\xef\xbb\xbf" + vcf(N501Y),
    "blank lines": vcf(N501Y, "", "  ", "\t" * 7, D614G),
    "names in another encoding": vcf(f"{N501Y}\tGT\t1\t1", samples=("a", "b")).replace(b"\ta\tb", b"\t\xe4\t\xf6"),
    "every kind of allele": vcf(*(N501Y.replace("\tA\tT\t", f"\t{ref}\t{alt}\t") for ref, alt in ALLELES)),
    "every kind of QUAL": vcf(*(N501Y.replace("\t60\t", f"\t{qual}\t") for qual in QUALITIES)),
    "FORMAT and no sample": vcf(f"{N501Y}\tGT").replace(b"INFO\nNC", b"INFO\tFORMAT\nNC"),
    "a version to come": vcf(N501Y).replace(b"VCFv4.2", b"VCFv4.10"),
}

Says = Callable[[list[tuple[str, bytes]]], list[str]]


@pytest.fixture(scope="module")
def page(chrome: Chromium) -> Iterator[Page]:
    """A page that has nothing but the site's scripts."""
    page = chrome.new_page()
    page.route(
        f"{ORIGIN}/**",
        lambda route: (
            route.fulfill(path=STATIC / route.request.url.rpartition("/")[2])
            if route.request.url.endswith(".js")
            else route.fulfill(body="", content_type="text/html")
        ),
    )
    page.goto(ORIGIN)
    yield page
    page.close()


@pytest.fixture
def says(page: Page) -> Says:
    """What the page says of each file; "" for nothing."""

    def said(files: list[tuple[str, bytes]]) -> list[str]:
        found: list[str] = page.evaluate(
            """async ([files, replaced]) => {
              const { wrongWith } = await import("/vcf_check.js");
              const plan = { limit: 2 ** 40, tooLarge: "", replaced };
              return Promise.all(files.map(async ([name, data]) => {
                const bytes = Uint8Array.from(atob(data), (character) => character.charCodeAt(0));
                return wrongWith(new File([bytes], name), plan);
              }));
            }""",
            [[(name, base64.b64encode(data).decode()) for name, data in files], OWN_TAGS],
        )
        return found

    return said


def servers(path: Path, reference: Reference) -> InputError | None:
    """The server's refusal of a file, if it refuses it before it annotates."""
    try:
        opened = read_header(open_text(path, limits=LIMITS), limits=LIMITS)
        check = Check(header=opened.header, reference=reference, limits=LIMITS)
        for block, last in lines_of(opened.rest, limits=LIMITS, first_line=opened.header.n_lines):
            check.block(block, last=last)
        check.finish()
    except InputError as refused:
        return refused
    return None


@pytest.mark.parametrize("compressed", ["", "gzip", "bgzip"])
def test_page_and_server_say_the_same(compressed: str, says: Says, sars_cov_2: Reference, tmp_path: Path) -> None:
    """Of each bad input the page says what the server says, or nothing where it cannot see it; of good ones nothing."""
    name = "a.vcf.gz" if compressed else "a.vcf"
    inputs = {what: data for what, (data, *_) in REFUSED.items() if data and data[:2] != b"\x1f\x8b"} | ACCEPTED
    files = [write(tmp_path / what.replace("#", ""), data, compressed=compressed) for what, data in inputs.items()]
    found = dict(zip(inputs, says([(name, path.read_bytes()) for path in files]), strict=True))
    refused = {what: servers(path, sars_cov_2) for what, path in zip(inputs, files, strict=True)}
    assert {what for what, error in refused.items() if error is None} == {*ACCEPTED, "a genotype that is none"}
    expected = {
        what: "" if error is None or isinstance(error, LEFT_TO_THE_SERVER) else f"{name}: {error}"
        for what, error in refused.items()
    }
    if compressed:  # of compressed text the page does not know whether it has seen the end
        expected |= {"a file without #CHROM line": "", "records before the #CHROM line": ""}
    assert found == expected
    assert sum(map(bool, found.values())) >= 20


def test_page_refuses_nothing_that_the_server_takes(says: Says, sars_cov_2: Reference, tmp_path: Path) -> None:
    """Whatever bytes of a file are changed, what the page refuses the server refuses, too, and mostly in its words."""
    rng, bases = random.Random(7), genome(sars_cov_2.fasta)
    made = []
    for seed in range(SEEDS):
        changes = rng.choices(MUTATIONS, k=rng.randrange(1, 4))
        made.append(mutated(seed, rng.choice((0, 1, 3)), changes, bases))
    refused, differing = 0, []
    for data, said in zip(made, says([("a.vcf", data) for data in made]), strict=True):
        server = servers(write(tmp_path / "a.vcf", data), sars_cov_2)
        if said:
            refused += 1
            assert server is not None, said
            if said != f"a.vcf: {server}" and not isinstance(server, LEFT_TO_THE_SERVER):
                differing.append((said, str(server)))
    assert refused > SEEDS / 5
    assert differing == []


def test_page_leaves_records_to_the_server_that_another_program_cleans(
    says: Says, sars_cov_2: Reference, tmp_path: Path
) -> None:
    """Where what an earlier annotation left is taken out, a record may be mended on the way: the page says nothing."""
    empty = vcf(N501Y.replace("\t.\tA", "\t\tA"), header=OLD_TAG)
    assert says([("a.vcf", empty), ("a.vcf", vcf(N501Y.replace("\t.\tA", "\t\tA")))])[0] == ""
    result = annotate(write(tmp_path / "a.vcf", empty), tmp_path / "r.vcf.gz", reference=sars_cov_2)
    assert len(records_of(result.vcf)) == 1


def test_page_looks_into_compressed_files_as_the_server_does(says: Says, sars_cov_2: Reference, tmp_path: Path) -> None:
    """Of many blocks, members, long files, empty members, BCF and a file cut off it says what is so, and no more."""
    bad = N501Y.replace("\tA\tT", "\tA!\tT")
    long = vcf(*(f"{N501Y};SRC={random.Random(n).randbytes(40).hex()}" for n in range(4000)))
    bgzip = write(tmp_path / "b", vcf(N501Y), compressed="bgzip").read_bytes()
    header, records = vcf(), f"{bad}\n".encode()
    with pysam.BGZFile(str(tmp_path / "two"), "w") as out:
        out.write(header)
        out.flush()
        out.write(records)
    pysam.bcftools.view("--no-version", "-Ob", "-o", str(tmp_path / "bcf"), str(tmp_path / "b"), catch_stdout=False)
    kinds = {
        "long gzip": gzip.compress(long),
        "long bgzip": write(tmp_path / "l", long, compressed="bgzip").read_bytes(),
        "two members": gzip.compress(vcf(N501Y)) + gzip.compress(f"{D614G}\n".encode()),
        "an empty member first": gzip.compress(b"") + gzip.compress(vcf(N501Y)),
        "an empty block first": bgzip[-28:] + bgzip,
        "zeros behind it": gzip.compress(vcf(N501Y)) + b"\0" * 100,
        "bcf": (tmp_path / "bcf").read_bytes(),
        "a record in its own block": (tmp_path / "two").read_bytes(),
        "an empty gzip": gzip.compress(b""),
        "cut off between blocks": bgzip[:-28],
    }
    found = dict(zip(kinds, says([("a.vcf.gz", data) for data in kinds.values()]), strict=True))
    refused = {what: servers(write(tmp_path / "in", data), sars_cov_2) for what, data in kinds.items()}
    assert found == {what: f"a.vcf.gz: {error}" if error else "" for what, error in refused.items()}
    assert [what for what in kinds if found[what]] == list(kinds)[-3:]
