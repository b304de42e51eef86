"""References as they are published: genomes and genes by Ensembl, variants of known significance by ClinVar.

A published reference is looked at first (an :class:`Offer`: which files, how large, with which checksums), then fetched
and installed as a version of its own, and put in force when it is whole. Where only ClinVar is new, only ClinVar is
fetched: the rest is shared with the version before.
"""

from __future__ import annotations

import fcntl
import os
import re
import shutil
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from pathlib import Path

from gas.downloads import BsdSum, Checksum, Downloads, Md5, require_space
from gas.errors import Damaged, ReferenceProblem, Unavailable
from gas.references import NewSource, Reference, ReferenceStore
from gas.settings import Settings

CLINVAR = "clinvar"
CLINVAR_FIELDS = ("CLNSIG", "CLNREVSTAT", "CLNDN")
#: So many versions of a reference stay when a new one is installed; the one in force stays in any case.
KEEP = 4
_DOWNLOADS = ".downloads"
_MD5 = re.compile(r"^([0-9a-f]{32})\b")
_DATED = re.compile(r"clinvar_(\d{4})(\d{2})(\d{2})\.vcf")


@dataclass(frozen=True, slots=True, kw_only=True)
class Published:
    """A genome in Ensembl's tree of files, and where ClinVar has a file for it."""

    species: str
    """As Ensembl's folders call it: ``homo_sapiens``."""
    assembly: str
    description: str
    sequences: str = "primary_assembly"
    """Which of Ensembl's files of the genome: ``primary_assembly``, or ``toplevel`` where there is no such."""
    folder: str = ""
    """The folder of Ensembl's tree, with a slash at its end; the tree itself when empty."""
    release: str = ""
    """The only release there will be; the latest one when empty."""
    clinvar: str = ""
    """The folder of ClinVar's tree; none when empty."""


