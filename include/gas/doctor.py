"""Whether everything that GAS stands on is there, and what to do where it is not.

Looking changes nothing. Each check is of one thing, ends within seconds, and stops no other.
"""

from __future__ import annotations

import os
import shutil
import sys
import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from enum import StrEnum
from importlib.metadata import PackageNotFoundError, requires, version
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import httpx
from botocore.exceptions import BotoCoreError, ClientError
from packaging.requirements import Requirement

from gas.aws import Aws
from gas.dynamodb import code
from gas.errors import GasError
from gas.iam import Role
from gas.job import DAG_ID
from gas.probes import NOBODY, REFUSALS, tried
from gas.provision import Action, changes
from gas.services import build

if TYPE_CHECKING:
    import boto3

    from gas.settings import Settings

TIMEOUT_S = 5.0
#: Clocks that differ by more make times in the records puzzling; a DAG run may begin late.
SKEW_WARNING_S = 5.0
#: Work is taken over from whoever has not been heard of for a minute.
SKEW_FAILURE_S = 30.0
#: A job needs a multiple of its input for a while.
FREE_BYTES = 20 << 30
GLOBUS_URL = "https://auth.globus.org"
DISTRIBUTION = "genomics-annotation-service"


class Health(StrEnum):
    """How a thing was found."""

    OK = "ok"
    WARNING = "warning"
    FAILED = "failed"


@dataclass(frozen=True, kw_only=True)
class Check:
    """What was looked at.

    :ivar remedy: what to do, where something is to be done.
    """

    area: str
    health: Health
    found: str
    remedy: str = ""

    def __str__(self) -> str:
        return f"{self.health:<8}{self.area:<14}{self.found}" + (f": {self.remedy}" if self.remedy else "")


@dataclass(frozen=True, kw_only=True)
class Patient:
    """What is looked at, and as whom.

    :ivar role: whose settings and permissions matter; ``None`` looks at all, with the permissions of nobody.
    """

    settings: Settings
    role: Role | None
    session: boto3.Session | None
    endpoint_url: str | None
    globus_url: str
    now: Callable[[], float]

    def concerns(self, *roles: Role) -> bool:
        """Whether one of these is meant."""
        return self.role is None or self.role in roles

    @property
    def aws(self) -> Aws:
        """Clients of its account."""
        return Aws(region=self.settings.region, session=self.session, endpoint_url=self.endpoint_url)


def examine(
    settings: Settings,
    *,
    role: Role | None = None,
    session: boto3.Session | None = None,
    endpoint_url: str | None = None,
    globus_url: str | None = None,
    now: Callable[[], float] = time.time,
) -> Iterator[Check]:
    """Look at everything that ``role`` needs, or at everything there is.

    :param globus_url: of Globus Auth or a stand-in; ``GLOBUS_SDK_SERVICE_URL_AUTH`` or Globus itself when ``None``.
    :param now: this machine's clock, in POSIX seconds.
    """
    patient = Patient(
        settings=settings,
        role=role,
        session=session,
        endpoint_url=endpoint_url,
        globus_url=(globus_url or os.environ.get("GLOBUS_SDK_SERVICE_URL_AUTH") or GLOBUS_URL).rstrip("/"),
        now=now,
    )
    for look in (_versions, _settings, _disk, _references, _aws, _airflow, _web, _globus, _database, _permissions):
        yield from look(patient)


def _ok(area: str, found: str) -> Check:
    return Check(area=area, health=Health.OK, found=found)


def _warning(area: str, found: str, remedy: str) -> Check:
    return Check(area=area, health=Health.WARNING, found=found, remedy=remedy)


def _failed(area: str, found: str, remedy: str) -> Check:
    return Check(area=area, health=Health.FAILED, found=found, remedy=remedy)


