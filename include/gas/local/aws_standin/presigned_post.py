"""The checks S3 makes of a browser's presigned POST, which moto leaves out.

https://docs.aws.amazon.com/AmazonS3/latest/API/sigv4-HTTPPOSTConstructPolicy.html says what a policy may demand.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime

#: Form fields that a policy need not name.
_UNNAMED = frozenset({"x-amz-signature", "policy", "file", "bucket"})


@dataclass
class Refusal(Exception):
    """What S3 answers: HTTP status, error code and message."""

    status: int
    code: str
    message: str


def check_post(fields: Mapping[str, str], *, bucket: str, size_bytes: int, secret: str, now: datetime) -> None:
    """Check one POST as S3 does.

    :param fields: the form's fields but the file, by lower-case name.
    :param secret: the secret access key that signs.
    :raises Refusal: with S3's own status and code, if signature, expiry or a condition of the policy does not hold.
    """
    if "policy" not in fields or "x-amz-signature" not in fields:
        raise Refusal(403, "AccessDenied", "Access Denied")
    _check_signature(fields, secret)
    try:
        policy = json.loads(base64.b64decode(fields["policy"], validate=True))
        expires = datetime.fromisoformat(policy["expiration"].replace("Z", "+00:00"))
        conditions = policy["conditions"]
    except (binascii.Error, ValueError, KeyError, TypeError):
        raise Refusal(400, "InvalidPolicyDocument", "Invalid Policy: it cannot be read") from None
    if now.astimezone(UTC) >= expires:
        raise Refusal(403, "AccessDenied", "Invalid according to Policy: Policy expired.")
    given = {**fields, "bucket": bucket}
    named = set(_UNNAMED)
    for condition in conditions:
        named.add(_check_condition(condition, given, size_bytes))
    extra = sorted(
        name for name in given if name not in named and not name.startswith("x-ignore-") and name != "bucket"
    )
    if extra:
        raise Refusal(403, "AccessDenied", f"Invalid according to Policy: Extra input fields: {', '.join(extra)}")


def _check_signature(fields: Mapping[str, str], secret: str) -> None:
    try:
        _, day, region, service, terminator = fields["x-amz-credential"].split("/")
    except (KeyError, ValueError):
        raise Refusal(400, "InvalidArgument", "x-amz-credential is missing or malformed") from None
    key = f"AWS4{secret}".encode()
    for part in (day, region, service, terminator, fields["policy"]):
        key = hmac.digest(key, part.encode(), hashlib.sha256)
    if not hmac.compare_digest(key.hex(), fields["x-amz-signature"]):
        raise Refusal(403, "SignatureDoesNotMatch", "The request signature we calculated does not match")


def _check_condition(condition: object, given: Mapping[str, str], size_bytes: int) -> str:
    """Check one condition and return the lower-case name of the field it speaks of."""
    match condition:
        case ["content-length-range", int(least), int(most)]:
            if size_bytes < least:
                raise Refusal(400, "EntityTooSmall", "Your proposed upload is smaller than the minimum allowed size")
            if size_bytes > most:
                raise Refusal(400, "EntityTooLarge", "Your proposed upload exceeds the maximum allowed size")
            return "file"
        case ["starts-with", str(field), str(prefix)]:
            name = field.removeprefix("$").lower()
            if given.get(name, "").startswith(prefix):
                return name
        case ["eq", str(field), str(value)]:
            name = field.removeprefix("$").lower()
            if given.get(name) == value:
                return name
        case dict() if len(condition) == 1:
            [(field, value)] = condition.items()
            if given.get(field.lower()) == value:
                return str(field).lower()
    raise Refusal(403, "AccessDenied", f"Invalid according to Policy: Policy Condition failed: {json.dumps(condition)}")
