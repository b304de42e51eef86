"""What ``bcftools csq`` calls a change, in the words of the Sequence Ontology, and how severe it is.

Terms, their order of severity and their impact follow Ensembl's table of calculated consequences
(https://www.ensembl.org/info/genome/variation/prediction/predicted_data.html). ``csq`` (bcftools 1.24) writes most
terms without their ``_variant``, joins several that hold at once with ``&``, puts ``*`` before what lies downstream of
a stop, and writes ``@POS`` where the consequence of a haplotype is spelled out at the record of another position.
"""

from __future__ import annotations

from enum import StrEnum
from typing import NamedTuple


class Impact(StrEnum):
    """How disruptive a change is likely to be, worst first."""

    HIGH = "HIGH"
    MODERATE = "MODERATE"
    LOW = "LOW"
    MODIFIER = "MODIFIER"


class Consequence(NamedTuple):
    """One of ``csq``'s words: its Sequence Ontology term and Ensembl's impact."""

    term: str
    impact: Impact


#: Every word ``csq`` writes, most severe first. ``inframe_altering`` (indels that restore the frame between them) is
#: Ensembl's ``protein_altering_variant``; ``non_coding`` stands for exons and introns of non-coding transcripts;
#: ``NMD_transcript`` joins what is found in a transcript that nonsense-mediated decay destroys.
#:
#: ``feature_elongation`` and ``feature_truncation`` depart from the table. There they are structural variants and HIGH,
#: but csq says them of every complex substitution in a transcript, deep in an intron too; so here they weigh what an
#: intron's change does.
CONSEQUENCES: dict[str, Consequence] = {
    "splice_acceptor": Consequence("splice_acceptor_variant", Impact.HIGH),
    "splice_donor": Consequence("splice_donor_variant", Impact.HIGH),
    "stop_gained": Consequence("stop_gained", Impact.HIGH),
    "frameshift": Consequence("frameshift_variant", Impact.HIGH),
    "stop_lost": Consequence("stop_lost", Impact.HIGH),
    "start_lost": Consequence("start_lost", Impact.HIGH),
    "inframe_insertion": Consequence("inframe_insertion", Impact.MODERATE),
    "inframe_deletion": Consequence("inframe_deletion", Impact.MODERATE),
    "missense": Consequence("missense_variant", Impact.MODERATE),
    "inframe_altering": Consequence("protein_altering_variant", Impact.MODERATE),
    "splice_region": Consequence("splice_region_variant", Impact.LOW),
    "start_retained": Consequence("start_retained_variant", Impact.LOW),
    "stop_retained": Consequence("stop_retained_variant", Impact.LOW),
    "synonymous": Consequence("synonymous_variant", Impact.LOW),
    "coding_sequence": Consequence("coding_sequence_variant", Impact.MODIFIER),
    "5_prime_utr": Consequence("5_prime_UTR_variant", Impact.MODIFIER),
    "3_prime_utr": Consequence("3_prime_UTR_variant", Impact.MODIFIER),
    "intron": Consequence("intron_variant", Impact.MODIFIER),
    "feature_elongation": Consequence("feature_elongation", Impact.MODIFIER),
    "feature_truncation": Consequence("feature_truncation", Impact.MODIFIER),
    "NMD_transcript": Consequence("NMD_transcript_variant", Impact.MODIFIER),
    "non_coding": Consequence("non_coding_transcript_variant", Impact.MODIFIER),
    "intergenic": Consequence("intergenic_variant", Impact.MODIFIER),
}

#: How severe each Sequence Ontology term is: 0 is the worst.
SEVERITY: dict[str, int] = {consequence.term: rank for rank, consequence in enumerate(CONSEQUENCES.values())}


def most_severe(terms: str) -> str:
    """The worst of some Sequence Ontology terms joined by ``&``."""
    return min(terms.split("&"), key=lambda term: SEVERITY.get(term, len(SEVERITY)))
