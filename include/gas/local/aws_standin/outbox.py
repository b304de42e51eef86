"""The mail that SES was given, shown on a page: in the local stack nobody else reads it.

moto 5.2 keeps one body of a letter, and not when it was sent; here both bodies and the time are kept with it.
"""

from __future__ import annotations

import json
import re
import threading
from datetime import UTC, datetime
from html import escape
from typing import Any

from moto.ses import models, responses

PATH = "/outbox"
JSON_PATH = "/outbox.json"
#: The latest letters; older ones are forgotten.
KEPT = 1000
SHOWN = 100

_LINK = re.compile(r"https?://[^\s<>\"]+")
_STYLE = """
:root { color-scheme: light dark; }
body { max-width: 48rem; margin: 2rem auto; padding: 0 1rem; font: 1rem/1.5 system-ui, sans-serif; }
article { border: 1px solid color-mix(in srgb, currentColor 25%, transparent); border-radius: 0.5rem;
  padding: 0.25rem 1rem; margin: 1rem 0; }
h1 { font-size: 1.5rem; } h2 { font-size: 1.1rem; margin: 0.75rem 0 0; overflow-wrap: anywhere; }
.about { margin: 0; font-size: 0.875rem; }
pre { white-space: pre-wrap; overflow-wrap: anywhere; font: inherit; margin: 0.75rem 0; }
"""


def mend() -> None:
    """Keep of each letter all that was sent."""
    original = responses.EmailResponse.send_email
    one_by_one = threading.Lock()

    def send_email(response: Any) -> Any:
        with one_by_one:
            answer = original(response)
            letters = response.backend.sent_messages
            letter = letters[-1]
            letter.text = response._get_param("Message.Body.Text.Data") or ""
            letter.html = response._get_param("Message.Body.Html.Data") or ""
            letter.sent_at = datetime.now(UTC).isoformat(timespec="seconds")
            del letters[:-KEPT]
        return answer

    setattr(responses.EmailResponse, "send_email", send_email)  # noqa: B010 - to the type checker, an assignment is an error


def answer(path: str) -> tuple[str, bytes]:
    """The content type and the body at :data:`PATH` (newest first) or :data:`JSON_PATH` (oldest first)."""
    letters = sorted(_letters(), key=lambda letter: str(letter["sent_at"]))
    if path == JSON_PATH:
        return "application/json", json.dumps(letters).encode()
    return "text/html; charset=utf-8", _page(letters[-SHOWN:][::-1]).encode()


def _letters() -> list[dict[str, Any]]:
    return [
        {
            "to": letter.destinations.get("ToAddresses", []),
            "from": letter.source,
            "subject": letter.subject,
            "text": letter.text,
            "html": letter.html,
            "sent_at": letter.sent_at,
        }
        for _, regions in list(models.ses_backends.items())
        for _, backend in list(regions.items())
        for letter in list(backend.sent_messages)
        if hasattr(letter, "sent_at")
    ]


def _page(letters: list[dict[str, Any]]) -> str:
    shown = "".join(_article(letter) for letter in letters)
    nothing = "<p>No mail was sent yet. Submit a job: its owner is written to when it has ended.</p>"
    return (
        '<!doctype html><html lang="en"><head><meta charset="utf-8"><title>Outbox - GAS local stack</title>'
        f'<meta name="viewport" content="width=device-width, initial-scale=1"><style>{_STYLE}</style></head>'
        f"<body><main><h1>Outbox</h1><p>What this stack would have sent by mail, newest first.</p>{shown or nothing}"
        "</main></body></html>"
    )


def _article(letter: dict[str, Any]) -> str:
    about = f"{letter['sent_at']}, from {letter['from']}, to {', '.join(letter['to'])}"
    text = _LINK.sub(lambda found: f'<a href="{found[0]}">{found[0]}</a>', escape(letter["text"], quote=True))
    return (
        f'<article><h2>{escape(letter["subject"])}</h2><p class="about">{escape(about)}</p><pre>{text}</pre></article>'
    )
