"""Which Chromium the browser tests drive.

``python tests/chromium.py`` prints its path; with ``--get`` it first tries to get one where there is none: as root from
Debian's archive, otherwise by Playwright's own download. Without any, the browser tests are skipped, and it says so.
"""

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from playwright.sync_api import Browser

NAMES = ("chromium", "chromium-browser", "google-chrome-stable", "google-chrome", "chrome")
APT_TIMEOUT_S = 600
DOWNLOAD_TIMEOUT_S = 240


def find_chromium() -> str | None:
    """Return the one that GAS_CHROMIUM names, an installed one, or Playwright's own."""
    chosen = os.environ.get("GAS_CHROMIUM")
    for name in (chosen,) if chosen else NAMES:
        if path := shutil.which(name):
            return path
    return None if chosen else _playwrights_own()


def _playwrights_own() -> str | None:
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        path = playwright.chromium.executable_path
    return path if Path(path).exists() else None


@contextmanager
def launched(path: str, *arguments: str) -> Iterator[Browser]:
    """Run it without a window, as long as it is needed."""
    from playwright.sync_api import sync_playwright

    # Chromium's own sandbox cannot be had by root, who runs the tests in many containers.
    sandbox = ["--no-sandbox"] if os.geteuid() == 0 else []
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, args=[*arguments, *sandbox])
        yield browser
        browser.close()


def get_chromium() -> str | None:
    """Find a Chromium, or get one."""
    found = find_chromium()
    if found:
        return found
    if os.geteuid() == 0 and shutil.which("apt-get"):
        quiet = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
        _try(["apt-get", "update", "-qq"], APT_TIMEOUT_S, quiet)
        _try(["apt-get", "install", "-y", "-qq", "--no-install-recommends", "chromium"], APT_TIMEOUT_S, quiet)
        if found := find_chromium():
            return found
    _try([sys.executable, "-m", "playwright", "install", "chromium"], DOWNLOAD_TIMEOUT_S, dict(os.environ))
    return find_chromium()


def _try(command: list[str], timeout_s: float, environment: dict[str, str]) -> None:
    print("Getting Chromium:", *command, flush=True)
    try:
        done = subprocess.run(command, timeout=timeout_s, check=False, capture_output=True, text=True, env=environment)
    except subprocess.TimeoutExpired:
        print(f"... took more than {timeout_s:.0f} s")
        return
    if done.returncode:
        print("... failed:", (done.stderr or done.stdout).strip()[-500:])


def main() -> int:
    """Print the path; 1 where there is none and none was asked for."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--get", action="store_true", help="get one where there is none")
    options = parser.parse_args()
    found = get_chromium() if options.get else find_chromium()
    if found:
        print(f"Browser tests drive {found}")
        return 0
    print(
        "\n" + "!" * 100 + "\nNO CHROMIUM: THE BROWSER TESTS ARE SKIPPED. Install chromium and run again.\n" + "!" * 100
    )
    return 0 if options.get else 1


if __name__ == "__main__":
    sys.exit(main())
