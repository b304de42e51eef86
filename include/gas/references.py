"""The reference genomes installed here: a genome, its genes, and any number of annotation sources.

A reference is a folder of the store, whole or not there at all::

    NAME/reference.json     what it is, with checksums          cuts.json   where work may be split
    NAME/genome.fa.gz       bgzip, with .fai and .gzi
    NAME/genes.gff3.gz      Ensembl's form, sorted, bgzip, with .tbi or .csi
    NAME/sources/X.tsv.gz   CHROM POS REF ALT ID and chosen INFO fields, alleles split and left-aligned; .tbi or .csi
    NAME/sources/X.hdr      the INFO lines of those fields, under the names they get

It is built in a hidden folder beside, and renamed when everything is on disk. What a killed ``add`` or ``remove``
leaves is hidden, and swept by the next one.

A reference may have several versions side by side: folders ``NAME@VERSION``, and ``NAME`` a symbolic link to the one in
force, which is replaced in one step. Whoever asked for the reference before works on with the version that it got:
:attr:`Reference.folder` is never the link. Versions that differ in a source alone share the other files (hard links).
"""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
import re
import shutil
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from functools import cached_property
from importlib import resources
from pathlib import Path
from typing import Any

from gas.errors import ReferenceProblem

_FORMAT = 1
_NAME = re.compile(r"^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$")
_VERSION = re.compile(r"^[A-Za-z0-9][A-Za-z0-9._-]{0,100}$")
_SOURCE_NAME = re.compile(r"^[A-Za-z][A-Za-z0-9]{0,30}$")
_NEW_SOURCE = re.compile(r"(?P<name>[^=]+)=(?P<path>.+?)(?::(?P<fields>[A-Za-z_][\w.]*(?:,[A-Za-z_][\w.]*)*))?")
_HIDDEN = ".unfinished-"
_LINK = ".in-force"
SARS_COV_2 = "sars-cov-2"


@dataclass(frozen=True, slots=True)
class Contig:
    """One sequence of the genome; ``length`` in bases."""

    name: str
    length: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Source:
    """An annotation source: INFO fields and IDs that are copied to variants of equal position and alleles.

    ``path`` is an indexed bgzip table without a header line: CHROM, POS, REF, ALT, ID, then the fields in the order of
    ``info_fields``, ``.`` where one is missing.
    """

    name: str
    path: Path
    info_fields: tuple[str, ...]
    version: str
    """What the file says of its release (``dbSNP build 156``); empty where it says nothing."""
    date: str
    """The file's own date, ISO 8601 where it can be read as one; empty where there is none."""
    sha256: str
    """Hex SHA-256 of the file as it was given to ``add``."""

    @property
    def header(self) -> Path:
        """The ``##INFO`` lines of its columns."""
        return self.path.with_name(f"{self.name}.hdr")

    @property
    def columns(self) -> dict[str, str]:
        """Each INFO field of the source, and the name under which it is copied: ``CLNSIG`` to ``CLINVAR_CLNSIG``."""
        return {field: f"{self.name.upper()}_{field}" for field in self.info_fields}


@dataclass(frozen=True, slots=True)
class NewSource:
    """A source to be installed: ``path`` is a VCF, plain, gzip or bgzip, or a BCF."""

    name: str
    path: Path
    info_fields: tuple[str, ...] = ()

    @classmethod
    def parse(cls, text: str) -> NewSource:
        """Read ``NAME=FILE:FIELD,FIELD`` (fields may be left out: then only IDs are filled).

        :raises ReferenceProblem: when the text has another form.
        """
        match = _NEW_SOURCE.fullmatch(text)
        if match is None:
            raise ReferenceProblem(f"{text!r} is no source: write NAME=FILE.vcf.gz:FIELD,FIELD.")
        fields = tuple(dict.fromkeys((match["fields"] or "").split(","))) if match["fields"] else ()
        return cls(name=match["name"], path=Path(match["path"]), info_fields=fields)


