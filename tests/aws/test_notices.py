"""Telling people by mail and webhook: what the record remembers, who is told of what, and how often."""

from __future__ import annotations

import hashlib
import hmac
import json
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import httpx
import pytest

from gas import deletion, notices, subscription
from gas.errors import InputError, Unavailable
from gas.job import Job, StorageState, job_to_json, new_job_id
from gas.notice import Channel, Kind
from gas.notices_table import LEASE_S, NoticesTable
from gas.provision import provision
from gas.services import Services, build
from gas.settings import Settings
from tests.fakes import ALICE, BOB, pending_job
from tests.storage import Clock, thawed

SENDER = "GAS <gas@gas.invalid>"
FREE_DAYS_S = 10 * 86400


@dataclass(frozen=True, kw_only=True)
class Post:
    """A request that a receiver got."""

    body: bytes
    headers: dict[str, str]

    @property
    def said(self) -> Any:
        return json.loads(self.body)


@dataclass
class Receiver:
    """A web server of a person's own: what it got, and what it answers."""

    url: str = ""
    posts: list[Post] = field(default_factory=list)
    answers: Callable[[Post], int] = lambda _: 204


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    """One on loopback."""
    receiver = Receiver()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            post = Post(body=body, headers=dict(self.headers))
            receiver.posts.append(post)
            status = receiver.answers(post)
            self.send_response(status)
            if 300 <= status < 400:
                self.send_header("Location", f"{receiver.url}/elsewhere")
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *_: Any) -> None:
            """Nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    receiver.url = f"http://127.0.0.1:{server.server_address[1]}"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield receiver
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.fixture
def telling(aws: Any, settings: Settings, clock: Clock) -> Services:
    """GAS that sends mail and may call webhooks on loopback; results stay for ten days."""
    chosen = settings.model_copy(
        update={"mail_from": SENDER, "webhook_private": True, "free_result_ttl_s": FREE_DAYS_S}
    )
    list(provision(chosen, session=aws.session, endpoint_url=aws.endpoint_url))
    services = build(chosen, session=aws.session, endpoint_url=aws.endpoint_url, now=clock)
    for person in (ALICE, BOB):
        services.profiles.ensure(person.user_id, name=person.name, email=person.email)
    return services


@pytest.fixture
def outbox(aws: Any) -> Callable[[], list[Any]]:
    """What SES was given, oldest first."""

    def read() -> list[Any]:
        answer = httpx.get(f"{aws.endpoint_url}/outbox.json")
        return list(answer.raise_for_status().json())

    return read


def ended_job(services: Services, *, user_id: str = ALICE.user_id, error: str = "") -> Job:
    """A job that was done just now, or failed, and of which nobody was told."""
    job_id = new_job_id()
    services.jobs.create(pending_job(job_id=job_id, user_id=user_id))
    if error:
        return services.jobs.fail(job_id, None, error, "input")
    return done(services, job_id)


def done(services: Services, job_id: str) -> Job:
    from tests.aws.test_jobs_table import complete

    services.jobs.start(job_id, "0001-a")
    complete(services.jobs, job_id, "0001-a")
    services.jobs.mark_notified(job_id)
    return services.jobs.get(job_id)


def waiting(services: Services) -> set[str]:
    return {job_id for _, job_id in services.notices.waiting(limit=10_000)}


def record(services: Services, job_id: str) -> dict[str, Any]:
    return services.notices._jobs.get(job_id) or {}


@contextmanager
def broken_mail(services: Services) -> Iterator[None]:
    """SES takes nothing: the sender is not known to it."""
    ses = services.mail._aws.ses
    ses.delete_identity(Identity="gas@gas.invalid")
    yield
    ses.verify_email_identity(EmailAddress="gas@gas.invalid")


# What the record remembers.


def test_what_ends_is_to_be_told(telling: Services) -> None:
    """The write that ends a job says that its owner is to be told; a cancelled job's says nothing."""
    completed, failed = ended_job(telling), ended_job(telling, error="line 7 has no POS")
    cancelled = telling.jobs.create(pending_job(job_id=new_job_id()))
    telling.jobs.cancel(cancelled.job_id, ALICE.user_id)
    assert waiting(telling) == {completed.job_id, failed.job_id}
    (notice,) = record(telling, failed.job_id)["notices"]
    assert (notice["kind"], notice["time"]) == ("ended", failed.complete_time)


