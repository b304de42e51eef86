"""What a hostile file, reference or person cannot do to whoever looks at their job, in Chromium."""

from __future__ import annotations

import functools
import random
import re
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlsplit

import pytest
from flask import Flask
from playwright.sync_api import Browser as Chromium
from playwright.sync_api import BrowserContext, Page, Request, expect
from sqlalchemy import text

from gas.annotation.engine import annotate
from gas.errors import InputError
from gas.job import Job, Output, Progress
from gas.references import NewSource, Reference, ReferenceStore
from gas.services import Services
from tests.webui.conftest import ALICE, OPERATOR, PATIENCE_MS, Browser, Jobs
from webui import share_links
from webui.access import is_page

pytestmark = pytest.mark.browser

#: Runs where it becomes an element. ``ran`` is what the test listens for.
IMAGE = "<img/src=x/onerror=ran()>"
DRAWING = "<svg/onload=ran()>"
#: The engine lets no "=" and no space into a consequence.
SCRIPT = "<script>ran()</script>"
FILE_NAME = f"\"'><img src=x onerror=ran()>{IMAGE.replace('/', ' ')}.vcf"
CONTIG = f"chr{IMAGE}"
GENE = SCRIPT.replace("</", "<")
SAMPLE = f"NA{DRAWING}"
#: Runs nothing, and would speak as the page does.
HEADING = "<h1>here</h1>"
#: Tells the test what the browser's policy refused, and sums up how far things jumped.
LISTEN = """
document.addEventListener('securitypolicyviolation', (e) => ran(`${e.violatedDirective} ${e.blockedURI} ${e.sample}`));
window.shifted = 0;
new PerformanceObserver((list) => {
  for (const entry of list.getEntries()) if (!entry.hadRecentInput) window.shifted += entry.value;
}).observe({ type: 'layout-shift', buffered: true });
"""


@functools.cache
def hostile_result() -> dict[Output, bytes]:
    """What the engine makes of a file, a reference and a source that are full of markup, made once."""
    dice = random.Random(3)
    codons = ["ATG", *dice.choices(["GCT", "GAA", "CTG", "AAA", "TCC"], k=98), "TAA"]
    noise = "".join(dice.choices("ACGT", k=600))
    sequence = noise[:99] + "".join(codons) + noise[99:]
    positions = (103, 110, 120)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "genome.fa").write_text(f">{CONTIG}\n{sequence}\n")
        parts = (
            ("gene", ".", f"ID=gene:G1;biotype=protein_coding;Name={GENE}"),
            ("mRNA", ".", f"ID=transcript:T{GENE};Parent=gene:G1;biotype=protein_coding"),
            ("CDS", "0", f"ID=CDS:P1;Parent=transcript:T{GENE}"),
            ("exon", ".", f"ID=exon:E1;Parent=transcript:T{GENE}"),
        )
        lines = [f"{CONTIG}\tx\t{kind}\t100\t399\t.\t+\t{phase}\t{said}\n" for kind, phase, said in parts]
        (folder / "genes.gff3").write_text("##gff-version 3\n" + "".join(lines))

        def vcf(path: Path, info: str, *, head: str, columns: str = "", more: str = "", last: str = "") -> Path:
            change = {"A": "C", "C": "G", "G": "T", "T": "A"}
            records = (
                f"{CONTIG}\t{at}\trs{IMAGE}\t{sequence[at - 1]}\t{change[sequence[at - 1]]}\t.\tPASS\t{info}{more}\n"
                for at in positions
            )
            path.write_text(
                f"##fileformat=VCFv4.2\n##contig=<ID={CONTIG},length={len(sequence)}>\n{head}"
                f"#CHROM\tPOS\tID\tREF\tALT\tQUAL\tFILTER\tINFO{columns}\n{''.join(records)}{last}"
            )
            return path

        source = vcf(
            folder / "source.vcf",
            f"SIG={DRAWING},javascript:ran()",
            head=f'##fileDate={SCRIPT}\n##INFO=<ID=SIG,Number=.,Type=String,Description="{SCRIPT}">\n',
        )
        reference = ReferenceStore(folder / "references").add(
            "hostile",
            fasta=folder / "genome.fa",
            gff=folder / "genes.gff3",
            sources=[NewSource(name="SRC", path=source, info_fields=("SIG",))],
        )
        given = vcf(
            folder / "given.vcf",
            f"X={DRAWING}",
            head=f"##evil={SCRIPT}\n"
            f'##FORMAT=<ID=GT,Number=1,Type=String,Description="{IMAGE}">\n'
            f'##INFO=<ID=X,Number=1,Type=String,Description="{SCRIPT}">\n',
            columns=f"\tFORMAT\t{SAMPLE}",
            more="\tGT\t0|1",
            last=f"{CONTIG}\t130\t.\t{sequence[129]}\t{DRAWING}\t.\t.\tX=1\tGT\t0|1\n",
        )
        target = folder / "out.vcf.gz"
        annotate(given, target, reference=reference, file_name=FILE_NAME)
        endings = {
            Output.VCF: ".vcf.gz",
            Output.INDEX: ".vcf.gz.tbi",
            Output.TABLE: ".parquet",
            Output.SUMMARY: ".summary.json",
            Output.LOG: ".vcf.count.log",
        }
        return {output: (folder / f"out{ending}").read_bytes() for output, ending in endings.items()}


