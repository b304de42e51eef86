"""What was accepted with a remark, in sentences for the log and the page."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator

from gas.annotation.check import Check
from gas.annotation.stages import Normalised

_SHOWN = 10


def notes_of(
    check: Check, *, declared: Collection[bytes], phase: str, normalised: Iterable[Normalised]
) -> Iterator[str]:
    """The remarks on an input.

    :param declared: the contigs that its header declares.
    :param phase: ``known``, ``unknown`` or ``none``.
    """
    seen = check.seen
    if not check.records:
        yield "The file has a header and no records."
    if phase == "unknown":
        yield "Phase unknown: a sample has an unphased heterozygous genotype, so each variant was annotated on its own."
    if not check.sorted:
        yield "The records were not sorted; the result is. INFO/GAS_REC holds each record's number in the input."
    if seen["crlf"]:
        yield "Windows line ends (CRLF) were taken as line ends."
    if seen["no final newline"]:
        yield "The last line has no newline; it is whole."
    if seen["blank line"]:
        yield f"{seen['blank line']:,} blank lines were left out."
    if seen["lower case"]:
        yield f"{seen['lower case']:,} alleles in lower case were written in capitals."
    if seen["multi-allelic"]:
        yield f"{seen['multi-allelic']:,} records with several ALT alleles were split; INFO/GAS_OLD holds the original."
    for reason, count in sorted(check.skipped.items()):
        yield f"{count:,} x {reason}: kept, without a consequence."
    yield from _mended(normalised)
    yield from _contigs(check, declared)


def _mended(normalised: Iterable[Normalised]) -> Iterator[str]:
    supplied: dict[str, set[str]] = {}
    loosened: set[str] = set()
    for outcome in normalised:
        loosened.update(outcome.loosened)
        for kind, tags in outcome.undeclared.items():
            supplied.setdefault(kind, set()).update(tags)
    for kind, missing in sorted(supplied.items()):
        yield f"The header does not declare {kind} {_some(missing)}; a declaration was supplied."
    if loosened:
        yield f"Other numbers of values than the header declares: {_some(loosened)}; they were kept as they are."


def _contigs(check: Check, declared: Collection[bytes]) -> Iterator[str]:
    spelled = {number: name.decode(errors="replace") for number, name in check.contigs.spelled.items()}
    without = [name for number, name in spelled.items() if check.contigs.spelled[number] not in declared]
    if without:
        yield f"The header declares no contig {_some(without)}; a declaration was supplied."
    names = check.contigs.names
    other = [f"{names[number]} is {name}" for number, name in spelled.items() if name != names[number]]
    if other:
        yield f"The reference's names of contigs are not the file's ({_some(other)}); the result has the file's."


def _some(words: Iterable[str]) -> str:
    found = sorted(words)
    return ", ".join(found[:_SHOWN]) + (f" and {len(found) - _SHOWN:,} more" if len(found) > _SHOWN else "")
