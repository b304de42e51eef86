"""Logs of tasks in S3, by the amazon provider and the variables that docker-compose.yaml sets."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.airflow.conftest import AIRFLOWS_OWN_WARNINGS, CHECKOUT

pytestmark = AIRFLOWS_OWN_WARNINGS

LINE = '{"event": "annotated", "job_id": "1"}\n'
FILE = "dag_id=annotate/run_id=1/task_id=annotate_job/attempt=1.log"


@pytest.mark.usefixtures("airflow_home", "connected")
def test_log_of_a_task_is_kept_in_s3_and_read_from_there(
    aws: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """On another machine than the worker's, where no file of it is."""
    from airflow.providers.amazon.aws.log.s3_task_handler import S3RemoteLogIO

    s3 = aws.session.client("s3", endpoint_url=aws.endpoint_url)
    s3.create_bucket(Bucket="gas-logs")
    variables = yaml.safe_load((CHECKOUT / "docker-compose.yaml").read_text())["services"]["worker"]["environment"]
    conn_id = variables["AIRFLOW__LOGGING__REMOTE_LOG_CONN_ID"]
    monkeypatch.setenv("AIRFLOW__LOGGING__REMOTE_LOG_CONN_ID", conn_id)
    monkeypatch.setenv("AIRFLOW__LOGGING__REMOTE_BASE_LOG_FOLDER", "s3://gas-logs/tasks")
    for machine in ("worker", "api"):
        monkeypatch.setenv("AIRFLOW__LOGGING__BASE_LOG_FOLDER", str(tmp_path / machine))
        logs = S3RemoteLogIO.from_config()
        if machine == "worker":
            file = tmp_path / machine / FILE
            file.parent.mkdir(parents=True)
            file.write_text(LINE)
            logs.upload(file)
    _, read = logs.read(FILE, None)  # type: ignore[arg-type]  # it asks nothing of the task
    assert read == [LINE]
    assert [found["Key"] for found in s3.list_objects_v2(Bucket="gas-logs")["Contents"]] == [f"tasks/{FILE}"]