def test_lost_answer_adds_no_second_notice(telling: Services) -> None:
    """A commit that is sent again, its answer lost, leaves one notice."""
    from tests.aws.test_jobs_table import complete

    job = ended_job(telling)
    complete(telling.jobs, job.job_id, "0001-a")
    assert len(record(telling, job.job_id)["notices"]) == 1


def test_public_form_says_nothing_of_notices(telling: Services) -> None:
    """What the record remembers for notices shows in no answer of the API."""
    job = ended_job(telling)
    telling.notices.warn(job, moves_at=7)
    assert not {"notice", "notices", "notice_at", "warned"} & set(job_to_json(telling.jobs.get(job.job_id)))


def test_restore_adds_to_what_is_not_told_yet(storage_services: Services, due_job: Job) -> None:
    """A result that came back before anybody was told that it was done has both to tell."""
    from gas.archive.transfer import archive_one, ask, begin_restore_job, empty_trash

    archive_one(storage_services, due_job.job_id)
    assert storage_services.jobs.get(due_job.job_id).storage_state is StorageState.ARCHIVED
    begin_restore_job(storage_services, due_job.job_id, keep_s=None)
    ask(storage_services, due_job.job_id)
    thawed(storage_services, due_job.job_id)
    kinds = [notice["kind"] for notice in record(storage_services, due_job.job_id)["notices"]]
    assert kinds == ["ended", "restored"]
    empty_trash(storage_services, due_job.job_id)


def test_deleted_job_tells_nothing(telling: Services, outbox: Any) -> None:
    """Who deletes a job is not told of it, not even by one who claimed its notices just before."""
    job, claimed = ended_job(telling), ended_job(telling)
    claim = telling.notices.claim(claimed.job_id)
    for one in (job, claimed):
        deletion.delete(telling, job_id=one.job_id, user_id=ALICE.user_id)
    assert claim
    telling.notices.settle(claim, claim.notices, next_at=0)
    assert waiting(telling) == set()
    assert notices.deliver(telling) == 0
    assert outbox() == []


# Mail.


def test_letter_of_a_finished_job(telling: Services, outbox: Any) -> None:
    """Its owner gets one letter, with the job's outcome, a link to it, and a way to get no more."""
    job = ended_job(telling)
    notices.job_ended(telling, job.job_id)
    (letter,) = outbox()
    assert letter["to"] == [ALICE.email]
    assert letter["from"] == SENDER
    assert letter["subject"] == "GAS: cohort.vcf.gz is annotated"
    for part in (letter["text"], letter["html"]):
        assert f"{telling.settings.web_url}/jobs/{job.job_id}" in part
        assert f"{telling.settings.web_url}/account/notices" in part
    assert waiting(telling) == set()
    assert notices.deliver(telling) == 0
    assert len(outbox()) == 1


def test_letter_of_a_failed_job_says_why(telling: Services, outbox: Any) -> None:
    """The sentence of the failure is in it."""
    ended_job(telling, error="line 7 has no POS & <no> REF")
    assert notices.deliver(telling) == 1
    (letter,) = outbox()
    assert letter["subject"] == "GAS: cohort.vcf.gz could not be annotated"
    assert "line 7 has no POS & <no> REF" in letter["text"]
    assert "&lt;no&gt;" in letter["html"]


def test_letter_of_a_result_that_is_back(
    storage_services: Services, due_job: Job, telling: Services, outbox: Any
) -> None:
    """Who was told that it was done is told, once, that it is back from the archive, with a link to it."""
    from gas.archive.transfer import archive_one, ask, begin_restore_job, empty_trash

    notices.deliver(telling)
    archive_one(storage_services, due_job.job_id)
    begin_restore_job(storage_services, due_job.job_id, keep_s=None)
    ask(storage_services, due_job.job_id)
    thawed(storage_services, due_job.job_id)
    before = len(outbox())
    assert notices.deliver(telling) == 1
    (letter,) = outbox()[before:]
    assert (letter["to"], letter["subject"]) == (
        [ALICE.email],
        f"GAS: {due_job.input_file_name} is back from the archive",
    )
    assert all(f"{telling.settings.web_url}/jobs/{due_job.job_id}" in letter[part] for part in ("text", "html"))
    assert notices.deliver(telling) == 0
    empty_trash(storage_services, due_job.job_id)


