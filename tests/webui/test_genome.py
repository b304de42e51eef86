"""The genome view's page, and the files of references that it reads."""

from __future__ import annotations

import gzip
import json
import re
import struct
import sys
from html import unescape
from pathlib import Path
from typing import Any

import pysam
import pytest
from werkzeug.test import TestResponse

from gas.job import ArchiveBackend, Job
from gas.references import Reference
from gas.services import Services
from gas.storage_table import new_token
from tests.webui.conftest import ALICE, Browser, Jobs

FILES = "/api/v1/references/sars-cov-2"


@pytest.fixture
def job(jobs: Jobs) -> Job:
    return jobs.annotated(ALICE)


def page(browser: Browser, job: Job, locus: str = "") -> TestResponse:
    return browser.get(f"/jobs/{job.job_id}/genome", query_string={"locus": locus} if locus else {})


def config_of(answer: TestResponse) -> dict[str, Any]:
    said = json.loads(unescape(re.search(r'data-config="([^"]+)"', answer.text).group(1)))
    assert isinstance(said, dict)
    return said


def policy_of(answer: TestResponse) -> dict[str, str]:
    parts = (part.strip().partition(" ") for part in answer.headers["Content-Security-Policy"].split(";"))
    return {name: rest for name, _, rest in parts}


# The page


def test_the_view_opens_around_the_chosen_variant(alice: Browser, job: Job) -> None:
    """So that the letters of the sequence can be read; the variant's rows and its neighbours are on the page."""
    answer = page(alice, job, "NC_045512.2:23,403")
    assert answer.status_code == 200
    assert config_of(answer)["locus"] == "NC_045512.2:23363-23443"
    assert "D614G" in answer.text
    before, after = (re.search(rf'href="([^"]+)" rel="{rel}"', answer.text).group(1) for rel in ("prev", "next"))
    assert int(before.rpartition(":")[2]) < 23403 < int(after.rpartition(":")[2])


def test_the_variants_of_a_contig_are_reached_one_after_another(alice: Browser, job: Job) -> None:
    """From the first, where the view opens by itself, by the link to the next to the last, and none is left out."""
    seen, answer = [], page(alice, job)
    while True:
        seen.append(int(re.search(r'name="locus" value="NC_045512.2:(\d+)"', answer.text).group(1)))
        following = re.search(r'href="([^"]+)" rel="next"', answer.text)
        if following is None:
            break
        answer = alice.get(unescape(following.group(1)))
    rows = alice.get(f"/api/v1/jobs/{job.job_id}/table?columns=pos&limit=500").json["rows"]
    assert seen == sorted({row["pos"] for row in rows})


def test_another_spelling_of_the_contig_is_the_files_own(alice: Browser, job: Job) -> None:
    """The rows are looked for under the result's name, and igv.js is told the reference's."""
    assert config_of(page(alice, job, "MN908947.3:100"))["locus"].startswith("NC_045512.2:")


@pytest.mark.parametrize("locus", ["S", "NC_045512.2:0", "NC_045512.2:9-8", "chr1:5", "NC_045512.2:99999", ":1", "a:b"])
def test_a_place_that_is_none_is_refused(alice: Browser, job: Job, locus: str) -> None:
    """With a sentence, not with a view of something else."""
    answer = page(alice, job, locus)
    assert answer.status_code == 422
    assert "place" in answer.text


def test_igv_is_told_of_nothing_on_another_host(alice: Browser, job: Job) -> None:
    """Every address is a path of this site, and what igv.js would fetch by itself is switched off."""
    config = config_of(page(alice, job))
    addresses = [config["reference"][key] for key in config["reference"] if key.endswith("URL")]
    addresses += [track[key] for track in config["tracks"] for key in ("url", "indexURL") if key in track]
    assert len(addresses) == 8
    assert {address[:8] for address in addresses} == {"/api/v1/"}
    assert (config["loadDefaultGenomes"], config["genomeList"], config["search"]) == (False, [], False)


def test_only_this_page_lets_style_attributes_in(alice: Browser, job: Job) -> None:
    """Scripts are as strict as everywhere, and the object store is the one other place to read from."""
    here, elsewhere = policy_of(page(alice, job)), policy_of(alice.get("/jobs/"))
    assert here["style-src-attr"] == "'unsafe-inline'"
    assert "unsafe" not in here["style-src"] + here["style-src-elem"] + here["script-src"]
    assert here["script-src"] == elsewhere["script-src"] == "'self'"
    assert re.fullmatch(r"'self' http://127.0.0.1:\d+", here["connect-src"])
    assert "style-src-attr" not in elsewhere