@dataclass
class Watched:
    """A browser in which nothing of a file may run, and which may turn to no other host."""

    context: BrowserContext
    url: str
    ran: list[str] = field(default_factory=list)
    elsewhere: set[str] = field(default_factory=set)

    def __post_init__(self) -> None:
        self.context.expose_binding("ran", lambda source, *said: self.ran.append(f"{source['page'].url}: {said}"))
        self.context.add_init_script(LISTEN)
        self.context.on("request", self._asked)
        self.context.on("weberror", lambda error: self.ran.append(str(error.error)))
        self.context.on("dialog", lambda dialog: (self.ran.append(f"dialog: {dialog.message}"), dialog.dismiss()))
        self.page = self.context.new_page()

    def _asked(self, request: Request) -> None:
        if urlsplit(request.url).scheme not in ("data", "blob") and not request.url.startswith(f"{self.url}/"):
            self.elsewhere.add(request.url)

    def go(self, path: str) -> str:
        """Open a page; what it shows."""
        self.page.goto(path)
        return self.page.locator("body").inner_text()


@pytest.fixture
def watch(served: str, chrome: Chromium) -> Iterator[Callable[..., Watched]]:
    """A watched browser, signed in by a cookie."""
    contexts: list[BrowserContext] = []

    def opened(cookie: str | None = None, **options: Any) -> Watched:
        contexts.append(chrome.new_context(base_url=served, locale="en-GB", **options))
        contexts[-1].set_default_timeout(PATIENCE_MS)
        if cookie:
            contexts[-1].add_cookies([{"name": "gas_session", "value": cookie, "url": served}])
        return Watched(contexts[-1], served)

    yield opened
    for context in contexts:
        context.close()


#: Pages that lead away at once.
LEADING = {"/login/globus", "/oauth-authorized/globus", "/back", "/lang/<string:locale>"}


def pages(app: Flask, **variables: str) -> list[str]:
    """The address of every page that can be opened, whoever made it."""
    paths = [
        re.sub(r"<(?:\w+:)?(\w+)>", lambda variable: quote(variables.get(variable[1], "1")), rule.rule)
        for rule in app.url_map.iter_rules()
        if "GET" in rule.methods and rule.rule not in LEADING and "download" not in rule.rule
    ]
    return [path for path in paths if is_page(app.request_class.from_values(path))]