def test_letter_of_what_changed(telling: Services, outbox: Any) -> None:
    """A re-annotation's letter counts what changed and leads to the page that names it, and says nothing else."""
    from tests.aws.test_jobs_table import OUTPUTS

    job_id = new_job_id()
    telling.jobs.create(pending_job(job_id=job_id, user_id=ALICE.user_id))
    telling.jobs.start(job_id, "0001-a")
    changes = {"significance": {"new": 2, "lost": 0, "changed": 1}, "consequence": {"new": 0, "lost": 0, "changed": 0}}
    telling.jobs.complete(job_id, "0001-a", OUTPUTS, {}, [], changes=changes, tell_of=Kind.CHANGED)
    assert notices.deliver(telling) == 1
    (letter,) = outbox()
    assert (letter["to"], letter["subject"]) == ([ALICE.email], "GAS: cohort.vcf.gz annotated again: what changed")
    for part in (letter["text"], letter["html"]):
        assert "clinical significance: 2 new, 1 changed" in part
        assert "consequence:" not in part
        assert f"{telling.settings.web_url}/jobs/{job_id}/changes" in part


def test_many_jobs_are_one_letter(telling: Services, outbox: Any) -> None:
    """What one run finds of a person is one letter, and another person's is theirs alone."""
    mine = [ended_job(telling), ended_job(telling, error="no VCF")]
    yours = ended_job(telling, user_id=BOB.user_id)
    assert notices.deliver(telling) == 3
    by_person = {letter["to"][0]: letter for letter in outbox()}
    assert len(outbox()) == len(by_person) == 2
    assert by_person[ALICE.email]["subject"] == "GAS: 2 jobs have ended, 1 of them failed"
    assert all(job.job_id in by_person[ALICE.email]["text"] for job in mine)
    assert yours.job_id not in by_person[ALICE.email]["text"]


def test_file_name_writes_no_header(telling: Services, outbox: Any) -> None:
    """Line breaks in a file's name do not end the subject, and its markup is none in the letter."""
    job_id = new_job_id()
    name = "a\r\nBcc: eve@example.org\r\n<img src=x>.vcf"
    telling.jobs.create(replace(pending_job(job_id=job_id), input_file_name=name))
    done(telling, job_id)
    notices.deliver(telling)
    (letter,) = outbox()
    assert letter["subject"] == "GAS: a Bcc: eve@example.org <img src=x>.vcf is annotated"
    assert "<img" not in letter["html"]


@pytest.mark.parametrize("address", ["", "nobody", "a@example.org, b@example.org", "a@example.org\nBcc: b@example.org"])
def test_address_that_is_none_gets_no_letter(telling: Services, outbox: Any, address: str) -> None:
    """A profile without one plain address is not written to, and nothing stays to be told."""
    telling.profiles.ensure(ALICE.user_id, name=ALICE.name, email=address)
    ended_job(telling)
    notices.deliver(telling)
    assert outbox() == []
    assert waiting(telling) == set()


def test_kind_is_switched_off(telling: Services, outbox: Any) -> None:
    """Who wants no mail of a kind gets none of it, and still gets the others."""
    notices.wish(telling, ALICE.user_id, no_mail=frozenset({Kind.ENDED}), webhook_url="")
    job = ended_job(telling)
    notices.deliver(telling)
    assert outbox() == []
    assert waiting(telling) == set()
    telling.notices.warn(job, moves_at=FREE_DAYS_S)
    notices.deliver(telling)
    assert len(outbox()) == 1


def test_no_sender_no_mail(telling: Services, outbox: Any, aws: Any) -> None:
    """Without GAS_MAIL_FROM nothing is sent, and nothing waits for it."""
    settings = telling.settings.model_copy(update={"mail_from": ""})
    silent = build(settings, session=aws.session, endpoint_url=aws.endpoint_url)
    ended_job(silent)
    notices.deliver(silent)
    assert outbox() == []
    assert waiting(silent) == set()


# Trouble.


