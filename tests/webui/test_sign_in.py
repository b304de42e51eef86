"""Signing in and out."""

from __future__ import annotations

from urllib.parse import parse_qs, urlsplit


def test_sign_in_uses_pkce_and_a_nonce(visitor):
    """The request to Globus carries an S256 challenge, a nonce, a state and the canonical redirect URI."""
    query = parse_qs(urlsplit(visitor.start()).query)
    assert query["code_challenge_method"] == ["S256"]
    assert len(query["code_challenge"][0]) == 43
    assert query["nonce"]
    assert query["state"]
    assert query["redirect_uri"] == ["http://localhost:8800/oauth-authorized/globus"]


def test_sign_in_opens_my_jobs(alice):
    """After the sign-in the person sees their own, still empty, list."""
    answer = alice.get("/jobs/")
    assert answer.status_code == 200
    assert "No jobs yet" in answer.text
    assert "Alice Example" in answer.text
