"""What the stack's commands show: alive on a terminal, plain lines elsewhere."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime
from types import TracebackType
from typing import Self

from rich.console import Console
from rich.status import Status as Spinner
from rich.table import Table

from gas.local.layout import Layout
from gas.local.stack import Status, Step

_PLAIN_WIDTH = 140  # of tables that go into a file or a pipe
_COLOURS = {"running": "green", "starting": "yellow", "failed": "red", "stopped": "dim"}


class Narrator:
    """Tells a person how the stack comes up and stands."""

    def __init__(self, console: Console | None = None) -> None:
        self.console = console or Console(highlight=False, soft_wrap=True)
        if not self.console.is_terminal:
            self.console.width = _PLAIN_WIDTH
        self._spinner: Spinner | None = None

    def __enter__(self) -> Self:
        if self.console.is_terminal:
            self._spinner = self.console.status("starting")
            self._spinner.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._spinner:
            self._spinner.stop()
            self._spinner = None

    def say(self, text: str) -> None:
        """Print one line."""
        self.console.print(text)

    def waiting(self, what: str) -> None:
        """Show what is awaited, where something can be shown and taken back."""
        if self._spinner:
            self._spinner.update(f"{what} …")

    def told(self, step: Step) -> None:
        """Print one line for one finished step."""
        address = "" if step.address == "-" else step.address
        self.console.print(f"[green]✓[/] {step.title:<24} {address:<44} [dim]{step.seconds:5.1f} s[/]")

    def status(self, parts: Iterable[Status]) -> None:
        """Print the table of components."""
        table = Table(box=None, pad_edge=False, header_style="bold")
        for column in ("component", "state", "address", "since"):
            table.add_column(column, overflow="fold")
        for part in parts:
            since = f"{datetime.fromtimestamp(part.since).astimezone():%Y-%m-%d %H:%M:%S}" if part.since else ""
            colour = _COLOURS[part.state]
            table.add_row(part.title, f"[{colour}]{part.state}[/]", part.address, since)
        self.console.print(table)

    def times(self, seconds: Mapping[str, float]) -> None:
        """Print how long each part took."""
        self.console.print("[bold]time[/]     " + ", ".join(f"{part} {spent:.2f} s" for part, spent in seconds.items()))

    def sign_in_hints(self, layout: Layout) -> None:
        """Say where to go and how to sign in."""
        self.console.print()
        self.console.print(f"[bold]GAS[/]      {layout.web_url}   sign in with Globus and pick Alice, Bob or Carol")
        self.console.print(
            f"[bold]Airflow[/]  {layout.airflow_url}   the same: Alice administrates, Bob operates; "
            f"programs are admin, password {layout.secrets.airflow_admin_password}"
        )
        self.console.print(f"[bold]Mail[/]     {layout.outbox_url}   what GAS would have sent")
