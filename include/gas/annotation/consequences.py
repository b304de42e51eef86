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


#: Every word ``csq`` writes, most severe first. ``inframe_altering`` (indels that restore frame and length between
#: them) is Ensembl's ``protein_altering_variant``; ``non_coding`` is reported for exons of non-coding transcripts.
CONSEQUENCES: dict[str, Consequence] = {
    "splice_acceptor": Consequence("splice_acceptor_variant", Impact.HIGH),
    "splice_donor": Consequence("splice_donor_variant", Impact.HIGH),
    "stop_gained": Consequence("stop_gained", Impact.HIGH),
    "frameshift": Consequence("frameshift_variant", Impact.HIGH),
    "stop_lost": Consequence("stop_lost", Impact.HIGH),
    "start_lost": Consequence("start_lost", Impact.HIGH),
    "feature_elongation": Consequence("feature_elongation", Impact.HIGH),
    "feature_truncation": Consequence("feature_truncation", Impact.HIGH),
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
    "non_coding": Consequence("non_coding_transcript_exon_variant", Impact.MODIFIER),
    "intron": Consequence("intron_variant", Impact.MODIFIER),
    "intergenic": Consequence("intergenic_variant", Impact.MODIFIER),
}