CATALOGUE: Mapping[str, Published] = {
    "grch38": Published(
        species="homo_sapiens",
        assembly="GRCh38",
        description="Human, GRCh38, with Ensembl's genes and ClinVar",
        clinvar="vcf_GRCh38",
    ),
    "grch37": Published(
        species="homo_sapiens",
        assembly="GRCh37",
        description="Human, GRCh37 (hg19), with Ensembl's genes and ClinVar",
        folder="grch37/",
        release="87",
        clinvar="vcf_GRCh37",
    ),
    "grcm39": Published(species="mus_musculus", assembly="GRCm39", description="Mouse, GRCm39, with Ensembl's genes"),
    "r64-1-1": Published(
        species="saccharomyces_cerevisiae",
        assembly="R64-1-1",
        description="Baker's yeast, R64-1-1, with Ensembl's genes",
        sequences="toplevel",
    ),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class RemoteFile:
    """A file to fetch; ``size`` in bytes."""

    url: str
    checksum: Checksum
    size: int

    @property
    def name(self) -> str:
        """Its own name."""
        return self.url.rpartition("/")[2]


@dataclass(frozen=True, slots=True, kw_only=True)
class Offer:
    """What is published now."""

    name: str
    version: str
    files: Mapping[str, RemoteFile]
    """``fasta``, ``gff`` and ``clinvar``: those that are not installed already."""
    origin: Mapping[str, str]
    base: Reference | None = None
    """The installed version that differs in ClinVar alone."""
    there: Reference | None = None
    """This very version, where it is installed."""

    @property
    def download_bytes(self) -> int:
        """What is to be fetched, in bytes."""
        return sum(file.size for file in self.files.values())

    @property
    def needed_bytes(self) -> int:
        """What the disk must have free while it is installed, in bytes: what is fetched, and what is made of it.

        The genome is packed anew at about the same size; a source's table and the runs in which it is sorted are
        twice the source at most.
        """
        return self.download_bytes + sum(
            file.size * (2 if part == CLINVAR else 1) * 11 // 10 for part, file in self.files.items()
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Update:
    """What looking for a new ClinVar came to."""

    reference: Reference
    """The version in force now."""
    previous: str
    """The version that was in force before."""
    offered: str
    """The version that is published; installed now, or before."""

    @property
    def new(self) -> bool:
        """Whether another version is in force than before."""
        return self.reference.version != self.previous


#: Told which file (by its own name), how many of its bytes are there, and how many it has.
FileProgress = Callable[[str, int, int], None]


class Publishers:
    """Ensembl and ClinVar, or mirrors of them."""

    def __init__(self, settings: Settings, downloads: Downloads) -> None:
        self._ensembl = settings.ensembl_url
        self._clinvar = settings.clinvar_url
        self._downloads = downloads

    def offer(self, name: str, *, store: ReferenceStore, release: str = "", clinvar: bool = True) -> Offer:
        """What is published under this name.

        :param release: of Ensembl; the latest when empty.
        :raises ReferenceProblem: when the catalogue has no such name, or the publisher's files are not as expected.
        :raises NotFound: when the publisher has no such release.
        :raises Unavailable: when it does not answer.
        """
        published = _published(name)
        if published.release and release not in ("", published.release):
            raise ReferenceProblem(f"{name} is only to be had from Ensembl's release {published.release}.")
        release = release or published.release or self._latest()
        root = f"{self._ensembl}/{published.folder}release-{release}"
        species = published.species.capitalize()
        dna, genes = f"{root}/fasta/{published.species}/dna", f"{root}/gff3/{published.species}"
        files = {
            "fasta": self._summed(dna, f"{species}.{published.assembly}.dna.{published.sequences}.fa.gz"),
            "gff": self._summed(genes, f"{species}.{published.assembly}.{release}.gff3.gz"),
        }
        origin = {"published": name, "ensembl": release}
        origin |= {part: f"{file.url} {file.checksum}" for part, file in files.items()}
        return self._with_clinvar(name, published, files, origin, store, clinvar=clinvar)

    def newer(self, reference: Reference, *, store: ReferenceStore) -> Offer:
        """The same release of Ensembl with the ClinVar that is published now; raises as :meth:`offer` does."""
        name = reference.origin["published"]
        origin = {part: said for part, said in reference.origin.items() if part != CLINVAR}
        return self._with_clinvar(name, _published(name), {}, origin, store, clinvar=True)

    def _with_clinvar(
        self,
        name: str,
        published: Published,
        files: dict[str, RemoteFile],
        origin: dict[str, str],
        store: ReferenceStore,
        *,
        clinvar: bool,
    ) -> Offer:
        versions = store.versions(name)
        version = f"ensembl-{origin['ensembl']}"
        base = next((v for v in versions if {**v.origin, CLINVAR: ""} == {**origin, CLINVAR: ""}), None)
        if clinvar and published.clinvar:
            file, day = self._latest_clinvar(published.clinvar)
            origin = {**origin, CLINVAR: f"{file.url} {file.checksum}"}
            version += f".clinvar-{day}"
            if any(v.version == version and v.origin != origin for v in versions):  # published anew on the same day
                version += f".{str(file.checksum)[:8]}"
            files = {CLINVAR: file} if base else {**files, CLINVAR: file}
        there = next((v for v in versions if v.origin == origin), None)
        return Offer(
            name=name,
            version=there.version if there else version,
            files={} if there else files,
            origin=origin,
            base=base,
            there=there,
        )

    def _latest(self) -> str:
        release = self._downloads.text(f"{self._ensembl}/VERSION").strip()
        if not release.isdecimal():
            raise ReferenceProblem("Ensembl does not say which its latest release is: name one with --release.")
        return release

    def _summed(self, folder: str, name: str) -> RemoteFile:
        for line in self._downloads.text(f"{folder}/CHECKSUMS").splitlines():
            words = line.split()
            if (
                len(words) == 3
                and words[2].rpartition("/")[2] == name
                and words[0].isdecimal()
                and words[1].isdecimal()
            ):
                size = self._downloads.look(f"{folder}/{name}").size or int(words[1]) * 1024
                return RemoteFile(url=f"{folder}/{name}", checksum=BsdSum(int(words[0]), int(words[1])), size=size)
        raise ReferenceProblem(f"{folder}/CHECKSUMS has no line for {name}: that release has no such file.")

    def _latest_clinvar(self, folder: str) -> tuple[RemoteFile, str]:
        url = f"{self._clinvar}/{folder}/clinvar.vcf.gz"
        said = self._downloads.text(f"{url}.md5")
        digest = _MD5.match(said)
        if digest is None:
            raise ReferenceProblem(f"{url}.md5 holds no MD5.")
        remote = self._downloads.look(url)
        if dated := _DATED.search(said):
            day = "-".join(dated.groups())
        else:
            day = parsedate_to_datetime(remote.modified).date().isoformat() if remote.modified else digest[1][:8]
        return RemoteFile(url=url, checksum=Md5(digest[1]), size=remote.size), day


def install(
    look: Callable[[], Offer],
    *,
    store: ReferenceStore,
    downloads: Downloads,
    use: bool = True,
    said: Callable[[str], None] | None = None,
    progress: FileProgress | None = None,
) -> Reference:
    """Fetch and install what is offered, and put it in force. Called again, it goes on where it was stopped.

    :param look: makes the offer; asked once more when a file was published anew while it was fetched.
    :param use: whether it is put in force; it is in any case where no version was.
    :param said: told in a few words what is being done.
    :raises NoSpace: when the disk has no room for it; before anything is fetched, as far as the publisher says sizes.
    :raises Damaged: when a file is not what its publisher says, twice.
    :raises Unavailable: when a publisher does not answer; what has arrived is kept for the next time.
    """
    tell = said or (lambda _: None)
    offer = look()
    with _alone(store, offer.name) as folder:
        for last in (False, True):
            try:
                reference = offer.there or _installed(offer, folder, store, downloads, tell, progress)
                break
            except Damaged:
                if last:
                    raise
                tell("A file differs from its checksum: looking whether it was published anew")
                offer = look()
        shutil.rmtree(folder)
    if use or not (store.folder / offer.name).exists():
        store.use(offer.name, reference.version)
    return reference


def update(
    reference: Reference,
    *,
    publishers: Publishers,
    store: ReferenceStore,
    downloads: Downloads,
    said: Callable[[str], None] | None = None,
    progress: FileProgress | None = None,
) -> Update:
    """Install a newer ClinVar and put it in force; one that is installed already is left as it is, in force or not.

    Raises as :func:`install` does.
    """
    offer = publishers.newer(reference, store=store)
    if offer.there is None:
        fresh = install(
            lambda: publishers.newer(reference, store=store),
            store=store,
            downloads=downloads,
            said=said,
            progress=progress,
        )
        return Update(reference=fresh, previous=reference.version, offered=fresh.version)
    return Update(reference=reference, previous=reference.version, offered=offer.version)


def followed(store: ReferenceStore) -> Sequence[Reference]:
    """The references in force for which ClinVar publishes anew."""
    known = ((reference, CATALOGUE.get(reference.origin.get("published", ""))) for reference in store.list())
    return [reference for reference, published in known if published and CLINVAR in reference.origin]


def prune(store: ReferenceStore, name: str, *, keep: int = KEEP) -> Sequence[str]:
    """Remove all but the ``keep`` versions installed last, and the one in force; those removed."""
    in_force = store.get(name).version
    by_age = sorted(store.versions(name), key=lambda v: (v.folder / "reference.json").stat().st_mtime, reverse=True)
    old = [v.version for v in by_age[keep:] if v.version != in_force]
    for version in old:
        store.remove_version(name, version)
    return old


def _installed(
    offer: Offer,
    folder: Path,
    store: ReferenceStore,
    downloads: Downloads,
    tell: Callable[[str], None],
    progress: FileProgress | None,
) -> Reference:
    arrived = sum(path.stat().st_size for path in folder.iterdir())
    require_space(store.folder, max(offer.needed_bytes - arrived, 0), what=f"Installing {offer.name}")
    paths = {}
    for part, file in offer.files.items():
        tell(f"Fetching {file.name}")

        def told(there: int, total: int, name: str = file.name) -> None:
            if progress is not None:
                progress(name, there, total)

        # Named by the checksum too: a file of an offer before is never taken for this one.
        target = folder / f"{file.checksum}-{file.name}"
        paths[part] = downloads.fetch(file.url, target, checksum=file.checksum, progress=told)
    sources = [NewSource(name=CLINVAR, path=paths[CLINVAR], info_fields=CLINVAR_FIELDS)] if CLINVAR in paths else []
    if offer.base is not None and sources:
        return store.add_version(offer.base, sources[0], version=offer.version, origin=offer.origin, progress=tell)
    return store.add(
        offer.name,
        fasta=paths["fasta"],
        gff=paths["gff"],
        sources=sources,
        description=_published(offer.name).description,
        version=offer.version,
        origin=offer.origin,
        progress=tell,
    )


@contextmanager
def _alone(store: ReferenceStore, name: str) -> Iterator[Path]:
    """The folder of this reference's downloads, in which no other process is at work meanwhile."""
    folder = store.folder / _DOWNLOADS / name
    try:
        folder.mkdir(parents=True, exist_ok=True)
        held = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    except OSError as error:
        raise ReferenceProblem(f"References cannot be kept in {store.folder}: {error}.") from error
    try:
        try:
            fcntl.flock(held, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise Unavailable(
                f"{name} is being installed by another process; wait for it, or try again later."
            ) from None
        yield folder
    finally:
        os.close(held)


def _published(name: str) -> Published:
    published = CATALOGUE.get(name)
    if published is None:
        raise ReferenceProblem(
            f"{name!r} is not published as far as GAS knows; it knows {', '.join(CATALOGUE)}. "
            "`gas reference add` installs any other genome from files."
        )
    return published
