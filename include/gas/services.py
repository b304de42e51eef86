"""The only place where the real clients are wired together; everything else is handed what it needs."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from gas.airflow_api import AirflowApi
from gas.archive.storage_class import StorageClass
from gas.archive.vault import Vault
from gas.archive.vault_inventory import VaultInventory
from gas.aws import Aws
from gas.dynamodb import Table
from gas.events import Events
from gas.job import ArchiveBackend
from gas.jobs_table import JobsTable
from gas.mail import Mail
from gas.metrics import Metrics
from gas.notices_table import NoticesTable
from gas.objects import Objects
from gas.profiles_table import ProfilesTable
from gas.references import ReferenceStore
from gas.settings import Settings
from gas.storage_table import StorageTable
from gas.webhooks import Webhooks

if TYPE_CHECKING:
    import boto3

    from gas.archive import Archive


@dataclass(frozen=True, slots=True, kw_only=True)
class Services:
    """What GAS works with. Building it costs nothing: clients are made when first used."""

    settings: Settings
    jobs: JobsTable
    storage: StorageTable
    profiles: ProfilesTable
    notices: NoticesTable
    mail: Mail
    webhooks: Webhooks
    objects: Objects
    archives: Mapping[ArchiveBackend, Archive]
    """Both back ends: a record names its own, the setting only says where new copies are made."""
    vault_inventory: VaultInventory
    events: Events
    airflow: AirflowApi
    references: ReferenceStore
    metrics: Metrics = field(default_factory=Metrics)


def build(
    settings: Settings,
    *,
    session: boto3.Session | None = None,
    endpoint_url: str | None = None,
    now: Callable[[], float] = time.time,
) -> Services:
    """Wire the real clients.

    :param session: where AWS credentials come from; boto3's own chain when ``None``.
    :param endpoint_url: of an AWS stand-in; boto3's ``AWS_ENDPOINT_URL`` or AWS itself when ``None``.
    :param now: the clock of the records, in POSIX seconds.
    """
    aws = Aws(region=settings.region, session=session, endpoint_url=endpoint_url)
    jobs = Table(aws, settings.annotations_table, key="job_id")
    profiles = Table(aws, settings.profiles_table, key="user_id")
    objects = Objects(aws, settings)
    events = Events(aws, settings)
    return Services(
        settings=settings,
        jobs=JobsTable(jobs, now=now),
        storage=StorageTable(jobs, profiles, now=now),
        profiles=ProfilesTable(profiles, now=now),
        notices=NoticesTable(jobs, profiles, now=now),
        mail=Mail(aws, settings),
        webhooks=Webhooks(private=settings.webhook_private),
        objects=objects,
        archives={
            ArchiveBackend.STORAGE_CLASS: StorageClass(aws, settings, objects),
            ArchiveBackend.VAULT: Vault(aws, settings, objects, events, now=now),
        },
        vault_inventory=VaultInventory(aws, settings, now=now),
        events=events,
        airflow=AirflowApi(url=settings.airflow_url, user=settings.airflow_user, password=settings.airflow_password),
        references=ReferenceStore(settings.references),
        metrics=Metrics(settings),
    )
