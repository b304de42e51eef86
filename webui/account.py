"""The signed-in person: their identity, their plan and what it allows."""

from __future__ import annotations

import logging
import time
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from botocore.exceptions import BotoCoreError, ClientError
from flask import Flask, current_app
from flask_appbuilder.security.sqla.models import User
from flask_login import current_user

from gas import subscription
from gas.errors import GasError, NotFound
from gas.job import Job, StorageState, job_to_json
from gas.profiles_table import Profile
from gas.services import Services
from gas.submission import upload_limit_bytes
from webui import show

log = logging.getLogger(__name__)


def install(app: Flask) -> None:
    """Give the templates what they show of the account."""
    settings = app.extensions["gas"].settings
    airflow = settings.airflow_public_url or settings.airflow_url
    app.jinja_env.globals.update(account_box=account_box, is_admin=is_admin, airflow_url=airflow)


def services() -> Services:
    """The clients this app was made with."""
    return current_app.extensions["gas"]


@dataclass(frozen=True, kw_only=True)
class Account:
    """Who asks, and what they may upload."""

    profile: Profile
    upload_limit_bytes: int

    @property
    def user_id(self) -> str:
        """The Globus ``sub``: whose jobs are shown, whatever else the request says."""
        return self.profile.user_id


def current_account() -> Account:
    """The account of the person whom this request speaks for."""
    try:
        profile = services().profiles.get(current_user.username)
    except NotFound:  # signed in before the table was made anew
        profile = ensure_profile(current_user, email=current_user.email)
    return account_of(profile)


def account_of(profile: Profile) -> Account:
    """The account with this profile, and what its plan allows."""
    return Account(profile=profile, upload_limit_bytes=upload_limit_bytes(services().settings, profile))


def public_form(job: Job, account: Account) -> dict[str, Any]:
    """The public form of one of the account's own jobs."""
    return job_to_json(job, not_before=_not_before(job, account))


def link_life_s(job: Job, account: Account) -> int | None:
    """How long the job's result is sure to stay where it is, in seconds; ``None`` where nothing moves it.

    Of one that is on its way to the archive the files may be deleted at any moment.
    """
    if job.storage_state is StorageState.ARCHIVING:
        return 0
    moves = _not_before(job, account)
    return None if moves is None else moves - int(time.time())


def _not_before(job: Job, account: Account) -> int | None:
    return subscription.not_before(job, account.profile, delay_s=services().settings.free_result_ttl_s)


def joined_at() -> str | None:
    """When the person first came here, in ISO 8601; FAB keeps it in the server's own time."""
    joined: datetime | None = current_user.created_on
    return show.iso(joined) if joined else None


def account_box() -> Account | None:
    """The account for the corner of every page; ``None`` while the record does not answer, so that pages still show."""
    try:
        return current_account()
    except (BotoCoreError, ClientError, GasError) as error:
        log.warning("no account box: %s", error)
        return None


def is_admin() -> bool:
    """Whether the signed-in person operates this server."""
    return any(role.name == current_app.config["AUTH_ROLE_ADMIN"] for role in current_user.roles)


def ensure_profile(user: User, *, email: str) -> Profile:
    """The user's profile in the record, made where it is missing.

    :param email: what Globus says; the user record may hold another, see ``GasSecurityManager``.
    """
    return services().profiles.ensure(
        user.username, name=user.get_full_name().strip(), email=email, now=int(time.time())
    )
