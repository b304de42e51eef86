"""The words of csq, as Sequence Ontology terms and impacts."""

from __future__ import annotations

from gas.annotation.consequences import CONSEQUENCES, SEVERITY, Impact, most_severe


def test_severity_never_contradicts_impact() -> None:
    """A term of higher impact is always the more severe one."""
    order = list(Impact)
    impacts = [order.index(consequence.impact) for consequence in CONSEQUENCES.values()]
    assert impacts == sorted(impacts)
    assert list(SEVERITY.values()) == list(range(len(SEVERITY)))


def test_the_most_severe_of_some_terms() -> None:
    """The worst is found wherever it stands."""
    assert most_severe("splice_region_variant&stop_gained&intron_variant") == "stop_gained"