# This machine.
def _versions(_: Patient) -> Iterator[Check]:
    python = ".".join(map(str, sys.version_info[:3]))
    wrong = False
    for text in requires(DISTRIBUTION) or ():
        requirement = Requirement(text)
        if requirement.marker is not None and not requirement.marker.evaluate({"extra": ""}):
            continue
        try:
            there = version(requirement.name)
        except PackageNotFoundError:
            there = ""
        if not there or not requirement.specifier.contains(there, prereleases=True):
            wrong = True
            yield _failed(
                "versions",
                f"{requirement.name} {there or 'is missing'}, and GAS needs {requirement.specifier or 'it'}",
                "install what requirements.txt pins",
            )
    if not wrong:
        yield _ok(
            "versions",
            f"GAS {version(DISTRIBUTION)} on Python {python}, Airflow {version('apache-airflow')},"
            f" pysam {version('pysam')}, boto3 {version('boto3')}",
        )


def _settings(patient: Patient) -> Iterator[Check]:
    settings = patient.settings
    missing = []
    if patient.concerns(Role.WEB):
        missing += [
            (name, remedy)
            for name, value, remedy in (
                (
                    "GAS_WEB_SECRET_KEY",
                    settings.web_secret_key.get_secret_value(),
                    "set 32 random bytes, the same on all",
                ),
                ("GAS_WEB_DATABASE_URL", settings.web_database_url.get_secret_value(), "name the web app's PostgreSQL"),
                ("GAS_GLOBUS_CLIENT_ID", settings.globus_client_id, "register the web app at app.globus.org"),
                (
                    "GAS_GLOBUS_CLIENT_SECRET",
                    settings.globus_client_secret.get_secret_value(),
                    "make one where the web app is registered at app.globus.org",
                ),
            )
            if not value
        ]
    if patient.concerns(Role.WEB, Role.WORKER) and not settings.airflow_password.get_secret_value():
        missing.append(("GAS_AIRFLOW_PASSWORD", "set the password of Airflow's service user"))
    for name, remedy in missing:
        yield _failed("settings", f"{name} is not set", remedy)
    if not settings.aws_account:
        yield _warning(
            "settings", "GAS_AWS_ACCOUNT is not set", "set the account's 12 digits, or each process asks AWS for them"
        )
    address = urlsplit(settings.web_url)
    if address.scheme == "http" and address.hostname not in ("localhost", "127.0.0.1"):
        yield _failed(
            "settings",
            f"GAS_WEB_URL is {settings.web_url}",
            "put a proxy with TLS before it, and set the https address",
        )
    if patient.concerns(Role.WEB) and not settings.admins:
        yield _warning("settings", "GAS_ADMINS names nobody", "name the Globus ids of those who look after GAS")
    if not settings.mail_from:
        yield _warning("settings", "GAS_MAIL_FROM is not set, and no mail is sent", "set an address that SES knows")
    if not missing:
        yield _ok("settings", f"prefix {settings.prefix}, region {settings.region}, archive {settings.archive}")


def _disk(patient: Patient) -> Iterator[Check]:
    if not patient.concerns(Role.WORKER, Role.WEB):
        return
    folder = patient.settings.scratch_folder
    there = next(parent for parent in (folder, *folder.parents) if parent.exists())
    if not os.access(there, os.W_OK):
        yield _failed("disk", f"{there} cannot be written", "give it to the user that runs GAS, or set GAS_WORK_DIR")
        return
    free = shutil.disk_usage(there).free
    found = f"{free / (1 << 30):.0f} GiB free for {folder}"
    if free < FREE_BYTES:
        yield _warning(
            "disk", found, f"large jobs take {FREE_BYTES >> 30} GiB; make room, or set GAS_WORK_DIR to a larger disk"
        )
    else:
        yield _ok("disk", found)


def _references(patient: Patient) -> Iterator[Check]:
    if not patient.concerns(Role.WORKER, Role.WEB):
        return
    from gas.references import ReferenceStore

    store = ReferenceStore(patient.settings.references)
    try:
        references = store.list()
    except GasError as error:
        yield _failed("references", str(error), "install it again")
        return
    if not references:
        yield _failed(
            "references", f"none in {store.folder}", "`gas reference install` or `gas reference add` installs one"
        )
    for reference in references:
        lost = [path.name for path in (reference.fasta, reference.gff) if not path.is_file()]
        if lost:
            yield _failed("references", f"{reference.name} lacks {', '.join(lost)}", "install it again")
        else:
            sources = ", ".join(f"{source.name} {source.version}" for source in reference.sources)
            yield _ok("references", reference.name + (f" with {sources}" if sources else ""))


