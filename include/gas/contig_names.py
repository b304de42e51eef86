"""The spellings under which one contig goes: ``21``, ``chr21`` and ``NC_000021.9`` are the same molecule.

A spelling is only an alias where it is certain: an accession of a human chromosome names a build as well, so it is
taken only for a contig of exactly that build's length.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping

#: Length in bases and RefSeq version of each human chromosome (1-22, X, Y) in NCBI's assembly reports of GRCh38
#: (GCF_000001405.26 and later) and GRCh37 (GCF_000001405.13 and later). Number n is ``NC_%06d.version``.
_HUMAN = {
    "GRCh38": (
        (248956422, 11), (242193529, 12), (198295559, 12), (190214555, 12), (181538259, 10), (170805979, 12),
        (159345973, 14), (145138636, 11), (138394717, 12), (133797422, 11), (135086622, 10), (133275309, 12),
        (114364328, 11), (107043718, 9), (101991189, 10), (90338345, 10), (83257441, 11), (80373285, 10),
        (58617616, 10), (64444167, 11), (46709983, 9), (50818468, 11), (156040895, 11), (57227415, 10),
    ),
    "GRCh37": (
        (249250621, 10), (243199373, 11), (198022430, 11), (191154276, 11), (180915260, 9), (171115067, 11),
        (159138663, 13), (146364022, 10), (141213431, 11), (135534747, 10), (135006516, 9), (133851895, 11),
        (115169878, 10), (107349540, 8), (102531392, 9), (90354753, 9), (81195210, 10), (78077248, 9),
        (59128983, 9), (63025520, 10), (48129895, 8), (51304566, 10), (155270560, 10), (59373566, 9),
    ),
}  # fmt: skip
_HUMAN_NAMES = (*map(str, range(1, 23)), "X", "Y")
_MITOCHONDRION = ("MT", "chrM", "M", "chrMT", "mitochondrion")
_HUMAN_MITOCHONDRION = (
    16569,
    "NC_012920.1",
)  # the revised Cambridge sequence; UCSC's hg19 chrM is another, 16,571 long
#: Sequences that go under several names, by their length in bases: RefSeq's, GenBank's, UCSC's and Ensembl's.
_SAME = {
    29903: ("NC_045512.2", "MN908947.3", "NC_045512v2", "NC_045512", "MN908947", "SARS-CoV-2"),
    4641652: ("NC_000913.3", "U00096.3", "NC_000913", "U00096", "Chromosome"),  # Escherichia coli K-12 MG1655
    4411532: ("NC_000962.3", "AL123456.3", "NC_000962", "AL123456", "Chromosome"),  # Mycobacterium tuberculosis H37Rv
}
_CHROMOSOME = re.compile(r"^(chr)?(\d{1,3}|[XYZWUIV]{1,5}|[23][LR])$", re.IGNORECASE)


def aliases(contigs: Mapping[str, int]) -> dict[str, str]:
    """Other spellings of these contigs, each with the name it stands for.

    Neither one of the genome's own names nor a spelling that would fit two of its contigs is among them.

    :param contigs: the genome's own names and lengths in bases.
    """
    found: dict[str, set[str]] = {}
    for name, length in contigs.items():
        for spelling in _spellings(name, length):
            found.setdefault(spelling, set()).add(name)
    return {
        spelling: names.pop()
        for spelling, names in sorted(found.items())
        if len(names) == 1 and spelling not in contigs
    }


def builds(contigs: Mapping[str, int]) -> set[str]:
    """The human genome builds (``GRCh38``, ``GRCh37``) that one of these contigs has the name and length of."""
    by_accession = {
        f"NC_{number:06d}.{version}": build
        for build, chromosomes in _HUMAN.items()
        for number, (_, version) in enumerate(chromosomes, start=1)
    }
    spelled = {spelling for name, length in contigs.items() for spelling in _spellings(name, length)}
    return {by_accession[spelling] for spelling in spelled & by_accession.keys()}


def _spellings(name: str, length: int) -> Iterable[str]:
    if name in _MITOCHONDRION or (length, name) == _HUMAN_MITOCHONDRION:
        yield from _MITOCHONDRION
        if length == _HUMAN_MITOCHONDRION[0]:
            yield _HUMAN_MITOCHONDRION[1]
        return
    if name in _SAME.get(length, ()):
        yield from _SAME[length]
        return
    plain = _plain_name(name, length)
    if plain is None:
        return
    yield from (plain, f"chr{plain}", f"Chr{plain}")
    if plain in _HUMAN_NAMES:
        number = _HUMAN_NAMES.index(plain) + 1
        for chromosomes in _HUMAN.values():
            human_length, version = chromosomes[number - 1]
            if length == human_length:
                yield f"NC_{number:06d}.{version}"


def _plain_name(name: str, length: int) -> str | None:
    """The chromosome's number or letter, from ``chr21``, ``21`` or a human accession of that length."""
    match = _CHROMOSOME.match(name)
    if match:
        return match[2]
    for chromosomes in _HUMAN.values():
        for number, (human_length, version) in enumerate(chromosomes, start=1):
            if (human_length, f"NC_{number:06d}.{version}") == (length, name):
                return _HUMAN_NAMES[number - 1]
    return None
