"""Telling people: of jobs that ended, of results that are about to move to the archive, and of those that came back.

What is to be told stands in the record (see :mod:`gas.notice`). It goes out by mail and to the person's webhook, as
they wish, and is taken off the record afterwards; where that fails it is tried again for a day. Nothing here touches a
job's status, and no trouble here ever fails a job.
"""

from __future__ import annotations

import json
import logging
import time
import uuid
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from itertools import islice
from typing import TYPE_CHECKING, Any

from gas import letters, subscription
from gas.errors import InputError, NotFound, Unavailable
from gas.job import Job, StorageState, job_to_json
from gas.job_log import about
from gas.notice import Channel, Kind, Notice
from gas.notices_table import Claim, Failure, Person, Wishes
from gas.profiles_table import Profile, Tier
from gas.webhooks import Refused, new_secret

if TYPE_CHECKING:
    from gas.services import Services

log = logging.getLogger(__name__)

#: Jobs whose notices one run takes; the next one is a minute later.
AT_ONCE = 2000
#: People told side by side.
PEOPLE_AT_ONCE = 8
#: How long one person's webhook may keep a run, in seconds.
WEBHOOK_PATIENCE_S = 60.0
FIRST_PAUSE_S = 60
LONGEST_PAUSE_S = 3600
GIVEN_UP_AFTER_S = 24 * 3600
#: Records read at a time.
BATCH = 100
#: Results that came into sight so long before the last look are looked at once more: an index may be behind.
OVERLAP_S = 120


def job_ended(services: Services, job_id: str) -> None:
    """Tell the owner of this job at once, if that can be done. What fails is logged, and left to :func:`deliver`."""
    try:
        claim = services.notices.claim(job_id)
        if claim is not None:
            _tell(services, claim.job.user_id, [claim], patient=False)
    except Exception:
        with about(job_id):
            log.warning("the owner of job %s is told later", job_id, exc_info=True)


def deliver(services: Services) -> int:
    """Tell everybody what there is to tell by now; returns of how many jobs.

    Each person hears of many jobs by one letter a kind. Trouble with one person stops no other.
    """
    of_person: dict[str, list[str]] = {}
    for user_id, job_id in services.notices.waiting(limit=AT_ONCE):
        of_person.setdefault(user_id, []).append(job_id)

    def told(user_id: str) -> int:
        try:
            claims = [claim for job_id in of_person[user_id] if (claim := services.notices.claim(job_id))]
            if claims:
                _tell(services, user_id, claims, patient=True)
        except Exception:
            log.exception("%s could not be told; what was claimed is tried again in some minutes", user_id)
            return 0
        return len(claims)

    with ThreadPoolExecutor(PEOPLE_AT_ONCE) as threads:
        return sum(threads.map(told, of_person))


def warn(services: Services, *, since: int | None = None) -> int:
    """Find results that are about to move to the archive, and have their owners told; returns how many.

    :param since: when everything in sight was looked at last (POSIX seconds): only what came into sight since then is
        looked at. All of it when ``None``.
    """
    settings = services.settings
    sight_s = settings.free_result_ttl_s - settings.archive_lead_s
    now = services.notices.now()
    after = now - settings.free_result_ttl_s if since is None else since - sight_s - OVERLAP_S
    rows = services.jobs.due(before=now - sight_s + 1, after=max(0, after))
    warned = 0
    while batch := list(islice(rows, BATCH)):
        people = services.notices.persons(sorted({user_id for user_id, _ in batch}))
        wanted = [
            job_id for user_id, job_id in batch if user_id in people and _wants_warning(services, people[user_id])
        ]
        for job in services.jobs.find_many(wanted):
            moves_at = _moves_at(services, job, people[job.user_id].profile)
            if moves_at is not None and now < moves_at <= now + settings.archive_lead_s:
                warned += services.notices.warn(job, moves_at=moves_at)
    return warned


@dataclass(frozen=True, slots=True, kw_only=True)
class Trial:
    """What became of a test: of each channel a sentence about what went wrong, empty where nothing did."""

    mail: str | None
    """``None`` where the person gets no mail."""
    webhook: str | None
    """``None`` where there is none."""