def test_failed_mail_is_tried_again(telling: Services, outbox: Any, clock: Clock) -> None:
    """What SES does not take fails no one, is tried again later and later, and its person sees why until it works."""
    job = ended_job(telling)
    with broken_mail(telling):
        notices.job_ended(telling, job.job_id)
        assert waiting(telling) == set()
        clock.ahead_s += notices.FIRST_PAUSE_S + 1
        assert waiting(telling) == {job.job_id}
        notices.deliver(telling)
        clock.ahead_s += notices.FIRST_PAUSE_S + 1
        assert waiting(telling) == set()  # the second pause is longer
        failure = telling.notices.person(ALICE.user_id).wishes.failure
        assert failure
        assert failure.channel is Channel.MAIL
        assert "MessageRejected" in failure.sentence
    clock.ahead_s += notices.FIRST_PAUSE_S
    notices.deliver(telling)
    assert len(outbox()) == 1
    assert telling.notices.person(ALICE.user_id).wishes.failure is None


def test_given_up_after_a_day(telling: Services, clock: Clock) -> None:
    """What failed for a day is dropped; what was not tried for longer is tried first."""
    job = ended_job(telling)
    with broken_mail(telling):
        clock.ahead_s += notices.GIVEN_UP_AFTER_S + 1
        notices.deliver(telling)
        assert record(telling, job.job_id)["notices"]
        clock.ahead_s += notices.LONGEST_PAUSE_S
        notices.deliver(telling)
    assert "notices" not in record(telling, job.job_id)
    assert "notice" not in record(telling, job.job_id)


def test_two_deliver_at_once_and_tell_once(telling: Services, outbox: Any) -> None:
    """The claim lets one of them tell."""
    ended_job(telling)
    together = threading.Barrier(2)

    def delivered(_: int) -> int:
        together.wait()
        return notices.deliver(telling)

    with ThreadPoolExecutor(2) as threads:
        assert sum(threads.map(delivered, range(2))) == 1
    assert len(outbox()) == 1