# Others.
def _clock(patient: Patient, whose: str, theirs: datetime, asked: float) -> Check:
    """Compare by the middle of asking and having the answer; HTTP's times are whole seconds."""
    middle = (asked + patient.now()) / 2
    skew = middle - theirs.timestamp()
    skew = 0.0 if -0.5 < skew < 1 else skew
    found = f"{abs(skew):.0f} s {'ahead of' if skew > 0 else 'behind'} {whose}" if skew else f"agrees with {whose}"
    remedy = "have chrony or systemd-timesyncd set the time on both machines"
    if abs(skew) > SKEW_FAILURE_S:
        return _failed("clock", found, remedy)
    if abs(skew) > SKEW_WARNING_S:
        return _warning("clock", found, remedy)
    return _ok("clock", found)


def _date(text: str | None) -> datetime | None:
    return parsedate_to_datetime(text) if text else None


def _aws(patient: Patient) -> Iterator[Check]:
    settings = patient.settings
    asked = patient.now()
    try:
        said: Any = patient.aws.sts.get_caller_identity()
    except (BotoCoreError, ClientError) as error:
        if _code(error) == "RequestTimeTooSkewed":
            yield _failed("clock", "AWS refuses calls of this time", "have chrony or systemd-timesyncd set the time")
            return
        yield _failed(
            "aws",
            f"no answer from STS ({error})",
            "give this machine an instance profile or AWS_* credentials, and a way to AWS",
        )
        return
    if settings.aws_account and said["Account"] != settings.aws_account:
        yield _failed(
            "aws",
            f"these are credentials of account {said['Account']}, and GAS_AWS_ACCOUNT is {settings.aws_account}",
            "change one of the two",
        )
        return
    yield _ok("aws", f"account {said['Account']} as {said['Arn'].rpartition(':')[2]}")
    if date := _date(said["ResponseMetadata"]["HTTPHeaders"].get("date")):
        yield _clock(patient, "AWS's", date, asked)
    if patient.concerns(Role.OPERATOR):
        yield from _provisioned(patient)


def _code(error: Exception) -> str:
    """AWS's word for an error; empty for one that AWS did not send."""
    return code(error) if isinstance(error, ClientError) else ""


def _provisioned(patient: Patient) -> Iterator[Check]:
    number = 0
    try:
        for change in changes(patient.settings, session=patient.session, endpoint_url=patient.endpoint_url):
            number += 1
            if change.action is not Action.NOTHING:
                remedy = change.trouble or "`gas provision --plan` tells more, `gas provision` sets it right"
                lacks = f"lacks {', '.join(change.what)}" if change.action is Action.CHANGE else "is not there"
                yield _failed("aws", f"{change.thing} {lacks}", remedy)
            elif change.trouble:
                yield _failed("aws", change.thing, change.trouble)
    except ClientError as error:
        if _code(error) not in REFUSALS:
            yield _failed("aws", str(error), "try again")
        else:
            yield _warning("aws", f"may not look at everything ({error})", "look as the operator: `gas iam operator`")
    except GasError as error:
        yield _failed("aws", "bucket", str(error))
    else:
        yield _ok("aws", f"{number} things were looked at")


def _http(area: str, url: str, remedy: str) -> tuple[httpx.Response | None, Check | None]:
    try:
        answer = httpx.get(url, timeout=TIMEOUT_S, follow_redirects=False)
    except httpx.HTTPError as error:
        return None, _failed(area, f"{url} does not answer ({type(error).__name__})", remedy)
    if answer.is_error:
        return None, _failed(area, f"{url} answers {answer.status_code}", remedy)
    return answer, None