def send_test(services: Services, user_id: str) -> Trial:
    """Send a letter and a request that only show that they arrive.

    :raises NotFound: when the person never signed in.
    """
    person = services.notices.person(user_id)
    mail = webhook = None
    if services.mail.reaches(person.profile.email):
        mail = _trouble(
            lambda: services.mail.send(letters.trial(web_url=services.settings.web_url), to=person.profile.email)
        )
    if person.wishes.webhook_url:
        now = services.notices.now()
        webhook = _trouble(
            lambda: _post(services, person.wishes, {"kind": "test", "job": None}, delivery_id=str(uuid.uuid4()), at=now)
        )
        if webhook == "" and person.wishes.failure and person.wishes.failure.channel is Channel.WEBHOOK:
            services.notices.worked(user_id)
    return Trial(mail=mail, webhook=webhook)


def wish(services: Services, user_id: str, *, no_mail: frozenset[Kind], webhook_url: str) -> tuple[Wishes, str | None]:
    """Remember how the person wants to be told.

    :returns: the wishes, and the webhook's secret where it was made just now: it is shown this once.
    :raises InputError: when the webhook's address cannot be used.
    """
    url = services.webhooks.checked(webhook_url) if webhook_url else ""
    secret = new_secret()
    wishes = services.notices.wish(user_id, no_mail=no_mail, webhook_url=url, new_secret=secret)
    return wishes, secret if wishes.webhook_secret == secret else None


def renew_secret(services: Services, user_id: str) -> str:
    """Another secret for the person's webhook, from now on; it is shown this once.

    :raises InputError: when there is no webhook.
    """
    secret = new_secret()
    if not services.notices.replace_secret(user_id, secret):
        raise InputError("there is no webhook to sign for; give its address first")
    return secret


@dataclass(slots=True)
class _Round:
    """What was tried of one person's notices, and what came of it."""

    notices: dict[str, list[Notice]]
    """By job: those that still tell something, and where each was told."""
    sentences: dict[Channel, str] = field(default_factory=dict)
    """What failed last."""
    down: set[Channel] = field(default_factory=set)
    """What takes nothing more for now."""
    refused: set[str] = field(default_factory=set)
    """The ids of deliveries that the webhook did not take, while it may take others."""
    worked: set[Channel] = field(default_factory=set)

    def told(self, claim: Claim, notice: Notice, channel: Channel) -> None:
        self.worked.add(channel)
        there = self.notices[claim.job.job_id]
        there[:] = [other.told(channel) if other.same(notice) else other for other in there]


def _tell(services: Services, user_id: str, claims: Sequence[Claim], *, patient: bool) -> None:
    """Tell one person what was claimed, and put back what could not be told.

    :param patient: whether there is time; else a webhook that failed last time is left for later.
    """
    try:
        person = services.notices.person(user_id)
    except NotFound:
        for claim in claims:
            services.notices.settle(claim, [], next_at=0)
        return
    wanted = [
        (claim, notice) for claim in claims for notice in claim.notices if _is_true(services, person, claim.job, notice)
    ]
    progress = _Round(notices={claim.job.job_id: [] for claim in claims})
    for claim, notice in wanted:
        progress.notices[claim.job.job_id].append(notice)
    channels = set()
    if services.mail.reaches(person.profile.email):
        channels.add(Channel.MAIL)
        _mail(services, person, wanted, progress)
    if person.wishes.webhook_url:
        channels.add(Channel.WEBHOOK)
        failure = person.wishes.failure
        if patient or failure is None or failure.channel is not Channel.WEBHOOK:
            _call(services, person, wanted, progress)
    _remember(services, person, progress)
    now = services.notices.now()
    for claim in claims:
        left, next_at = [], now + LONGEST_PAUSE_S
        for notice in progress.notices[claim.job.job_id]:
            missing = channels - notice.done
            if notice.kind in person.wishes.no_mail:
                missing -= {Channel.MAIL}
            if not missing:
                continue
            if missing & progress.down or notice.delivery_id(claim.job.job_id) in progress.refused:
                if notice.tries and now - notice.time > GIVEN_UP_AFTER_S:
                    with about(claim.job.job_id):
                        log.warning("%s is told no more that job %s: %s", user_id, claim.job.job_id, notice.kind)
                    continue
                left.append(replace(notice, tries=notice.tries + 1))
                next_at = min(next_at, now + FIRST_PAUSE_S * 2 ** min(notice.tries, 10))
            else:  # there was no time for it
                left.append(notice)
                next_at = now
        services.notices.settle(claim, left, next_at=next_at)


