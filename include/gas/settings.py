"""Every setting of GAS, read from the environment once, in one frozen object.

A bad value fails at start and names its variable. Secrets are ``SecretStr`` and never print themselves.
boto3 reads ``AWS_*`` and globus-sdk reads ``GLOBUS_SDK_*`` by themselves; neither is repeated here.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Mapping
from datetime import UTC, date, datetime, time, timedelta
from email.utils import parseaddr
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import Field, SecretStr, ValidationError, ValidationInfo, field_validator
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict

from gas.errors import SettingsError
from gas.job import ArchiveBackend

MIB = 1 << 20
GIB = 1 << 30
#: Each waiting run is looked at in every turn of Airflow's scheduler: a thousand of them would stop it.
MAX_WAITING_RUNS = 12
ARCHIVE_INTERVALS = (
    timedelta(seconds=10),
    timedelta(minutes=1),
    timedelta(minutes=5),
    timedelta(hours=1),
    timedelta(hours=6),
    timedelta(days=1),
    timedelta(weeks=1),
)


class Settings(BaseSettings):
    """Read with :meth:`from_environment`; the field ``x_y`` comes from ``GAS_X_Y``."""

    model_config = SettingsConfigDict(env_prefix="GAS_", frozen=True, extra="ignore", populate_by_name=True)

    # AWS. Every table, bucket, topic and queue is named "{prefix}-...".
    prefix: str = Field(default="gas", pattern=r"^[a-z][a-z0-9-]{1,30}$")
    region: str = "us-east-1"
    aws_account: str = Field(default="", pattern=r"^([0-9]{12})?$")
    """The 12-digit account that owns the topics; asked of STS, once a process, when unset."""
    aws_conn_id: str = "aws_default"

    # Airflow's REST API, with the narrow service user that submits runs.
    airflow_url: str = "http://127.0.0.1:8080"
    airflow_user: str = "gas-service"
    airflow_password: SecretStr = SecretStr("")
    airflow_public_url: str = ""
    """Where people's browsers find Airflow; ``GAS_AIRFLOW_URL`` when unset."""
    # Who may sign in at Airflow's pages: Globus subs, usernames (name@provider), and groups as group:ID.
    airflow_admins: Annotated[frozenset[str], NoDecode] = frozenset()
    airflow_operators: Annotated[frozenset[str], NoDecode] = frozenset()
    airflow_viewers: Annotated[frozenset[str], NoDecode] = frozenset()

    # The web app.
    web_url: str = "http://localhost:8000"
    web_secret_key: SecretStr = SecretStr("")
    web_database_url: SecretStr = SecretStr("")
    web_proxies: int = Field(default=0, ge=0, le=9)
    """How many reverse proxies, one behind the other, the web app stands behind: whose word on callers it takes."""

    # Globus. The sign-in client of the web app; the same client introspects API tokens that carry ``globus_scope``.
    globus_client_id: str = ""
    globus_client_secret: SecretStr = SecretStr("")
    globus_scope: str = ""
    admins: Annotated[frozenset[str], NoDecode] = frozenset()

    # References and the engine.
    references: Path = Path("references")
    ensembl_url: str = "https://ftp.ensembl.org/pub"
    """Where Ensembl's files are: the publisher itself, or a mirror."""
    clinvar_url: str = "https://ftp.ncbi.nlm.nih.gov/pub/clinvar"
    """Where ClinVar's files are."""
    reannotate_auto: int = Field(default=0, ge=0, le=1000)
    """When a new ClinVar is in force, the jobs of so many days are annotated again; 0: the operator is told how to."""
    processors: int = Field(default_factory=lambda: os.cpu_count() or 1, ge=1, le=256)
    engine_memory_bytes: int = Field(default=8 * GIB, ge=256 * MIB)
    engine_timeout_s: int = Field(default=6 * 3600, ge=1)
    max_inflated_bytes: int = Field(default=200 * GIB, ge=MIB)
    max_inflation_ratio: int = Field(default=200, ge=2)
    work_dir: Path | None = None
    """Where a job's files lie while it runs; the system's temporary folder when unset."""

    # Looking at results: copies of their tables on the web server's disk.
    table_cache: Path | None = None
    """Where the copies lie; in the work folder when unset. Several processes of one machine may share it."""
    table_cache_bytes: int = Field(default=5 * GIB, ge=MIB)
    """What they may take together; the least recently used go first."""

    max_running_jobs: int = Field(default=16, ge=1, le=1024)
    """How many jobs run at once, in all of Airflow: a burst waits in its own queue and holds up no other DAG."""
    reannotate_at_once: int = Field(default=4, ge=1, le=1024)
    """How many new jobs one run of `reannotate` has at work, so that people's own jobs find room."""

    # What a plan allows, in bytes of the stored (compressed) upload.
    free_upload_limit_bytes: int = Field(default=10 * MIB, ge=1)
    premium_upload_limit_bytes: int = Field(default=5 * GIB, ge=1, le=5 * GIB)  # S3 takes at most 5 GiB in one POST

    # The archive.
    free_result_ttl_s: int = Field(default=300, ge=10, le=100 * 365 * 86400, validation_alias="GAS_FREE_RESULT_TTL")
    """How long a free person's result stays ready to download before it moves to the archive, in seconds."""
    archive: ArchiveBackend = ArchiveBackend.STORAGE_CLASS
    """Where cold copies are made from now on: ``storage-class`` or ``vault``."""
    archive_interval_s: int | None = Field(default=None, ge=1, validation_alias="GAS_ARCHIVE_INTERVAL")
    """How much time one run of the archive covers, in seconds; follows from the delay when unset."""
    installed: date = date(2026, 11, 1)
    """The day on which this GAS was set up: no scheduled work reaches further back."""

    # How often one person, or one address of nobody known, may call the API.
    rate_limit: str = Field(default="600/minute", pattern=r"^([1-9][0-9]{0,8}/(second|minute|hour|day))?$")
    """Such as ``600/minute``; empty for no limit."""
    rate_limit_storage: SecretStr = SecretStr("memory://")
    """Where calls are counted: ``memory://`` counts in each process, ``redis://host:6379`` for all of them."""

    # Telling people: by mail, and by webhooks.
    mail_from: str = ""
    """Who mail is from, ``address`` or ``Name <address>``, known to SES; no mail is sent when empty."""
    archive_notice_s: int = Field(default=86400, ge=0, validation_alias="GAS_ARCHIVE_NOTICE")
    """How long before a result moves to the archive its owner is told, in seconds; at most half the delay."""
    webhook_private: bool = False
    """Whether webhooks may be plain http, and lead to addresses that are not public."""

    # Payment for the premium plan.
    billing: Literal["none", "stripe"] = "none"
    """``none``: going premium is free. ``stripe``: it is paid by Stripe Checkout."""
    stripe_secret_key: SecretStr = SecretStr("")
    stripe_webhook_secret: SecretStr = SecretStr("")
    """Signs the events that Stripe sends to ``/billing/stripe/webhook``."""
    stripe_price: str = ""
    """The recurring price that premium is, such as ``price_1NXYZ``."""
    stripe_url: str = ""
    """Of a stand-in for Stripe; Stripe itself when empty."""

    # Telling operators.
    log_format: Literal["text", "json"] = "text"
    """Of the web app's lines: for people, or one JSON object each. Airflow's own is ``[logging] json_logs``."""
    statsd_on: bool = False
    """Whether figures are sent to StatsD; Airflow's own are by ``[metrics] statsd_on``."""
    statsd_host: str = "localhost"
    statsd_port: int = Field(default=8125, ge=1, le=65535)

    # How long links live, in seconds.
    upload_link_s: int = Field(default=3600, ge=60, le=43200)
    download_link_s: int = Field(default=300, ge=10, le=43200)

    @field_validator("admins", "airflow_admins", "airflow_operators", "airflow_viewers", mode="before")
    @classmethod
    def _split(cls, value: object) -> object:
        return frozenset(value.replace(",", " ").split()) if isinstance(value, str) else value

    @field_validator("web_url", "airflow_url", "airflow_public_url", "ensembl_url", "clinvar_url")
    @classmethod
    def _no_slash(cls, value: str, info: ValidationInfo) -> str:
        if not value and info.field_name == "airflow_public_url":
            return value
        if not value.startswith(("http://", "https://")):
            raise ValueError("must begin with http:// or https://")
        return value.rstrip("/")

    @field_validator("mail_from")
    @classmethod
    def _one_sender(cls, value: str) -> str:
        address = parseaddr(value)[1]
        if value and not (value.isprintable() and address.count("@") == 1 and not address.endswith("@")):
            raise ValueError("must be an address, or Name <address>")
        return value

    @field_validator("archive_interval_s")
    @classmethod
    def _few_runs_wait(cls, value: int | None, info: ValidationInfo) -> int | None:
        delay_s: int = info.data.get("free_result_ttl_s", 0)
        if value and delay_s > MAX_WAITING_RUNS * value:
            shortest = -(-delay_s // MAX_WAITING_RUNS)
            raise ValueError(
                f"must be at least {shortest}, a {MAX_WAITING_RUNS}th of GAS_FREE_RESULT_TTL: waiting runs slow Airflow"
            )
        return value

    @property
    def archive_interval(self) -> timedelta:
        """How much time one run of the archive covers: short beside the delay, yet few runs wait at once."""
        if self.archive_interval_s:
            return timedelta(seconds=self.archive_interval_s)
        shortest = timedelta(seconds=self.free_result_ttl_s) / MAX_WAITING_RUNS
        weeks = -(-shortest // ARCHIVE_INTERVALS[-1]) * ARCHIVE_INTERVALS[-1]
        return next((interval for interval in ARCHIVE_INTERVALS if interval >= shortest), weeks)

    @property
    def archive_lead_s(self) -> int:
        """How long before a result moves to the archive its owner is told, in seconds."""
        return min(self.archive_notice_s, self.free_result_ttl_s // 2)

    @property
    def waiting_runs(self) -> int:
        """How many runs of the archive wait for their delay at once, at most."""
        return -(-timedelta(seconds=self.free_result_ttl_s) // self.archive_interval)

    @classmethod
    def from_environment(cls) -> Self:
        """Read the environment.

        :raises SettingsError: naming each variable whose value cannot be used, and why.
        """
        return cls.of({})

    @classmethod
    def of(cls, variables: Mapping[str, str]) -> Self:
        """The same from variables that take precedence over the environment's."""
        given: dict[str, Any] = {
            name: variables[_variable(name)] for name in cls.model_fields if _variable(name) in variables
        }
        try:
            return cls(**given)
        except ValidationError as error:
            said = "; ".join(f"{_variable('_'.join(map(str, e['loc'])))}: {e['msg']}" for e in error.errors())
            raise SettingsError(f"bad setting: {said}") from None

    @property
    def installed_at(self) -> datetime:
        """The first moment, in UTC, of the day of installation: no workflow has an interval before it."""
        return datetime.combine(self.installed, time(), UTC)

    @property
    def scratch_folder(self) -> Path:
        """Where the files of a job lie while it is worked on."""
        return self.work_dir or Path(tempfile.gettempdir()) / f"gas-{os.getuid()}"

    @property
    def table_cache_folder(self) -> Path:
        """Where copies of result tables lie."""
        return self.table_cache or self.scratch_folder / "tables"

    # Names under the prefix.
    @property
    def annotations_table(self) -> str:
        return f"{self.prefix}-annotations"

    @property
    def profiles_table(self) -> str:
        return f"{self.prefix}-profiles"

    @property
    def inputs_bucket(self) -> str:
        return f"{self.prefix}-inputs"

    @property
    def results_bucket(self) -> str:
        return f"{self.prefix}-results"

    @property
    def vault(self) -> str:
        return f"{self.prefix}-results"

    @property
    def completed_topic(self) -> str:
        """Told of each job that completed; the first of :attr:`topics`."""
        return f"{self.prefix}-glacier"

    @property
    def restore_topic(self) -> str:
        """Told of each result whose way back from the archive begins."""
        return f"{self.prefix}-restore"

    @property
    def thaw_topic(self) -> str:
        """Told by AWS of each retrieval that ended."""
        return f"{self.prefix}-thaw"

    @property
    def thaw_wake_queue(self) -> str:
        """GAS's own queue: a message on it only shortens a wait for a retrieval."""
        return f"{self.prefix}-thaw-wake"

    @property
    def topics(self) -> tuple[str, ...]:
        """SNS topics, each with an SQS queue of its name subscribed."""
        return tuple(f"{self.prefix}-{name}" for name in ("glacier", "restore", "thaw"))


def _variable(name: str) -> str:
    """The environment variable of a field, by its name or by the variable itself."""
    if name.startswith("GAS_"):
        return name
    field = Settings.model_fields.get(name)
    alias = field.validation_alias if field else None
    return alias if isinstance(alias, str) else f"GAS_{name.upper()}"