def _airflow(patient: Patient) -> Iterator[Check]:
    if not patient.concerns(Role.WEB, Role.WORKER):
        return
    settings = patient.settings
    asked = patient.now()
    answer, trouble = _http(
        "airflow", f"{settings.airflow_url}/api/v2/monitor/health", "start the API server, or set GAS_AIRFLOW_URL"
    )
    if answer is None:
        if trouble:
            yield trouble
        return
    parts = {part: said["status"] for part, said in answer.json().items() if said and said.get("status")}
    ill = [f"{part.replace('_', ' ')} {status}" for part, status in parts.items() if status != "healthy"]
    if ill:
        yield _failed("airflow", ", ".join(ill), "start it, and read its log")
    else:
        yield _ok("airflow", f"{', '.join(part.replace('_', ' ') for part in parts)} are healthy")
    if date := _date(answer.headers.get("date")):
        yield _clock(patient, "Airflow's", date, asked)
    airflow = build(settings).airflow
    try:
        airflow.run_state(DAG_ID, NOBODY)
    except GasError as error:
        yield _failed(
            "airflow",
            f"the service user {settings.airflow_user} does not get in ({error})",
            "`gas migrate` makes it; GAS_AIRFLOW_PASSWORD must be the same on all machines",
        )
    else:
        yield _ok("airflow", f"the service user {settings.airflow_user} gets in")
    finally:
        airflow.close()
    answer, _ = _http("airflow", f"{settings.airflow_url}/api/v2/version", "")
    if answer is not None and answer.json().get("version") != version("apache-airflow"):
        yield _failed(
            "versions",
            f"Airflow {answer.json().get('version')} there and {version('apache-airflow')} here",
            "run the same release on all machines",
        )


def _web(patient: Patient) -> Iterator[Check]:
    if patient.role is not None:  # the web app need not run yet, and others never call it
        return
    answer, trouble = _http("web", f"{patient.settings.web_url}/health", "start the web app, or set GAS_WEB_URL")
    if trouble:
        yield trouble
    elif answer is not None:
        yield _ok("web", f"{patient.settings.web_url} answers")


def _globus(patient: Patient) -> Iterator[Check]:
    if not patient.concerns(Role.WEB):
        return
    url = f"{patient.globus_url}/.well-known/openid-configuration"
    _, trouble = _http("globus", url, "let the web app's machine reach it")
    yield trouble or _ok("globus", f"{patient.globus_url} answers")


def _database(patient: Patient) -> Iterator[Check]:
    url = patient.settings.web_database_url.get_secret_value()
    if not patient.concerns(Role.WEB) or not url:
        return
    from sqlalchemy import create_engine, text
    from sqlalchemy.exc import SQLAlchemyError

    try:
        engine = create_engine(url, connect_args={"connect_timeout": int(TIMEOUT_S)})
        asked = patient.now()
        with engine.connect() as connection:
            theirs: datetime = connection.execute(text("SELECT clock_timestamp()")).scalar_one()
            users = connection.execute(text("SELECT to_regclass('ab_user')")).scalar_one()
        clock = _clock(patient, "the database's", theirs.astimezone(UTC), asked)
        engine.dispose()
    except SQLAlchemyError as error:
        reason = str(getattr(error, "orig", None) or error).strip().partition("\n")[0]
        yield _failed("database", f"no connection ({reason})", "start PostgreSQL, or set GAS_WEB_DATABASE_URL")
        return
    if users is None:
        yield _failed("database", "is empty", "`gas migrate` makes its tables")
    else:
        yield _ok("database", "answers, and has its tables")
    yield clock


def _permissions(patient: Patient) -> Iterator[Check]:
    if patient.role is None:
        return
    held = 0
    lacking: defaultdict[str, list[str]] = defaultdict(list)
    untried: list[str] = []
    try:
        for permission in tried(patient.aws, patient.settings, patient.role):
            if permission.held is None:
                untried.append(permission.action)
            elif permission.held:
                held += 1
            else:
                lacking[permission.on.value].append(permission.action)
    except (BotoCoreError, ClientError) as error:
        yield _failed("permissions", f"could not be tried ({error})", "see what is said of aws")
        return
    for on, actions in lacking.items():
        yield _failed(
            "permissions",
            f"{patient.role} may not {', '.join(actions)} on {on}",
            f"attach what `gas iam {patient.role}` prints",
        )
    yield _ok("permissions", f"{patient.role} may do {held} things; only doing them tells of {len(untried)} more")