@dataclass(frozen=True, kw_only=True)
class Reference:
    """An installed reference. Cheap to make: it reads the manifest alone."""

    name: str
    description: str
    folder: Path
    contigs: tuple[Contig, ...]
    sources: tuple[Source, ...]
    fasta_sha256: str
    """Hex SHA-256 of the FASTA as it was given to ``add``; so for ``gff_sha256``."""
    gff_sha256: str
    transcripts: int
    """Coding transcripts."""
    genes: int
    aliases: Mapping[str, str]
    """Other spellings of contigs, each with the reference's own name for it."""
    notes: tuple[str, ...]
    """What ``add`` left out or mended, in sentences."""
    version: str = ""
    """Which of several versions this is; empty where there can be only one."""
    origin: Mapping[str, str] = field(default_factory=dict)
    """Where its files were fetched from, and what their publishers say of them; empty where they were given."""

    @property
    def fasta(self) -> Path:
        """The genome: bgzip, with ``.fai`` and ``.gzi`` beside it."""
        return self.folder / "genome.fa.gz"

    @property
    def gff(self) -> Path:
        """The genes in the form ``csq`` reads."""
        return self.folder / "genes.gff3.gz"

    @property
    def source_columns(self) -> tuple[str, ...]:
        """The INFO fields that the sources add to a variant, in order."""
        return tuple(column for source in self.sources for column in source.columns.values())

    @property
    def checksum(self) -> str:
        """What an annotation on it depends on: genome, genes, and each source with the fields taken from it."""
        sources = [(source.name, source.sha256, source.info_fields) for source in self.sources]
        return checksum_of(self.fasta_sha256, self.gff_sha256, sources)

    def cut_points(self, contig: str) -> Sequence[int]:
        """Ascending 1-based positions ``p`` where work may be split into ``POS < p`` and ``POS >= p``.

        No gene, with :data:`gas.reference_files.CUT_MARGIN` bases at either end, lies on both sides.
        """
        return self._cuts.get(contig, ())

    @cached_property
    def _cuts(self) -> dict[str, list[int]]:
        cuts: dict[str, list[int]] = json.loads((self.folder / "cuts.json").read_bytes())
        return cuts

    def to_json(self) -> dict[str, Any]:
        """The manifest: what ``reference.json`` holds and ``gas reference show --json`` prints."""
        return {
            "format": _FORMAT,
            "name": self.name,
            "description": self.description,
            "fasta_sha256": self.fasta_sha256,
            "gff_sha256": self.gff_sha256,
            "transcripts": self.transcripts,
            "genes": self.genes,
            "contigs": [{"name": c.name, "length": c.length} for c in self.contigs],
            "sources": [
                {
                    "name": s.name,
                    "file": s.path.name,
                    "info_fields": list(s.info_fields),
                    "version": s.version,
                    "date": s.date,
                    "sha256": s.sha256,
                }
                for s in self.sources
            ],
            "aliases": dict(self.aliases),
            "notes": list(self.notes),
            "version": self.version,
            "origin": dict(self.origin),
        }

    @classmethod
    def load(cls, folder: Path) -> Reference:
        """Read the manifest of an installed reference.

        :raises ReferenceProblem: when there is none, or it cannot be read.
        """
        folder = folder.resolve()  # the version in force may become another one meanwhile
        name, _, version = folder.name.partition("@")
        try:
            said = json.loads((folder / "reference.json").read_bytes())
            if said["format"] != _FORMAT:
                raise ReferenceProblem(
                    f"The reference {name!r} was installed by another version of GAS: remove it and add it again."
                )
            return cls(
                name=name,
                description=said["description"],
                folder=folder,
                contigs=tuple(Contig(c["name"], c["length"]) for c in said["contigs"]),
                sources=tuple(
                    Source(
                        name=s["name"],
                        path=folder / "sources" / s["file"],
                        info_fields=tuple(s["info_fields"]),
                        version=s["version"],
                        date=s["date"],
                        sha256=s["sha256"],
                    )
                    for s in said["sources"]
                ),
                fasta_sha256=said["fasta_sha256"],
                gff_sha256=said["gff_sha256"],
                transcripts=said["transcripts"],
                genes=said["genes"],
                aliases=said["aliases"],
                notes=tuple(said["notes"]),
                version=version,
                origin=said.get("origin", {}),  # manifests of before have none
            )
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise ReferenceProblem(
                f"The reference {name!r} is damaged ({error!r}): remove it and add it again."
            ) from error


