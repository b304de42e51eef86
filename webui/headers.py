"""Security headers of every answer.

The policy lets a page load nothing but this site's own files and run no script written into it. The two exceptions are
asked for by the page itself: Flask-AppBuilder's own screens (the API browser, the people list) put a nonce on their
inline scripts, and the new-job page sends its file to the object store. The genome view reads from there, and its
library writes style attributes.
"""

from __future__ import annotations

import secrets

from flask import Flask, Response, g, request

from webui.access import SHARED_PREFIX

HSTS = "max-age=31536000; includeSubDomains"


def install(app: Flask, *, https: bool) -> None:
    """Add the headers to every answer of ``app``; HSTS where people reach it by https."""

    @app.after_request
    def add(response: Response) -> Response:
        response.headers.setdefault("Content-Security-Policy", policy())
        response.headers.setdefault("X-Content-Type-Options", "nosniff")
        shared = request.path.startswith(SHARED_PREFIX)  # its address is a secret
        response.headers.setdefault("Referrer-Policy", "no-referrer" if shared else "same-origin")
        if shared:
            response.headers.setdefault("X-Robots-Tag", "noindex, nofollow")
        response.headers.setdefault("Permissions-Policy", "camera=(), geolocation=(), microphone=()")
        response.headers.setdefault("Cross-Origin-Opener-Policy", "same-origin")
        if request.endpoint is None or not request.endpoint.endswith("static"):
            response.headers.setdefault("Cache-Control", "no-store")  # a person's jobs stay out of shared caches
        if https:
            response.headers.setdefault("Strict-Transport-Security", HSTS)
        return response

    app.jinja_env.globals["csp_nonce"] = script_nonce


def script_nonce() -> str:
    """The nonce of this answer's inline scripts; Flask-AppBuilder's templates call it, ours have no inline script."""
    if "script_nonce" not in g:
        g.script_nonce = secrets.token_urlsafe(16)
    return g.script_nonce


def allow_connect(origin: str) -> None:
    """Let this page's scripts send requests to ``origin``, such as ``https://bucket.s3.amazonaws.com``."""
    g.connect_origin = origin


def allow_form_redirect(origin: str) -> None:
    """Let a form of this page be answered with a redirect to ``origin``: browsers check that against form-action."""
    g.form_origin = origin


def allow_style_attributes(*hashes: str) -> None:
    """Let elements of this page, and of no other, carry style attributes, for a library that writes some into its own.

    Nothing else is let in: no style element but those of these hashes, and no script at all.

    :param hashes: of the texts of style elements, as ``sha256-...``.
    """
    g.style_hashes = hashes


def policy() -> str:
    """The Content-Security-Policy of the current answer."""
    scripts, styles = "'self'", "'self'"
    if "script_nonce" in g:
        scripts += f" 'nonce-{g.script_nonce}'"
        styles += " 'unsafe-inline'"  # Flask-AppBuilder's own screens carry style attributes
    if "style_hashes" in g:
        hashed = "".join(f" '{text}'" for text in g.style_hashes)
        styles += f"; style-src-elem 'self'{hashed}; style-src-attr 'unsafe-inline'"
    connect = " ".join(filter(None, ("'self'", g.get("connect_origin"))))
    form = " ".join(filter(None, ("'self'", g.get("form_origin"))))
    return (
        f"default-src 'none'; script-src {scripts}; style-src {styles}; img-src 'self' data:; font-src 'self'; "
        f"connect-src {connect}; form-action {form}; base-uri 'none'; frame-ancestors 'none'; object-src 'none'"
    )
