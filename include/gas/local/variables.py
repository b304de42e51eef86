"""The environment of the local stack's processes, from one place."""

from __future__ import annotations

import json
import os
from pathlib import Path

from dotenv import dotenv_values

from gas.local import globus_standin
from gas.local.layout import Layout
from gas.settings import Settings

REGION = "us-east-1"
ACCOUNT = "123456789012"
"""The account that moto plays; asking it would cost each worker a call."""

SLOTS = max(4, min(16, 4 * (os.cpu_count() or 1)))
"""How many tasks run at once. Jobs take half of them at most, so that nothing else waits for a job to end."""

#: Never handed on: they would send GAS to somebody's real account, another Airflow or another Python.
_FOREIGN = ("AWS_", "AIRFLOW_", "AIRFLOW__", "GLOBUS_SDK_", "PYTHONPATH", "PYTHONHOME", "FLASK_", "GUNICORN_")


_STATSD = ("GAS_STATSD_ON", "GAS_STATSD_HOST", "GAS_STATSD_PORT")

#: What the local stack sets and anybody may set otherwise: mail goes to its outbox, webhooks may lead to this machine.
#: Alice administrates Airflow, Bob operates it as a member of a Globus group, and Carol does not get in.
_DEFAULTS = {
    "GAS_MAIL_FROM": "GAS <gas@gas.invalid>",
    "GAS_WEBHOOK_PRIVATE": "1",
    "GAS_MAX_RUNNING_JOBS": str(SLOTS // 2),
    "GAS_AIRFLOW_ADMINS": "alice@globusid.org",
    "GAS_AIRFLOW_OPERATORS": f"group:{globus_standin.OPERATORS}",
}


def stack_variables(layout: Layout) -> dict[str, str]:
    """What makes a process part of this stack: addresses, secrets, and Airflow's tuning."""
    return {**_gas(layout), **_stand_ins(layout), **_airflow(layout)}


def process_environment(layout: Layout) -> dict[str, str]:
    """The whole environment of the stack's processes.

    Settings of the ``.env`` beside the state folder come first; those of the caller's environment override them; and
    what the stack itself decides (addresses, secrets, the AWS endpoint) overrides both.
    """
    chosen = {name: value for name, value in dotenv_values(layout.state.parent / ".env").items() if value is not None}
    inherited = {name: value for name, value in os.environ.items() if not name.startswith(_FOREIGN)}
    settings = {**_DEFAULTS, **chosen, **inherited}
    # Airflow's figures go where GAS's go.
    statsd = {f"AIRFLOW__METRICS__{name[4:]}": value for name, value in settings.items() if name in _STATSD}
    return {
        **settings,
        **statsd,
        **stack_variables(layout),
        "SPT_NOENV": "1",  # or setproctitle overwrites /proc/PID/environ, by which the stack knows its processes
        "PYTHONUNBUFFERED": "1",
        "PYTHONDONTWRITEBYTECODE": "",
        "NO_PROXY": "localhost,127.0.0.1",
        "no_proxy": "localhost,127.0.0.1",
    }


def stack_settings(layout: Layout) -> Settings:
    """The settings of this stack's processes, for a program that runs beside them.

    :raises SettingsError: naming each variable whose value cannot be used, and why.
    """
    return Settings.of(process_environment(layout))


def _gas(layout: Layout) -> dict[str, str]:
    secrets = layout.secrets
    return {
        "GAS_STATE": str(layout.state),
        "GAS_PORT": str(layout.base_port),
        "GAS_REGION": REGION,
        "GAS_AWS_ACCOUNT": ACCOUNT,
        "GAS_AIRFLOW_URL": layout.airflow_url,
        "GAS_AIRFLOW_PUBLIC_URL": layout.airflow_url,
        "GAS_AIRFLOW_PASSWORD": secrets.airflow_service_password,
        "GAS_WEB_URL": layout.web_url,
        "GAS_WEB_SECRET_KEY": secrets.web_secret_key,
        "GAS_WEB_DATABASE_URL": layout.database_url("gas_web"),
        "GAS_GLOBUS_CLIENT_ID": secrets.globus_client_id,
        "GAS_GLOBUS_CLIENT_SECRET": secrets.globus_client_secret,
        "GAS_GLOBUS_SCOPE": f"https://auth.globus.org/scopes/{secrets.globus_client_id}/gas_api",
        "GAS_REFERENCES": str(layout.references),
        "GAS_WORK_DIR": str(layout.state / "work"),
    }


def _stand_ins(layout: Layout) -> dict[str, str]:
    return {
        "AWS_ACCESS_KEY_ID": layout.secrets.aws_access_key_id,
        "AWS_SECRET_ACCESS_KEY": layout.secrets.aws_secret_access_key,
        "AWS_DEFAULT_REGION": REGION,
        "AWS_ENDPOINT_URL": layout.aws_url,
        "AWS_CONFIG_FILE": os.devnull,
        "AWS_SHARED_CREDENTIALS_FILE": os.devnull,
        "AWS_EC2_METADATA_DISABLED": "true",
        "GLOBUS_SDK_SERVICE_URL_AUTH": f"{layout.globus_url}/",
        "GLOBUS_SDK_SERVICE_URL_GROUPS": f"{layout.globus_url}/",
    }


def _airflow(layout: Layout) -> dict[str, str]:
    """Airflow's own settings; each name is an option of its configuration, ``AIRFLOW__SECTION__OPTION``."""
    secrets = layout.secrets
    options: dict[str, dict[str, str | int | float | Path]] = {
        "core": {
            "dags_folder": layout.checkout / "dags",
            "plugins_folder": layout.checkout / "plugins",
            "executor": "gas_airflow.executor.LocalExecutor",
            "parallelism": SLOTS,
            "max_active_tasks_per_dag": SLOTS,
            "auth_manager": "airflow.providers.fab.auth_manager.fab_auth_manager.FabAuthManager",
            "execution_api_server_url": f"http://127.0.0.1:{layout.airflow_port}/execution/",
            "dags_are_paused_at_creation": "False",
            "load_examples": "False",
            "lazy_load_plugins": "False",  # GAS's plugin warms the scheduler, from which each task is forked
            "fernet_key": secrets.airflow_fernet_key,
            "hostname_callable": "socket.gethostname",  # the default asks the name server
        },
        "database": {"sql_alchemy_conn": layout.database_url("airflow")},
        "scheduler": {
            "scheduler_idle_sleep_time": 0.1,  # 1 by default: a run of one task then takes 2.1 s instead of 0.56 s
            # After so many seconds, what a killed worker or scheduler was at is taken up again. Both beat every
            # 5 s, a busy scheduler more seldom; one that takes itself for dead starts all tasks anew.
            "task_instance_heartbeat_timeout": 45,
            "scheduler_health_check_threshold": 40,
            "orphaned_tasks_check_interval": 20,  # 300 by default
            # A task that a worker took and died with before it began is handed out anew.
            "task_queued_timeout": 60,
            "task_queued_timeout_check_interval": 15,
            "num_stuck_in_queued_retries": 10_000,
        },
        "triggerer": {"triggerer_health_check_threshold": 15},
        "dag_processor": {"refresh_interval": 30, "parsing_processes": 1},
        "api": {"secret_key": secrets.airflow_secret_key, "base_url": layout.airflow_url, "workers": 1},
        "api_auth": {"jwt_secret": secrets.airflow_jwt_secret},
        "fab": {
            "config_file": layout.checkout / "plugins" / "gas_airflow" / "webserver_config.py",
            "session_max_lifetime_minutes": 8 * 60,  # after which Globus, and the lists, are asked again
        },
        "logging": {"colored_console_log": "False"},
    }
    connection = {
        "conn_type": "aws",
        "login": secrets.aws_access_key_id,
        "password": secrets.aws_secret_access_key,
        "extra": {"region_name": REGION, "endpoint_url": layout.aws_url},
    }
    return {
        "AIRFLOW_HOME": str(layout.airflow_home),
        "AIRFLOW_CONN_AWS_DEFAULT": json.dumps(connection),
        **{
            f"AIRFLOW__{section.upper()}__{option.upper()}": str(value)
            for section, values in options.items()
            for option, value in values.items()
        },
    }