def checksum_of(fasta_sha256: str, gff_sha256: str, sources: Sequence[tuple[str, str, Sequence[str]]]) -> str:
    """:attr:`Reference.checksum`, from what a manifest or a summary says.

    :param sources: of each the name, the SHA-256 and the INFO fields.
    """
    parts = [fasta_sha256, gff_sha256, *(f"{name}:{sha256}:{','.join(fields)}" for name, sha256, fields in sources)]
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()


class ReferenceStore:
    """The references of one folder. Safe to use from several processes at once."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def list(self) -> list[Reference]:
        """Every installed reference, by name.

        :raises ReferenceProblem: when one is damaged.
        """
        return [Reference.load(self.folder / name) for name in self._names()]

    def get(self, name: str) -> Reference:
        """The reference of this name.

        :raises ReferenceProblem: when it is not installed; says which are.
        """
        names = self._names()
        if name not in names:
            there = f"installed are: {', '.join(names)}" if names else "none is installed; see gas reference add"
            raise ReferenceProblem(f"There is no reference {name!r}; {there}.")
        return Reference.load(self.folder / name)

    def add(
        self,
        name: str,
        *,
        fasta: Path,
        gff: Path,
        sources: Sequence[NewSource] = (),
        description: str = "",
        version: str = "",
        origin: Mapping[str, str] | None = None,
        progress: Callable[[str], None] | None = None,
    ) -> Reference:
        """Check, index and install a reference; all of it, or nothing.

        :param version: installs it as a version beside others, none of which is put out of force by it: the one in
            force stays so until :meth:`use` is called.
        :param origin: see :attr:`Reference.origin`.
        :param progress: told in a few words what is being done.
        :raises ReferenceProblem: when the name is taken or unusable, or the files are; says what to change.
        """
        from gas import reference_files

        if not _NAME.match(name):
            raise ReferenceProblem(
                f"{name!r} cannot be a reference's name: use letters, digits, '.', '_' and '-', at most 64."
            )
        folder_name = self._free(name, version)
        _check_source_names(sources)
        tell = progress or (lambda _: None)
        with self._unfinished() as folder:
            tell("Reading the genome")
            genome = reference_files.install_genome(fasta, folder)
            tell("Reading the genes")
            genes = reference_files.install_genes(gff, folder, genome=genome)
            (folder / "sources").mkdir()
            installed = []
            for source in sources:
                tell(f"Reading {source.name}")
                installed.append(reference_files.install_source(source, folder / "sources", genome=genome))
            reference = Reference(
                name=name,
                description=description,
                folder=folder,
                contigs=tuple(Contig(n, length) for n, length in genome.contigs.items()),
                sources=tuple(source for source, _ in installed),
                fasta_sha256=genome.sha256,
                gff_sha256=genes.sha256,
                transcripts=genes.transcripts,
                genes=genes.genes,
                aliases=genome.aliases,
                notes=(*genes.notes, *(note for _, notes in installed for note in notes)),
                version=version,
                origin=origin or {},
            )
            (folder / "cuts.json").write_text(json.dumps(genes.cuts, separators=(",", ":")))
            return self._finish(reference, folder_name)

    def add_version(
        self,
        base: Reference,
        source: NewSource,
        *,
        version: str,
        origin: Mapping[str, str],
        progress: Callable[[str], None] | None = None,
    ) -> Reference:
        """A version of an installed reference with one source exchanged, or added; it shares all else with ``base``.

        Its arguments, and what it raises, are those of :meth:`add`.
        """
        from gas import reference_files

        folder_name = self._free(base.name, version)
        _check_source_names([source])
        with self._unfinished() as folder:
            for path in base.folder.rglob("*"):
                at = folder / path.relative_to(base.folder)
                if path.is_dir():
                    at.mkdir()
                elif path.name != "reference.json" and not path.name.startswith((f"{source.name}.", _HIDDEN)):
                    os.link(path, at)
            genome = reference_files.Genome(
                path=folder / base.fasta.name,
                contigs={contig.name: contig.length for contig in base.contigs},
                aliases=base.aliases,
                sha256=base.fasta_sha256,
            )
            (progress or (lambda _: None))(f"Reading {source.name}")
            fresh, notes = reference_files.install_source(source, folder / "sources", genome=genome)
            others = [replace(s, path=folder / "sources" / s.path.name) for s in base.sources if s.name != source.name]
            return self._finish(
                replace(
                    base,
                    folder=folder,
                    sources=tuple(sorted((*others, fresh), key=lambda s: s.name)),
                    notes=(*(n for n in base.notes if not n.startswith(f"{source.name}:")), *notes),
                    version=version,
                    origin=origin,
                ),
                folder_name,
            )

    def use(self, name: str, version: str) -> Reference:
        """Put a version in force, in one step: whoever asks meanwhile gets the one before or this one.

        :raises ReferenceProblem: when there is no such version.
        """
        wanted = self.version(name, version)
        with _locked(self.folder) as store:
            if not wanted.folder.is_dir():
                raise ReferenceProblem(f"The version {version} of {name!r} was just removed.")
            if (self.folder / name).exists() and not (self.folder / name).is_symlink():
                raise ReferenceProblem(f"There is a reference {name!r} without versions: remove it first.")
            link = self.folder / _LINK
            link.unlink(missing_ok=True)
            link.symlink_to(wanted.folder.name)
            link.replace(self.folder / name)
            os.fsync(store)
        return wanted

    def versions(self, name: str) -> Sequence[Reference]:
        """The versions of a reference, in force or not, by version; none where it has no versions."""
        folders = self.folder.glob("*@*") if self.folder.is_dir() else ()
        named = sorted(path for path in folders if path.name.partition("@")[0] == name)
        return [Reference.load(path) for path in named if (path / "reference.json").is_file()]

    def version(self, name: str, version: str) -> Reference:
        """One version of a reference.

        :raises ReferenceProblem: when it is not installed; says which are.
        """
        there = {reference.version: reference for reference in self.versions(name)}
        if version not in there:
            known = f"there are {', '.join(there)}" if there else "it has no versions; see gas reference install"
            raise ReferenceProblem(f"There is no version {version!r} of the reference {name!r}: {known}.")
        return there[version]

    def remove_version(self, name: str, version: str) -> None:
        """Remove one version that is not in force.

        :raises ReferenceProblem: when it is in force, or is not installed.
        """
        doomed = self.version(name, version)
        with self._unfinished() as folder, _locked(self.folder):
            if (self.folder / name).resolve() == doomed.folder:
                raise ReferenceProblem(f"The version {version} of {name!r} is in force: put another in force first.")
            doomed.folder.rename(folder / "version")

    def remove(self, name: str) -> None:
        """Remove a reference, all versions of it. Jobs that have its files open keep them; others end with a sentence.

        :raises ReferenceProblem: when it is not installed.
        """
        self.get(name)
        with self._unfinished() as folder:
            (self.folder / name).rename(folder / name)
            for version in self.versions(name):
                version.folder.rename(folder / version.folder.name)

    def _free(self, name: str, version: str) -> str:
        """The name of the folder that this version, or a reference without versions, may take.

        :raises ReferenceProblem: when it is taken, or ``version`` cannot be one.
        """
        if not version:
            self._refuse_taken(name)
            return name
        if not _VERSION.match(version):
            raise ReferenceProblem(f"{version!r} cannot be a version: use letters, digits, '.', '_' and '-'.")
        if (self.folder / name).exists() and not (self.folder / name).is_symlink():
            raise ReferenceProblem(
                f"There is a reference {name!r} already, added from files; `gas reference remove {name}` makes room."
            )
        self._refuse_taken(f"{name}@{version}")
        return f"{name}@{version}"

    def _finish(self, reference: Reference, folder_name: str) -> Reference:
        """Write the manifest, see everything onto the disk, and give the folder its name."""
        (reference.folder / "reference.json").write_text(json.dumps(reference.to_json(), indent=1) + "\n")
        _sync(reference.folder)
        self._publish(reference.folder, folder_name)
        return Reference.load(self.folder / folder_name)

    def _names(self) -> tuple[str, ...]:
        try:
            found = sorted(entry.name for entry in self.folder.iterdir() if _NAME.match(entry.name))
        except FileNotFoundError:
            return ()
        return tuple(name for name in found if (self.folder / name / "reference.json").is_file())

    def _refuse_taken(self, name: str) -> None:
        taken = {entry.name.lower() for entry in self.folder.iterdir()} if self.folder.is_dir() else set()
        if name.lower() in taken:
            raise ReferenceProblem(f"There is a reference {name!r} already: remove it first, or choose another name.")

    @contextmanager
    def _unfinished(self) -> Iterator[Path]:
        """A hidden folder that is gone afterwards, and that others know to be in use while this process lives.

        The folder itself is locked; the kernel lets go of the lock when the process dies, whatever it dies of.
        """
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            with _locked(self.folder):
                self._sweep()
                folder = Path(tempfile.mkdtemp(prefix=_HIDDEN, dir=self.folder))
                held = _lock(folder, blocking=True)
        except OSError as error:
            raise ReferenceProblem(f"References cannot be kept in {self.folder}: {error}.") from error
        try:
            yield folder
        except OSError as error:
            raise ReferenceProblem(f"The reference cannot be written in {self.folder}: {error}.") from error
        finally:
            shutil.rmtree(folder, ignore_errors=True)  # once renamed it is no longer there
            os.close(held)

    def _sweep(self) -> None:
        """Delete hidden folders whose process has died. The store is locked meanwhile."""
        for left in self.folder.glob(f"{_HIDDEN}*"):
            try:
                held = _lock(left, blocking=False)
            except (BlockingIOError, FileNotFoundError):
                continue  # in use, or just tidied up by its own process
            shutil.rmtree(left, ignore_errors=True)
            os.close(held)

    def _publish(self, folder: Path, name: str) -> None:
        """Rename the finished folder into its place, durably."""
        with _locked(self.folder) as store:
            self._refuse_taken(name)
            folder.chmod(0o755)  # mkdtemp lets nobody else in; workers may run as another user
            folder.rename(self.folder / name)
            os.fsync(store)


def install_sars_cov_2(store: ReferenceStore) -> Reference:
    """The SARS-CoV-2 reference that ships with GAS (NC_045512.2), installed in ``store`` if it is not there yet."""
    there = store.folder / SARS_COV_2
    if there.is_dir():
        return store.get(SARS_COV_2)
    with resources.as_file(resources.files("gas") / "data") as data:
        try:
            return store.add(
                SARS_COV_2,
                fasta=data / "NC_045512.2.fa",
                gff=data / "NC_045512.2.gff3",
                description="SARS-CoV-2, isolate Wuhan-Hu-1, complete genome (NC_045512.2)",
            )
        except ReferenceProblem:
            if there.is_dir():  # another process was faster
                return store.get(SARS_COV_2)
            raise


def demo_vcf() -> Path:
    """The VCF that ships with GAS: the mutations that define five SARS-CoV-2 lineages, one sample each."""
    return Path(str(resources.files("gas") / "data" / "sars-cov-2-lineages.vcf"))


def _check_source_names(sources: Sequence[NewSource]) -> None:
    seen: set[str] = set()
    for source in sources:
        if not _SOURCE_NAME.match(source.name) or source.name.upper() == "GAS":
            raise ReferenceProblem(
                f"{source.name!r} cannot be a source's name: it becomes the prefix of INFO fields, so use letters and "
                "digits, a letter first, at most 31 (and not GAS)."
            )
        if source.name.upper() in seen:
            raise ReferenceProblem(f"The source {source.name!r} is given twice.")
        seen.add(source.name.upper())


def _lock(folder: Path, *, blocking: bool) -> int:
    """An open, locked descriptor of a folder.

    :raises BlockingIOError: when another process holds it and ``blocking`` is false.
    """
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX if blocking else fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        os.close(descriptor)
        raise
    return descriptor


@contextmanager
def _locked(folder: Path) -> Iterator[int]:
    descriptor = _lock(folder, blocking=True)
    try:
        yield descriptor
    finally:
        os.close(descriptor)


def _sync(folder: Path) -> None:
    """Force every file and folder under ``folder`` to disk."""
    for path in [*folder.rglob("*"), folder]:
        descriptor = os.open(path, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