def test_an_archived_result_is_a_sentence(alice: Browser, job: Job, services: Services) -> None:
    """No view that cannot be filled."""
    services.jobs.mark_notified(job.job_id)
    (claimed,) = services.storage.claim(
        [services.jobs.get(job.job_id)], token=new_token(), backend=ArchiveBackend.STORAGE_CLASS, delay_s=0
    )
    services.storage.hot_deleted([services.storage.commit(claimed, "version of the cold copy", delay_s=0)])
    answer = page(alice, job)
    assert answer.status_code == 200
    assert "archive" in answer.text
    assert "igv.js" not in answer.text
    assert "data-config" not in answer.text


def test_rows_and_the_job_lead_to_the_view(alice: Browser, job: Job) -> None:
    """Also where the table shows neither contig nor position."""
    table = alice.get(f"/jobs/{job.job_id}/table?columns=gene&where=pos:is:23403&limit=1")
    href = f"/jobs/{job.job_id}/genome?locus=NC_045512.2:23403"
    assert f'href="{href}" aria-label="Genome view of row 1"' in table.text
    assert alice.get(href).status_code == 200
    assert f'href="/jobs/{job.job_id}/genome"' in alice.get(f"/jobs/{job.job_id}").text


def fetch(browser: Browser, path: str, **headers: str) -> TestResponse:
    """The whole answer, its file closed."""
    return browser.get(path, buffered=True, headers={name.replace("_", "-"): text for name, text in headers.items()})


# The library and the reference


def test_the_library_comes_from_its_package_unimported(alice: Browser) -> None:
    """It is served as a script that a browser may keep; the package's own Python never runs."""
    answer = fetch(alice, "/static/igv.js")
    assert answer.mimetype == "text/javascript"
    assert answer.data.startswith(b"window.igv=")
    assert "max-age=86400" in answer.headers["Cache-Control"]
    assert "igv_notebook" not in sys.modules


def test_a_file_of_a_reference_is_read_in_parts(alice: Browser, sars_cov_2: Reference) -> None:
    """Byte ranges, kept by this browser alone; asked for again it is not sent again."""
    whole = sars_cov_2.fasta.read_bytes()
    part = fetch(alice, f"{FILES}/genome.fa.gz", Range="bytes=100-199")
    assert (part.status_code, part.data) == (206, whole[100:200])
    assert part.headers["Content-Range"] == f"bytes 100-199/{len(whole)}"
    assert "private" in part.headers["Cache-Control"]
    assert "public" not in part.headers["Cache-Control"]
    assert fetch(alice, f"{FILES}/genome.fa.gz").data == whole
    again = fetch(alice, f"{FILES}/genome.fa.gz", If_None_Match=part.headers["ETag"])
    assert again.status_code == 304
    assert fetch(alice, f"{FILES}/genome.fa.gz", Range="bytes=99999999-").status_code == 416


def test_the_genes_and_the_spellings_are_there(alice: Browser, sars_cov_2: Reference) -> None:
    """The gene models with their index, and a line of other names for each contig."""
    assert fetch(alice, f"{FILES}/genes.gff3.gz").data == sars_cov_2.gff.read_bytes()
    assert fetch(alice, f"{FILES}/genes.gff3.gz.tbi").data[:2] == b"\x1f\x8b"
    line = fetch(alice, f"{FILES}/aliases.tsv").text.splitlines()[0].split("\t")
    assert line[0] == "NC_045512.2"
    assert "MN908947.3" in line


def test_the_block_index_ends_with_the_end(alice: Browser, sars_cov_2: Reference, tmp_path: Path) -> None:
    """A reader that takes a block to end where the next begins finds the last one too; htslib reads it as before."""
    said = fetch(alice, f"{FILES}/genome.fa.gz.gzi").data
    (blocks,) = struct.unpack_from("<Q", said)
    compressed, held = struct.unpack_from("<QQ", said, len(said) - 16)
    assert blocks == 1
    assert compressed == sars_cov_2.fasta.stat().st_size - 28
    assert held == len(gzip.decompress(sars_cov_2.fasta.read_bytes()))
    genome = tmp_path / "genome.fa.gz"
    genome.write_bytes(sars_cov_2.fasta.read_bytes())
    Path(f"{genome}.fai").write_bytes(Path(f"{sars_cov_2.fasta}.fai").read_bytes())
    Path(f"{genome}.gzi").write_bytes(said)
    with pysam.FastaFile(str(genome)) as fasta:
        assert fasta.fetch("NC_045512.2", 23402, 23403) == "A"
        assert len(fasta.fetch("NC_045512.2", 29800, 29903)) == 103


@pytest.mark.parametrize(
    "path",
    [
        "sars-cov-2/reference.json",
        "sars-cov-2/cuts.json",
        "sars-cov-2/..%2fsars-cov-2%2freference.json",
        "none-such/genome.fa.gz",
        "..%2f..%2fetc/passwd",
        ".%2e/genome.fa.gz",
    ],
)
def test_nothing_else_is_given_out(alice: Browser, path: str) -> None:
    """Only the files by name, of references by name."""
    assert fetch(alice, f"/api/v1/references/{path}").status_code == 404
