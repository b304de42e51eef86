"""Who may do what in Airflow: the role of GAS's own service user, beside the ones that Airflow brings."""

from __future__ import annotations

SERVICE_ROLE = "GAS service"
#: What the web app's service user may do, and nothing else: start runs, look at them, and run them again.
SERVICE_PERMISSIONS = frozenset(
    {
        ("can_read", "DAGs"),
        ("can_edit", "DAGs"),  # Airflow asks for it before it lets anybody start a run
        ("can_read", "DAG Runs"),
        ("can_create", "DAG Runs"),
        ("can_edit", "DAG Runs"),  # to run a failed one again
        ("can_read", "Website"),  # Airflow gives it to every role
    }
)
