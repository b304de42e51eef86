"""S3's Glacier storage class as AWS has it, where moto 5.2 differs.

In moto a restore ignores the version and the tier, is never "in progress" when asked for again, and takes as long as
since when the object was made. Here it takes as long as the tier says, and the bucket's topic is told when it ended.
"""

from __future__ import annotations

import threading
import time
from typing import Any
from urllib.parse import parse_qs

import xmltodict
from moto.core.exceptions import ServiceException
from moto.s3 import models, notifications, responses
from moto.s3.exceptions import InvalidObjectState, MissingKey, MissingVersion, S3ClientError

from gas.local.aws_standin.gate import Gate
from gas.local.aws_standin.glacier import Waits

_POLL_S = 0.2
_COMPLETED = notifications.S3NotificationEvent.OBJECT_RESTORE_COMPLETED_EVENT

_restoring: list[Any] = []
"""Versions whose topic is to be told; a restart forgets them, and the message was only a hint."""


class _InProgress(S3ClientError):
    code = "RestoreAlreadyInProgress"
    status_code = 409

    def __init__(self) -> None:
        super().__init__("Object restore is already in progress")


def mend(waits: Waits) -> None:
    """Put these functions in moto's place."""
    original = responses.S3Response._key_response_post

    def key_response_post(response: Any, *args: Any, **more: Any) -> Any:
        query = parse_qs(response.parsed_url.query, keep_blank_values=True)
        if "restore" not in query:
            return original(response, *args, **more)
        return _restore(response, query.get("versionId", [None])[0], waits)

    setattr(responses.S3Response, "_key_response_post", key_response_post)  # noqa: B010 - to the type checker, an assignment is an error
    setattr(models.FakeKey, "status", property(_status, _set_status))  # noqa: B010 - the same


def publish_completions(gate: Gate, stopped: threading.Event) -> None:
    """Tell the buckets' topics which versions can be read now, until ``stopped``."""
    while not stopped.wait(_POLL_S):
        with gate.shared():
            for key in [key for key in list(_restoring) if _status(key) == "RESTORED"]:
                _restoring.remove(key)
                _publish(key)


def _publish(key: Any) -> None:
    try:
        bucket = models.s3_backends[key.account_id][key.partition].get_bucket(key.bucket_name)
        notifications.send_event(key.account_id, _COMPLETED, bucket, key=key)
    except (S3ClientError, ServiceException) as error:  # AWS too drops a message to what is gone
        print(f"the topic of {key.name} was not told: {error}", flush=True)


def _restore(response: Any, version_id: str | None, waits: Waits) -> tuple[int, dict[str, str], str]:
    key = response.backend.get_object(response.bucket_name, response.parse_key_name(), version_id=version_id)
    if key is None:
        raise MissingVersion() if version_id else MissingKey(key=response.parse_key_name())
    if key.storage_class not in ("GLACIER", "DEEP_ARCHIVE"):
        raise InvalidObjectState(storage_class=key.storage_class)
    there = _status(key)
    if there == "IN_PROGRESS":
        raise _InProgress
    asked = xmltodict.parse(response.body)["RestoreRequest"]
    tier = (asked.get("GlacierJobParameters") or {}).get("Tier") or "Standard"
    if there is None:
        wait_s = waits.expedited_s if tier == "Expedited" else waits.standard_s
        key.__dict__["ready_at"] = time.time() + wait_s
        _restoring.append(key)
    key.restore(int(asked["Days"]))
    return (202 if there is None else 200), {}, ""


def _status(key: Any) -> str | None:
    ready_at = key.__dict__.get("ready_at")
    if ready_at is None:
        return None
    return "RESTORED" if time.time() >= ready_at else "IN_PROGRESS"


def _set_status(key: Any, value: str | None) -> None:
    """moto sets it to nothing when an object is made."""
