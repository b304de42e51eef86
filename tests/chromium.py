"""Which Chromium the browser tests drive. ``python tests/chromium.py`` prints it, and exits 1 where there is none."""

from __future__ import annotations

import os
import shutil
import sys
from pathlib import Path

NAMES = ("chromium", "chromium-browser", "google-chrome-stable", "google-chrome", "chrome")


def find_chromium() -> str | None:
    """Return the one that GAS_CHROMIUM names, an installed one, or Playwright's own."""
    chosen = os.environ.get("GAS_CHROMIUM")
    if chosen:
        return chosen
    for name in NAMES:
        if path := shutil.which(name):
            return path
    return _playwrights_own()


def _playwrights_own() -> str | None:
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        path = playwright.chromium.executable_path
    return path if Path(path).exists() else None


if __name__ == "__main__":
    found = find_chromium()
    print(found or "no Chromium found", file=sys.stdout if found else sys.stderr)
    sys.exit(0 if found else 1)