def test_nothing_of_a_file_runs_and_no_page_asks_another_host(
    watch: Callable[..., Watched], app: Flask, alice: Browser, operator: Browser, jobs: Jobs, services: Services
) -> None:
    """Names of files, samples, contigs and genes, header lines, INFO values and errors are text on every page."""
    job = jobs.done(ALICE, name=FILE_NAME, files=hostile_result())
    jobs.failed(ALICE, f"line 3: {IMAGE} {SCRIPT}", name=FILE_NAME)
    failed = jobs.failed(ALICE, f"line 3: {IMAGE} {SCRIPT}", name=f"{DRAWING}.vcf".replace("/", " "))
    with app.app_context():
        session = app.appbuilder.session
        token, _ = share_links.create(session, job, days=1)
        session.execute(text("UPDATE ab_user SET first_name = :name, last_name = :name"), {"name": SCRIPT})
        session.commit()
        pk = str(app.appbuilder.sm.find_user(username=ALICE).id)
        session.remove()
    variables = {"job_id": job.job_id, "token": token, "pk": pk, "version": "v1"}
    hers, everybody = watch(alice.cookie), watch(operator.cookie)
    page = hers.page
    shown = [hers.go(path) for path in pages(app, **variables) if not path.startswith("/users/")]
    shown += [everybody.go(path) for path in pages(app, **variables) if path.startswith("/users/")]
    table = f"/jobs/{job.job_id}/table"
    shown += [
        hers.go(f"/jobs/{failed.job_id}"),
        hers.go(f"{table}?genotypes=1&columns=chrom,pos,id,ref,alt,gene,transcript,SRC_SIG,dna_change,why_not"),
        hers.go(f"{table}?where={quote(f'gene:is:{GENE}')}&where.1={quote(f'alt:is:{DRAWING}')}&where.1=pos:gt:1"),
        hers.go(f"{table}?where={quote(f'{IMAGE}:is:{SCRIPT}')}"),
        hers.go(f"/jobs/?name={quote(IMAGE)}"),
        hers.go(f"/jobs/{quote(IMAGE)}"),
        hers.go(f"/{quote(IMAGE)}"),
        hers.go(
            f"/cli/authorize?redirect_uri=http://127.0.0.1:1/callback&state=12345678&code_challenge={'a' * 43}"
            f"&code_challenge_method=S256&client_name={quote(IMAGE)}"
        ),
    ]
    # What scripts put there.
    page.goto(f"/jobs/{job.job_id}")
    page.locator("summary", has_text="Log").click()
    expect(page.locator("pre.log")).to_contain_text("consequence")
    page.goto(table)
    for column in ("chrom", "gene", "alt", "SRC_SIG"):
        with page.expect_response("**/table/suggest?*"):
            page.get_by_label("Filter by").select_option(column)
        expect(page.locator("#filter-values option").first).to_be_attached()
    page.goto("/jobs/new")
    body = b"##fileformat=VCFv4.2\n#CHROM\tPOS\tID\tREF\tALT\tQUAL\tFILTER\tINFO\n"
    for name, buffer in ((FILE_NAME, body), (f"{DRAWING}.txt", b"x")):
        page.locator("input[type=file]").set_input_files(
            [{"name": name.replace("/", " "), "mimeType": "text/plain", "buffer": buffer}]
        )
    expect(page.locator(".uploads li")).to_have_count(2)
    everything = "\n".join([*shown, page.locator("body").inner_text()])
    for said in (FILE_NAME, CONTIG, GENE, f"T{GENE}", SAMPLE, DRAWING, f"rs{IMAGE}", f"Line 3: {IMAGE}", SCRIPT):
        assert said in everything, f"no page shows {said}"
    assert hers.ran + everybody.ran == []
    assert hers.elsewhere | everybody.elsewhere == set()


#: A real contig of the reference, so that the genome view can be opened.
GIVEN = f"""##fileformat=VCFv4.2
##evil={SCRIPT}{IMAGE}
##contig=<ID=NC_045512.2,length=29903,assembly="{DRAWING}">
##FILTER=<ID=low,Description="{IMAGE}">
##ALT=<ID=DEL,Description="{DRAWING}">
##FORMAT=<ID=GT,Number=1,Type=String,Description="{IMAGE}">
##FORMAT=<ID=SAID,Number=1,Type=String,Description="{SCRIPT}">
##INFO=<ID=X,Number=.,Type=String,Description="{SCRIPT}">
##INFO=<ID=Y,Number=1,Type=String,Description="{IMAGE}">
#CHROM\tPOS\tID\tREF\tALT\tQUAL\tFILTER\tINFO\tFORMAT\t{SAMPLE}\t{SCRIPT}
NC_045512.2\t23403\trs{IMAGE}\tA\tG\t50\tlow\tX={HEADING},{DRAWING};Y={SCRIPT}\tGT:SAID\t0|1:{IMAGE}\t1|1:{DRAWING}
"""
#: Where igv.js has drawn the variant in the middle: the call of the first sample, and over it the variant's bar, which
#: the window about the call leaves free.
DRAWN = """() => {
  const [{ trackView, variantBandHeight }] = document.querySelector("#genome").browser.findTracks("type", "variant");
  const drawn = trackView.viewports[0].canvas.getBoundingClientRect();
  return [variantBandHeight + 6, 15].map((y) => [drawn.x + drawn.width / 2, drawn.y + y]);
}"""