def test_death_after_sending_tells_again_under_the_same_id(
    telling: Services, receiver: Receiver, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Who dies between sending and forgetting leaves it to the next, whom a receiver recognises."""
    notices.wish(telling, ALICE.user_id, no_mail=frozenset(Kind), webhook_url=receiver.url)
    job = ended_job(telling)
    with monkeypatch.context() as patch:
        patch.setattr(NoticesTable, "settle", _die)
        notices.job_ended(telling, job.job_id)
    assert len(receiver.posts) == 1
    assert notices.deliver(telling) == 0  # the dead one's still
    clock.ahead_s += LEASE_S + 1
    assert notices.deliver(telling) == 1
    first, second = receiver.posts
    assert first.said["id"] == second.said["id"] == second.headers["GAS-Delivery"]
    assert waiting(telling) == set()


def _die(*_: Any, **__: Any) -> None:
    raise RuntimeError("killed")


def test_notice_that_comes_in_meanwhile_stays(telling: Services) -> None:
    """While one notice is being told another is written: forgetting the first leaves the second, to be told now."""
    job = ended_job(telling)
    claim = telling.notices.claim(job.job_id)
    assert claim
    telling.notices.warn(job, moves_at=FREE_DAYS_S)
    telling.notices.settle(claim, [], next_at=1 << 33)
    assert [notice["kind"] for notice in record(telling, job.job_id)["notices"]] == ["archive"]
    assert waiting(telling) == {job.job_id}


def test_settling_twice_changes_nothing(telling: Services) -> None:
    """A write whose answer was lost is applied once."""
    job = ended_job(telling)
    claim = telling.notices.claim(job.job_id)
    assert claim
    left = [replace(notice, tries=1) for notice in claim.notices]
    for _ in range(2):
        telling.notices.settle(claim, left, next_at=5)
    assert [notice["tries"] for notice in record(telling, job.job_id)["notices"]] == [1]


# Before the move to the archive.


def in_sight(services: Services, clock: Clock) -> None:
    """Go on until what ended just now moves in less than the lead."""
    clock.ahead_s += FREE_DAYS_S - services.settings.archive_lead_s + 1


def test_results_are_told_of_once_before_they_move(telling: Services, outbox: Any, clock: Clock) -> None:
    """A day ahead, in one letter for all of them; never before, and once."""
    jobs = [ended_job(telling) for _ in range(3)]
    notices.deliver(telling)
    assert notices.warn(telling) == 0
    in_sight(telling, clock)
    assert notices.warn(telling) == 3
    assert notices.warn(telling) == 0
    notices.deliver(telling)
    letter = outbox()[-1]
    assert len(outbox()) == 2
    assert letter["subject"] == "GAS: 3 results move to the archive soon"
    assert all(job.job_id in letter["text"] for job in jobs)
    assert notices.deliver(telling) == 0


def test_another_date_is_told_of_again(telling: Services, clock: Clock) -> None:
    """A result that is given a later date is told of before that one too."""
    job = ended_job(telling)
    in_sight(telling, clock)
    assert notices.warn(telling) == 1
    telling.storage.date(job.job_id, due_since=telling.storage.now())
    assert notices.warn(telling) == 0
    in_sight(telling, clock)
    assert notices.warn(telling) == 1


def test_premium_people_are_not_warned(telling: Services, outbox: Any, clock: Clock) -> None:
    """Their results stay; who went premium after the warning was written gets no letter either."""
    ended_job(telling)
    ended_job(telling, user_id=BOB.user_id)
    notices.deliver(telling)
    subscription.subscribe(replace(telling, airflow=_NoAirflow()), BOB.user_id)  # type: ignore[arg-type]
    in_sight(telling, clock)
    assert notices.warn(telling) == 1
    subscription.subscribe(replace(telling, airflow=_NoAirflow()), ALICE.user_id)  # type: ignore[arg-type]
    notices.deliver(telling)
    assert len(outbox()) == 2
    assert waiting(telling) == set()


class _NoAirflow:
    def submit(self, *_: Any, **__: Any) -> bool:
        raise Unavailable("not now")


def test_lead_is_at_most_half_the_delay() -> None:
    """With a delay of five minutes a day's lead is two and a half."""
    assert Settings(free_result_ttl_s=300).archive_lead_s == 150
    assert Settings(free_result_ttl_s=FREE_DAYS_S).archive_lead_s == 86400


def test_only_what_came_into_sight_is_read(telling: Services, clock: Clock, monkeypatch: pytest.MonkeyPatch) -> None:
    """Results that were in sight at the last look already are not read again."""
    old = ended_job(telling)
    in_sight(telling, clock)
    assert notices.warn(telling) == 1
    clock.ahead_s += notices.OVERLAP_S + 60
    since = telling.notices.now() - 30
    read: list[str] = []
    original = telling.jobs.find_many
    monkeypatch.setattr(type(telling.jobs), "find_many", lambda _, ids: read.extend(ids) or original(ids))
    assert notices.warn(telling, since=since) == 0
    assert read == []
    assert notices.warn(telling) == 0
    assert read == [old.job_id]


# Webhooks.


def test_webhook_is_signed_and_says_what_happened(telling: Services, receiver: Receiver) -> None:
    """The body is the job's public form; its signature is that of the secret that was shown."""
    _, secret = notices.wish(telling, ALICE.user_id, no_mail=frozenset(), webhook_url=f"{receiver.url}/hook?a=b")
    assert secret
    job = ended_job(telling)
    notices.job_ended(telling, job.job_id)
    (post,) = receiver.posts
    assert post.said["kind"] == "ended"
    assert post.said["job"]["job_id"] == job.job_id
    assert post.said["job"]["status"] == "COMPLETED"
    stamp, signed = (part.partition("=")[2] for part in post.headers["GAS-Signature"].split(","))
    expected = hmac.new(secret.encode(), f"{stamp}.".encode() + post.body, hashlib.sha256).hexdigest()
    assert signed == expected


def test_secret_is_shown_once_and_can_be_made_anew(telling: Services, receiver: Receiver) -> None:
    """Saving the wishes again keeps the secret and does not show it; a new one is another; it goes with the webhook."""
    _, first = notices.wish(telling, ALICE.user_id, no_mail=frozenset(), webhook_url=receiver.url)
    wishes, shown = notices.wish(telling, ALICE.user_id, no_mail=frozenset(), webhook_url=receiver.url)
    assert shown is None
    assert wishes.webhook_secret == first
    assert first
    assert first not in repr(wishes)
    second = notices.renew_secret(telling, ALICE.user_id)
    assert telling.notices.person(ALICE.user_id).wishes.webhook_secret == second != first
    notices.wish(telling, ALICE.user_id, no_mail=frozenset(), webhook_url="")
    assert telling.notices.person(ALICE.user_id).wishes.webhook_secret == ""
    with pytest.raises(InputError, match="no webhook"):
        notices.renew_secret(telling, ALICE.user_id)


def test_channel_that_works_is_not_repeated(telling: Services, receiver: Receiver, outbox: Any, clock: Clock) -> None:
    """The letter arrived and the webhook failed: later only the webhook is tried, under the same id."""
    notices.wish(telling, ALICE.user_id, no_mail=frozenset(), webhook_url=receiver.url)
    receiver.answers = lambda _: 503
    job = ended_job(telling)
    notices.job_ended(telling, job.job_id)
    failure = telling.notices.person(ALICE.user_id).wishes.failure
    assert failure
    assert failure.sentence == "the webhook answered 503"
    receiver.answers = lambda _: 200
    clock.ahead_s += notices.FIRST_PAUSE_S + 1
    notices.deliver(telling)
    assert len(outbox()) == 1
    assert len({post.said["id"] for post in receiver.posts}) == 1
    assert len(receiver.posts) == 2
    assert waiting(telling) == set()
    assert telling.notices.person(ALICE.user_id).wishes.failure is None


def test_request_that_is_refused_keeps_no_other(telling: Services, receiver: Receiver) -> None:
    """A receiver that cannot take one request still gets the others."""
    notices.wish(telling, ALICE.user_id, no_mail=frozenset(), webhook_url=receiver.url)
    bad, good = ended_job(telling, error="no VCF"), ended_job(telling)
    receiver.answers = lambda post: 500 if post.said["job"]["job_id"] == bad.job_id else 200
    notices.deliver(telling)
    assert {post.said["job"]["job_id"] for post in receiver.posts} == {bad.job_id, good.job_id}
    assert "notices" not in record(telling, good.job_id)
    assert record(telling, bad.job_id)["notices"][0]["tries"] == 1


def test_receiver_that_is_down_is_asked_once(telling: Services, receiver: Receiver, outbox: Any) -> None:
    """Where nothing answers, one request is tried a run; the letter goes out all the same, another's webhook too."""
    notices.wish(telling, ALICE.user_id, no_mail=frozenset(), webhook_url="http://127.0.0.1:1/")
    notices.wish(telling, BOB.user_id, no_mail=frozenset(), webhook_url=receiver.url)
    jobs = [ended_job(telling) for _ in range(2)]
    ended_job(telling, user_id=BOB.user_id)
    notices.deliver(telling)
    assert len(outbox()) == 2
    assert len(receiver.posts) == 1
    assert [record(telling, job.job_id)["notices"][0]["tries"] for job in jobs] == [1, 1]


def test_job_waits_for_no_webhook_that_failed(telling: Services, receiver: Receiver) -> None:
    """What failed last is not tried by a job's own run again, but by the next of notify."""
    notices.wish(telling, ALICE.user_id, no_mail=frozenset(), webhook_url=receiver.url)
    receiver.answers = lambda _: 500
    notices.job_ended(telling, ended_job(telling).job_id)
    second = ended_job(telling)
    notices.job_ended(telling, second.job_id)
    assert len(receiver.posts) == 1
    assert waiting(telling) == {second.job_id}
    notices.deliver(telling)
    assert len(receiver.posts) == 2


def test_trial_says_what_works(telling: Services, receiver: Receiver, outbox: Any) -> None:
    """A test sends a letter and a request of its own kind, and says what went wrong with each."""
    assert notices.send_test(telling, ALICE.user_id) == notices.Trial(mail="", webhook=None)
    notices.wish(telling, ALICE.user_id, no_mail=frozenset(), webhook_url=receiver.url)
    assert notices.send_test(telling, ALICE.user_id) == notices.Trial(mail="", webhook="")
    receiver.answers = lambda _: 302
    with broken_mail(telling):
        trial = notices.send_test(telling, ALICE.user_id)
    assert trial.webhook == "the webhook answered 302"
    assert trial.mail
    assert [post.said["kind"] for post in receiver.posts] == ["test", "test"]  # no redirect was followed
    assert len(outbox()) == 2
