"""Installing published references from a mirror on loopback: versions side by side, and what goes wrong on the way."""

from __future__ import annotations

import fcntl
import os
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from gas.downloads import Downloads
from gas.errors import Damaged, NoSpace, NotFound, ReferenceProblem, Unavailable
from gas.published import Publishers, followed, install, prune, update
from gas.references import Reference, ReferenceStore
from tests.mirror import Mirror, mirrored

FIRST = "ensembl-115.clinvar-2026-11-16"
FASTA = "/pub/release-115/fasta/homo_sapiens/dna/Homo_sapiens.GRCh38.dna.primary_assembly.fa.gz"
CLINVAR = "/clinvar/vcf_GRCh38/clinvar.vcf.gz"


@dataclass
class Site:
    """A store, and what fills it from the mirror."""

    mirror: Mirror
    store: ReferenceStore
    downloads: Downloads
    publishers: Publishers

    def install(self, name: str = "grch38", *, use: bool = True, **asked: Any) -> Reference:
        return install(
            lambda: self.publishers.offer(name, store=self.store, **asked),
            store=self.store,
            downloads=self.downloads,
            use=use,
        )

    def update(self) -> Reference:
        (reference,) = followed(self.store)
        return update(reference, publishers=self.publishers, store=self.store, downloads=self.downloads).reference

    def fetched(self) -> list[str]:
        """The large files that were asked for, in order."""
        return [path for method, path, _ in self.mirror.web.asked if method == "GET" and path.endswith("gz")]


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Site]:
    with mirrored() as mirror:
        downloads = Downloads(sleep=lambda _: None)
        store = ReferenceStore(tmp_path / "references")
        yield Site(mirror, store, downloads, Publishers(mirror.settings(store.folder), downloads))
        downloads.close()


def test_published_reference_is_installed(site: Site) -> None:
    """Genome, genes and ClinVar, under a version that names both; it is in force, and no download is left."""
    reference = site.install()
    assert (reference.name, reference.version) == ("grch38", FIRST)
    assert reference.source_columns == ("CLINVAR_CLNSIG", "CLINVAR_CLNREVSTAT", "CLINVAR_CLNDN")
    assert site.store.get("grch38") == reference
    assert [r.name for r in site.store.list()] == ["grch38"]
    assert sorted(path.name for path in site.store.folder.iterdir()) == [".downloads", "grch38", f"grch38@{FIRST}"]
    assert list((site.store.folder / ".downloads").iterdir()) == []


def test_installing_again_fetches_nothing(site: Site) -> None:
    """What is there is put in force, that is all."""
    first = site.install()
    site.mirror.web.asked.clear()
    assert site.install() == first
    assert site.fetched() == []


@pytest.mark.parametrize("name", ["grch37", "grch38"])
def test_update_fetches_clinvar_alone(site: Site, name: str) -> None:
    """Genome and genes are the same files; who got the version before keeps it."""
    before = site.install(name)
    site.mirror.clinvar("20261123", leave=5)
    site.mirror.web.asked.clear()
    after = site.update()
    assert after.version == before.version.replace("2026-11-16", "2026-11-23")
    assert [path.rpartition("/")[2] for path in site.fetched()] == ["clinvar.vcf.gz"]
    assert after.fasta.samefile(before.fasta)
    assert after.gff.samefile(before.gff)
    assert (before.sources[0].date, after.sources[0].date) == ("2026-11-16", "2026-11-23")
    assert after.sources[0].sha256 != before.sources[0].sha256
    assert before.sources[0].path.is_file()
    assert site.store.get(name) == after
    assert after.cut_points("1") == before.cut_points("1")


def test_update_without_news_does_nothing(site: Site) -> None:
    """Nor does one with news that were installed and put out of force by hand."""
    first = site.install()
    assert site.update() == first
    site.mirror.clinvar("20261123", leave=5)
    assert site.update() != first
    site.store.use("grch38", FIRST)
    site.mirror.web.asked.clear()
    assert site.update() == first
    assert site.fetched() == []


def test_new_release_stands_beside_the_old(site: Site) -> None:
    """Without being put in force, if so wished."""
    site.install()
    site.mirror.release("116")
    second = site.install(use=False)
    assert second.version == "ensembl-116.clinvar-2026-11-16"
    assert site.store.get("grch38").version == FIRST
    assert [r.version for r in site.store.versions("grch38")] == [FIRST, second.version]
    site.store.use("grch38", second.version)
    assert site.store.get("grch38") == second
    site.store.use("grch38", FIRST)
    assert site.store.get("grch38").version == FIRST


def test_release_can_be_named(site: Site) -> None:
    """Also without ClinVar; a release that was never, or has no such file, is told of."""
    site.mirror.release("116")
    assert site.install(release="115", clinvar=False).version == "ensembl-115"
    assert followed(site.store) == []
    with pytest.raises(NotFound, match="release-200"):
        site.install(release="200")
    with pytest.raises(ReferenceProblem, match="only to be had from Ensembl's release 87"):
        site.install("grch37", release="115")
    with pytest.raises(ReferenceProblem, match="it knows grch38, grch37"):
        site.install("t2t")


