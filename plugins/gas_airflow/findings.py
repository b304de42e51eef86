"""What tasks do with what they find amiss."""

from __future__ import annotations

import logging
from collections.abc import Iterable
from typing import TYPE_CHECKING

from airflow.sdk.exceptions import AirflowException

from gas.job_log import about_subject

if TYPE_CHECKING:
    from gas.findings import Finding
    from gas.metrics import Metrics


def told(findings: Iterable[Finding], log: logging.Logger, *, metrics: Metrics | None = None) -> int:
    """Write each finding to the task's log as it comes; how many there were.

    :raises AirflowException: after the last one, when repairs have met with trouble: the task is to be tried again.
    """
    number = troubles = 0
    for finding in findings:
        with about_subject(finding.subject):
            log.info("%s", finding)
        number += 1
        troubles += bool(finding.trouble)
    if metrics:
        source = log.name.rpartition(".")[2]
        metrics.gauge(f"findings.{source}", number)
        metrics.gauge(f"troubles.{source}", troubles)
    if troubles:
        raise AirflowException(f"{troubles} of {number} findings met with trouble; the log has each")
    return number