def _is_true(services: Services, person: Person, job: Job, notice: Notice) -> bool:
    """Whether there is still something to tell: a result may have moved, or will not move any more."""
    if notice.kind is Kind.ARCHIVE:
        return _moves_at(services, job, person.profile) is not None
    if notice.kind is Kind.RESTORED:
        return job.storage_state is StorageState.HOT
    return True


def _mail(services: Services, person: Person, wanted: Sequence[tuple[Claim, Notice]], progress: _Round) -> None:
    """One letter a kind."""
    for kind in Kind:
        told = [(c, n) for c, n in wanted if n.kind is kind and Channel.MAIL not in n.done]
        if not told or kind in person.wishes.no_mail:
            continue
        jobs = list({claim.job.job_id: claim.job for claim, _ in told}.values())
        moving = [moves for job in jobs if (moves := _moves_at(services, job, person.profile)) is not None]
        letter = letters.letter(
            kind,
            jobs,
            web_url=services.settings.web_url,
            moves_at=min(moving) if kind is Kind.ARCHIVE and moving else None,
        )
        try:
            services.mail.send(letter, to=person.profile.email)
        except Unavailable as error:
            progress.sentences[Channel.MAIL] = str(error)
            progress.down.add(Channel.MAIL)
            return
        for claim, notice in told:
            progress.told(claim, notice, Channel.MAIL)


def _call(services: Services, person: Person, wanted: Sequence[tuple[Claim, Notice]], progress: _Round) -> None:
    """One request a notice, until one is not answered: a receiver that is down holds up nobody for long."""
    ends = time.monotonic() + WEBHOOK_PATIENCE_S
    for claim, notice in wanted:
        if Channel.WEBHOOK in notice.done:
            continue
        if time.monotonic() > ends:
            return
        moves_at = _moves_at(services, claim.job, person.profile)
        said = {"kind": notice.kind.value, "job": job_to_json(claim.job, not_before=moves_at)}
        delivery_id = notice.delivery_id(claim.job.job_id)
        try:
            _post(services, person.wishes, said, delivery_id=delivery_id, at=notice.time)
        except Refused as error:
            progress.sentences[Channel.WEBHOOK] = str(error)
            progress.refused.add(delivery_id)
        except Unavailable as error:
            progress.sentences[Channel.WEBHOOK] = str(error)
            progress.down.add(Channel.WEBHOOK)
            return
        else:
            progress.told(claim, notice, Channel.WEBHOOK)


def _post(services: Services, wishes: Wishes, said: dict[str, Any], *, delivery_id: str, at: int) -> None:
    when = datetime.fromtimestamp(at, UTC).isoformat().replace("+00:00", "Z")
    body = json.dumps({"id": delivery_id, "time": when, **said}).encode()
    services.webhooks.send(
        wishes.webhook_url,
        body,
        secret=wishes.webhook_secret,
        delivery_id=delivery_id,
        now=services.notices.now(),
    )


def _remember(services: Services, person: Person, progress: _Round) -> None:
    """Let the person see what failed last, and no more once it works again."""
    user_id, before = person.profile.user_id, person.wishes.failure
    for channel, sentence in progress.sentences.items():
        log.warning("%s could not be told by %s: %s", user_id, channel, sentence)
        services.notices.failed(user_id, Failure(time=services.notices.now(), channel=channel, sentence=sentence))
    if before and before.channel in progress.worked and not progress.sentences:
        services.notices.worked(user_id)


def _trouble(act: Callable[[], None]) -> str:
    """What went wrong; empty where nothing did."""
    try:
        act()
    except Unavailable as error:
        return str(error)
    return ""


def _wants_warning(services: Services, person: Person) -> bool:
    by_mail = services.mail.reaches(person.profile.email) and Kind.ARCHIVE not in person.wishes.no_mail
    return person.profile.tier is Tier.FREE and (by_mail or bool(person.wishes.webhook_url))


def _moves_at(services: Services, job: Job, profile: Profile) -> int | None:
    return subscription.not_before(job, profile, delay_s=services.settings.free_result_ttl_s)
