"""Figures of GAS for whoever watches it, as Airflow sends its own: over StatsD, by UDP, which nobody waits for.

One way for tasks, triggers and the web app. ``deploy/monitoring/statsd-exporter.yaml`` says what each is called in
Prometheus, and docs/metrics.md what it means.
"""

from __future__ import annotations

import logging
import socket
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from statsd import StatsClient

    from gas.job import Job
    from gas.services import Services
    from gas.settings import Settings

log = logging.getLogger(__name__)

PREFIX = "gas"


class Metrics:
    """Sends figures where the settings say so; costs nothing, and sends nothing, otherwise. Never raises."""

    def __init__(self, settings: Settings | None = None) -> None:
        self._address = (settings.statsd_host, settings.statsd_port) if settings and settings.statsd_on else None
        self._client: StatsClient | None = None

    @property
    def on(self) -> bool:
        """Whether anybody listens: what only serves a figure is not looked up otherwise."""
        return self._address is not None

    def count(self, name: str, number: int = 1) -> None:
        """So many more have happened."""
        if number and (client := self._connected()):
            client.incr(name, number)

    def gauge(self, name: str, value: float) -> None:
        """How much there is now."""
        if client := self._connected():
            client.gauge(name, max(0.0, value))  # StatsD takes a negative one for a change

    def timing(self, name: str, seconds: float) -> None:
        """How long something took."""
        if client := self._connected():
            client.timing(name, 1000 * max(0.0, seconds))

    def close(self) -> None:
        """Let go of the socket, where it is not kept for as long as the process lives."""
        if self._client is not None:
            self._client.close()
            self._client = None

    def _connected(self) -> StatsClient | None:
        if self._client is None and self._address is not None:
            from statsd import StatsClient

            host, port = self._address
            try:
                self._client = StatsClient(host, port, prefix=PREFIX)
            except socket.gaierror as error:
                log.warning("no figures are sent: %s is not known: %s", host, error)
                self._address = None
        return self._client


def job_ended(services: Services, job: Job | None) -> None:
    """One job has ended as COMPLETED or FAILED: how long it waited, and how long its last attempt took."""
    if job is None or not job.job_status.ended or job.complete_time is None:
        return
    services.metrics.count(f"jobs_ended.{job.job_status.value.lower()}")
    if job.start_time is not None:
        services.metrics.timing("job_wait", job.start_time - job.submit_time)
        services.metrics.timing("job_run", job.complete_time - job.start_time)


def measure(services: Services) -> None:
    """How many jobs are where, and since when the oldest; from no more records than :mod:`gas.overview` reads."""
    if not services.metrics.on:
        return
    from gas.overview import overview

    now = overview(services)
    states = {
        "pending": now.pending,
        "running": now.running,
        "archiving": now.archiving,
        "thawing": now.thawing,
        "due": now.due,
    }
    for state, waiting in states.items():
        services.metrics.gauge(f"jobs.{state}", waiting.number)
        services.metrics.gauge(f"oldest.{state}", now.at - waiting.oldest[0][1] if waiting.oldest else 0)
    lag_s = now.at - now.due.oldest[0][1] - services.settings.free_result_ttl_s if now.due.oldest else 0
    services.metrics.gauge("archive_lag", lag_s)
    services.metrics.gauge("jobs_in_trouble", len(now.trouble))
    services.metrics.gauge("measured_at", now.at)
