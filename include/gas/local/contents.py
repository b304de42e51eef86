"""What a fresh stack holds: GAS's resources in the AWS stand-in, and a reference genome."""

from __future__ import annotations

from typing import TYPE_CHECKING

from gas.local.layout import Layout
from gas.local.variables import REGION, stack_settings

if TYPE_CHECKING:
    import boto3

    from gas.services import Services


def session(layout: Layout) -> boto3.Session:
    """A boto3 session with this stack's credentials, whatever the caller's environment says."""
    import boto3

    return boto3.Session(
        aws_access_key_id=layout.secrets.aws_access_key_id,
        aws_secret_access_key=layout.secrets.aws_secret_access_key,
        region_name=REGION,
    )


def services(layout: Layout) -> Services:
    """GAS's services, wired to this stack."""
    from gas.services import build

    return build(stack_settings(layout), session=session(layout), endpoint_url=layout.aws_url)


def provision(layout: Layout) -> None:
    """Make GAS's tables, buckets, topics and queues."""
    from gas.provision import provision as provisioned

    for _ in provisioned(stack_settings(layout), session=session(layout), endpoint_url=layout.aws_url):
        pass  # the generator works as it is read


def migrate_records(layout: Layout) -> None:
    """Bring the records that an earlier GAS wrote to the layout of this one."""
    from gas.record_schema import migrate

    migrate(services(layout))


def install_reference(layout: Layout) -> None:
    """Install SARS-CoV-2, which ships with GAS."""
    from gas.references import ReferenceStore, install_sars_cov_2

    install_sars_cov_2(ReferenceStore(layout.references))
