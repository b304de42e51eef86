"""The local stack: every part of GAS on one machine, on loopback, under one supervisor.

PostgreSQL comes from a wheel, moto stands in for AWS and fauxbus for Globus; Airflow and the web app are the real ones.
Everything it keeps lies in one state folder (``.gas``), and every port follows from one base port.
"""

from __future__ import annotations

from pathlib import Path


def environment(state: Path, base_port: int) -> dict[str, str]:
    """Return what a process needs in its environment to work with the stack of ``state``.

    :param state: the state folder; its secrets are made where it has none.
    :param base_port: the web app's port; the others follow it.
    """
    from gas.local.layout import Layout
    from gas.local.variables import stack_variables

    return stack_variables(Layout.of(state=state, base_port=base_port))