def test_interrupted_installation_goes_on(site: Site) -> None:
    """A server that breaks off for good costs nothing of what has arrived."""
    body = site.mirror.fasta
    site.mirror.web.cuts[:] = [len(body) // 2, 0, 0, 0, 0, 0]
    with pytest.raises(Unavailable):
        site.install()
    assert site.store.list() == []
    site.mirror.web.asked.clear()
    assert site.install().version == FIRST
    assert [asked for _, path, asked in site.mirror.web.asked if path == FASTA][-1] == f"bytes={len(body) // 2}-"


@pytest.mark.parametrize("path", [FASTA, CLINVAR], ids=["genome", "clinvar"])
def test_wrong_checksum_installs_nothing(site: Site, path: str) -> None:
    """The reference in force stays, and nothing new is there."""
    site.mirror.web.files[path] = site.mirror.web.files[path][:-8] + b"damaged!"
    with pytest.raises(Damaged, match="checksum"):
        site.install()
    assert site.store.list() == []
    assert site.store.versions("grch38") == []


def test_clinvar_published_anew_meanwhile_is_taken(site: Site) -> None:
    """The file of the new day with the checksum of the old one: both are looked at once more."""
    old = site.publishers.offer("grch38", store=site.store)
    site.mirror.clinvar("20261123", leave=5)
    looks = iter([lambda: old, lambda: site.publishers.offer("grch38", store=site.store)])
    reference = install(lambda: next(looks)(), store=site.store, downloads=site.downloads)
    assert reference.version == "ensembl-115.clinvar-2026-11-23"


def test_clinvar_of_one_day_may_be_published_twice(site: Site) -> None:
    """The second one gets a version of its own."""
    site.install()
    site.mirror.clinvar("20261116", leave=5)
    again = site.update()
    assert again.version.startswith(f"{FIRST}.")
    assert len(site.store.versions("grch38")) == 2


def test_disk_need_comes_first(site: Site) -> None:
    """Where there is no room nothing is fetched."""
    site.mirror.web.sizes[FASTA] = 10**15
    with pytest.raises(NoSpace, match=r"Installing grch38 needs 2\.1 PB"):
        site.install()
    assert site.fetched() == []


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs Linux's /dev/full")
def test_full_disk_leaves_the_reference_in_force(site: Site) -> None:
    """The kernel's own ENOSPC, in the middle of an update."""
    first = site.install()
    site.mirror.clinvar("20261123", leave=5)
    offer = site.publishers.newer(first, store=site.store)
    folder = site.store.folder / ".downloads" / "grch38"
    folder.mkdir()
    (file,) = offer.files.values()
    (folder / f"{file.checksum.digest}-clinvar.vcf.gz.part").symlink_to("/dev/full")
    with pytest.raises(NoSpace, match="is full"):
        site.update()
    assert site.store.get("grch38") == first


def test_two_do_not_install_one_reference(site: Site) -> None:
    """The second one is told; a dead one holds up nobody."""
    folder = site.store.folder / ".downloads" / "grch38"
    folder.mkdir(parents=True)
    held = os.open(folder, os.O_RDONLY)
    fcntl.flock(held, fcntl.LOCK_EX)
    with pytest.raises(Unavailable, match="another process"):
        site.install()
    os.close(held)
    assert site.install().version == FIRST


def test_old_versions_go(site: Site) -> None:
    """All but the last few, and the one in force; that one cannot be removed by itself."""
    for day in ("20261116", "20261117", "20261118", "20261119"):
        site.mirror.clinvar(day)
        reference = site.install()
        stamp = int(day)
        os.utime(reference.folder / "reference.json", (stamp, stamp))
    site.store.use("grch38", FIRST)
    assert prune(site.store, "grch38", keep=2) == ["ensembl-115.clinvar-2026-11-17"]
    assert len(site.store.versions("grch38")) == 3
    with pytest.raises(ReferenceProblem, match="is in force"):
        site.store.remove_version("grch38", FIRST)
    site.store.remove("grch38")
    assert site.store.list() == []
    assert site.store.versions("grch38") == []


def test_switch_is_never_half_done(site: Site) -> None:
    """Whoever asks while versions are switched gets one or the other, never none."""
    site.install()
    site.mirror.clinvar("20261123", leave=5)
    second = site.update().version
    stop = threading.Event()

    def switch() -> None:
        while not stop.is_set():
            for version in (FIRST, second):
                site.store.use("grch38", version)

    thread = threading.Thread(target=switch)
    thread.start()
    try:
        got = {site.store.get("grch38").version for _ in range(500)}
    finally:
        stop.set()
        thread.join()
    assert got == {FIRST, second}


def test_reference_added_from_files_is_not_replaced(site: Site, tmp_path: Path) -> None:
    """A name without versions stays what it is."""
    for name, body in (("g.fa.gz", site.mirror.fasta), ("g.gff3.gz", site.mirror.gff)):
        (tmp_path / name).write_bytes(body)
    site.store.add("grch38", fasta=tmp_path / "g.fa.gz", gff=tmp_path / "g.gff3.gz")
    with pytest.raises(ReferenceProblem, match="added from files"):
        site.install()
    assert followed(site.store) == []
