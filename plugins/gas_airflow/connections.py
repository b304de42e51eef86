"""From Airflow's connections to GAS's services."""

from __future__ import annotations

from airflow.providers.amazon.aws.hooks.base_aws import AwsBaseHook

from gas import services
from gas.services import Services
from gas.settings import Settings


def connected_services() -> Services:
    """GAS's services on the AWS connection that ``GAS_AWS_CONN_ID`` names; call it inside a task, never at import."""
    settings = Settings.from_environment()
    hook = AwsBaseHook(aws_conn_id=settings.aws_conn_id)
    region = hook.conn_config.region_name or settings.region
    return services.build(
        settings,
        session=hook.get_session(region_name=region),
        endpoint_url=hook.conn_config.endpoint_url,
    )