def test_nothing_of_a_file_runs_in_the_genome_view(
    watch: Callable[..., Watched],
    alice: Browser,
    jobs: Jobs,
    services: Services,
    sars_cov_2: Reference,
    tmp_path: Path,
) -> None:
    """igv.js, which reads the result by itself, shows what a file says of a variant and of a call as text."""
    given, target = tmp_path / "given.vcf", tmp_path / "out.vcf.gz"
    given.write_text(GIVEN)
    annotate(given, target, reference=sars_cov_2, file_name=FILE_NAME)
    endings = {Output.VCF: ".vcf.gz", Output.INDEX: ".vcf.gz.tbi", Output.TABLE: ".parquet"}
    endings[Output.SUMMARY] = ".summary.json"
    files = {output: (tmp_path / f"out{ending}").read_bytes() for output, ending in endings.items()}
    job = jobs.done(ALICE, name=FILE_NAME, files=files)
    browser = watch(alice.cookie)
    page = browser.page
    rule = {"AllowedOrigins": [browser.url], "AllowedMethods": ["GET"], "AllowedHeaders": ["*"]}
    services.objects._aws.s3.put_bucket_cors(
        Bucket=services.settings.results_bucket,
        CORSConfiguration={"CORSRules": [{**rule, "ExposeHeaders": ["Content-Range"]}]},
    )
    browser.go(f"/jobs/{job.job_id}/genome?locus=NC_045512.2:23403")
    expect(page.locator("#genome")).to_have_attribute("data-state", "ready")
    page.wait_for_function(
        """() => document.querySelector("#genome").browser.findTracks("type", "variant")[0]
            .trackView.viewports[0].featureCache?.features?.length"""
    )
    window = page.locator("#genome .igv-ui-popover").filter(visible=True)
    for place, said in zip(page.evaluate(DRAWN), ((SAMPLE, IMAGE), (HEADING, f"rs{IMAGE}", SCRIPT)), strict=True):
        page.mouse.click(*place)
        for words in said:
            expect(window.last).to_contain_text(words)
        assert window.locator("h1, img, svg[onload], script").count() == 0
    browser.go(f"/jobs/{job.job_id}")
    shown = browser.go(f"/jobs/{job.job_id}/table?genotypes=1&columns=chrom,pos,id,ref,alt,gene")
    assert f"rs{IMAGE}" in shown
    assert SAMPLE in shown
    own = "wasm-eval"  # igv.js asks whether it may, whatever the file
    assert [said for said in browser.ran if own not in said] == []
    assert all(url.startswith(services.objects._aws.s3.meta.endpoint_url) for url in browser.elsewhere)


def test_a_refusal_quotes_a_file_as_text(
    watch: Callable[..., Watched], alice: Browser, jobs: Jobs, sars_cov_2: Any, tmp_path: Path
) -> None:
    """The engine's own sentence about a hostile line, shown where a job has failed."""
    given = tmp_path / "given.vcf"
    given.write_text(
        "##fileformat=VCFv4.2\n#CHROM\tPOS\tID\tREF\tALT\tQUAL\tFILTER\tINFO\n"
        f"NC_045512.2\t10\t.\tG\t{DRAWING}{DRAWING}\t.\t.\t.\n"
    )
    with pytest.raises(InputError) as refusal:
        annotate(given, tmp_path / "out.vcf.gz", reference=sars_cov_2)
    assert DRAWING in str(refusal.value)
    failed = jobs.failed(ALICE, str(refusal.value), kind=refusal.value.kind)
    browser = watch(alice.cookie)
    assert DRAWING in browser.go(f"/jobs/{failed.job_id}")
    assert browser.ran == []


@pytest.mark.parametrize("width", [1280, 390])
def test_nothing_jumps_while_a_job_moves(
    watch: Callable[..., Watched], alice: Browser, jobs: Jobs, services: Services, width: int
) -> None:
    """From waiting over annotating to done, untouched: less than a tenth by the measure of Core Web Vitals."""
    job: Job = jobs.pending(ALICE)
    browser = watch(alice.cookie, viewport={"width": width, "height": 800})
    page: Page = browser.page
    browser.page.goto(f"/jobs/{job.job_id}")
    services.jobs.start(job.job_id, "0001")
    expect(page.locator(".chip").first).to_have_text("Annotating")
    services.jobs.report(job.job_id, "0001", Progress(stage="annotating", done=1234, total=5678))
    expect(page.locator(".so-far")).to_have_text("1,234 of 5,678 variants")
    jobs.finish(job)
    expect(page.get_by_role("heading", name="Made with")).to_be_visible()
    page.evaluate("new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)))")
    assert page.evaluate("shifted") < 0.1
    assert browser.ran == []


def test_no_script_of_another_page_reads_the_session(watch: Callable[..., Watched], operator: Browser) -> None:
    """The cookie is out of a script's reach, and no page of this site can be framed by another."""
    browser = watch(operator.cookie)
    browser.go("/jobs/")
    assert browser.page.evaluate("document.cookie") == ""
    assert OPERATOR not in browser.page.evaluate("JSON.stringify({...localStorage, ...sessionStorage})")
