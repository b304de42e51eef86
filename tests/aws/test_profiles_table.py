"""Who is on which plan."""

from __future__ import annotations

import pytest

from gas.errors import NotFound
from gas.profiles_table import Tier
from gas.services import Services


def test_profile_is_made_once(services: Services) -> None:
    """The first sign-in makes a free profile; later ones only follow the name and the e-mail."""
    first = services.profiles.ensure("alice", name="Alice", email="a@example.org", now=100)
    assert (first.tier, first.free_since, first.tier_version) == (Tier.FREE, 100, 0)
    again = services.profiles.ensure("alice", name="Alice B.", email="a@example.org", now=200)
    assert (again.name, again.free_since) == ("Alice B.", 100)
    assert services.profiles.get("alice") == again


def test_unknown_person_has_no_profile(services: Services) -> None:
    """A profile is never inferred."""
    with pytest.raises(NotFound):
        services.profiles.get("nobody")


def test_each_tier_change_is_counted(services: Services) -> None:
    """An upgrade and a downgrade count two versions; the downgrade leaves its fan-out to be done."""
    services.profiles.ensure("alice", name="Alice", email="a@example.org", now=100)
    premium = services.profiles.set_tier("alice", Tier.PREMIUM)
    assert (premium.tier, premium.free_since, premium.tier_version) == (Tier.PREMIUM, None, 1)
    assert services.profiles.set_tier("alice", Tier.PREMIUM) == premium
    free = services.profiles.set_tier("alice", Tier.FREE)
    assert (free.tier, free.tier_version, free.fanout_pending) == (Tier.FREE, 2, True)
    assert free.free_since is not None
    assert free == services.profiles.get("alice")


def test_pending_changes_are_listed(services: Services) -> None:
    """A change of plan is listed until it was worked off; working off an older one leaves a later one alone."""
    services.profiles.ensure("alice", name="Alice", email="a@example.org", now=100)
    assert list(services.profiles.pending()) == []
    premium = services.profiles.set_tier("alice", Tier.PREMIUM)
    assert (premium.restore_pending, premium.fanout_pending) == (True, False)
    free = services.profiles.set_tier("alice", Tier.FREE)
    assert (free.restore_pending, free.fanout_pending) == (False, True)
    services.profiles.worked_off(premium)
    assert list(services.profiles.pending()) == ["alice"]
    services.profiles.worked_off(free)
    services.profiles.worked_off(free)
    assert list(services.profiles.pending()) == []
    assert not services.profiles.get("alice").fanout_pending
