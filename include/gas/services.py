"""The only place where the real clients are wired together; everything else is handed what it needs."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from gas.airflow_api import AirflowApi
from gas.aws import Aws
from gas.dynamodb import Table
from gas.events import Events
from gas.jobs_table import JobsTable
from gas.objects import Objects
from gas.profiles_table import ProfilesTable
from gas.references import ReferenceStore
from gas.settings import Settings

if TYPE_CHECKING:
    import boto3


@dataclass(frozen=True, slots=True, kw_only=True)
class Services:
    """What GAS works with. Building it costs nothing: clients are made when first used."""

    settings: Settings
    jobs: JobsTable
    profiles: ProfilesTable
    objects: Objects
    events: Events
    airflow: AirflowApi
    references: ReferenceStore


def build(settings: Settings, *, session: boto3.Session | None = None, endpoint_url: str | None = None) -> Services:
    """Wire the real clients.

    :param session: where AWS credentials come from; boto3's own chain when ``None``.
    :param endpoint_url: of an AWS stand-in; boto3's ``AWS_ENDPOINT_URL`` or AWS itself when ``None``.
    """
    aws = Aws(region=settings.region, session=session, endpoint_url=endpoint_url)
    return Services(
        settings=settings,
        jobs=JobsTable(Table(aws, settings.annotations_table, key="job_id")),
        profiles=ProfilesTable(Table(aws, settings.profiles_table, key="user_id")),
        objects=Objects(aws, settings),
        events=Events(aws, settings),
        airflow=AirflowApi(url=settings.airflow_url, user=settings.airflow_user, password=settings.airflow_password),
        references=ReferenceStore(settings.references),
    )
