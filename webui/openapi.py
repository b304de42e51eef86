"""The parts of the OpenAPI description that several calls share."""

from __future__ import annotations

from typing import Any

from gas.comparison import Change
from gas.job import JOB_ID as JOB_ID_PATTERN
from gas.job import JobStatus, StorageState
from gas.notice import Kind
from gas.webhooks import URL_CHARACTERS

_TEXT: dict[str, Any] = {"type": "string"}
_MAYBE_TEXT: dict[str, Any] = {"type": "string", "nullable": True}
_TIME: dict[str, Any] = {"type": "string", "format": "date-time", "nullable": True}
_SIZE: dict[str, Any] = {"type": "integer", "minimum": 0}
_JOB_ID: dict[str, Any] = {"type": "string", "pattern": JOB_ID_PATTERN.pattern}


def _object(**properties: dict[str, Any]) -> dict[str, Any]:
    """The schema of an object all of whose properties are always there."""
    return {"type": "object", "required": list(properties), "properties": properties}


def _list_of(name: str) -> dict[str, Any]:
    return {"type": "array", "items": {"$ref": f"#/components/schemas/{name}"}}


_DAYS = {"type": "integer", "minimum": 1, "maximum": 365, "default": 7, "description": "How long it is good"}

_ACCOUNT: dict[str, dict[str, Any]] = {
    "user_id": _TEXT,
    "name": _TEXT,
    "email": _TEXT,
    "tier": {"type": "string", "enum": ["free", "premium"]},
    "upload_limit_bytes": _SIZE,
}
_API_TOKEN: dict[str, dict[str, Any]] = {
    "id": _SIZE,
    "name": _TEXT,
    "scopes": {"type": "array", "items": {"type": "string", "enum": ["read", "jobs", "account"]}},
    "created_at": _TIME,
    "expires_at": _TIME,
    "last_used_at": {**_TIME, "description": "About when, to the minute; null if never"},
}

_NOTICES: dict[str, dict[str, Any]] = {
    "email": {**_MAYBE_TEXT, "description": "Where mail goes; null where there can be none"},
    "mail": {"$ref": "#/components/schemas/ByMail"},
    "webhook_url": _MAYBE_TEXT,
    "failure": {"nullable": True, "allOf": [{"$ref": "#/components/schemas/NoticeFailure"}]},
}

JOB_ID = {"required": True, "schema": _JOB_ID, "description": "The job's id"}

PARAMETERS: dict[str, dict[str, Any]] = {
    "IdempotencyKey": {
        "name": "Idempotency-Key",
        "in": "header",
        "schema": {"type": "string", "minLength": 1, "maxLength": 255, "pattern": r"^[!#-~]+$"},
        "description": "A random value of the caller's. For 24 hours the same request with the same key makes nothing "
        "new and gets the first answer again (with Idempotency-Replayed: true); while the first is worked on it gets "
        "409, and another request with the same key gets 422.",
    },
}

SCHEMAS: dict[str, dict[str, Any]] = {
    "Account": _object(**_ACCOUNT),
    "EndingAccount": _object(**_ACCOUNT, premium_until=_TIME),
    "Checkout": _object(checkout_url={"type": "string", "format": "uri"}),
    "LinkedIdentity": _object(sub=_TEXT, username=_TEXT, email=_TEXT, organization=_TEXT, provider=_TEXT),
    "Me": _object(
        **_ACCOUNT,
        institution={**_TEXT, "description": "As Globus tells it; empty where it does not"},
        joined_at=_TIME,
        identities={**_list_of("LinkedIdentity"), "description": "As Globus told at the last sign-in by a browser"},
    ),
    "Usage": _object(
        month={**_TEXT, "pattern": "^[0-9]{4}-[0-9]{2}$", "description": "In UTC"},
        jobs=_SIZE,
        completed=_SIZE,
        jobs_at_least={"type": "boolean", "description": "Whether there are more jobs than were counted"},
        variants={**_SIZE, "description": "In the jobs that completed"},
        uploaded_bytes=_SIZE,
        sums_at_least={"type": "boolean", "description": "Whether variants and bytes are of the newest jobs alone"},
    ),
    "Contig": _object(name=_TEXT, length=_SIZE),
    "Source": _object(name=_TEXT, version=_TEXT, date=_TEXT),
    "Reference": _object(
        name=_TEXT,
        description=_TEXT,
        contigs=_list_of("Contig"),
        sources=_list_of("Source"),
        default={"type": "boolean"},
    ),
    "References": _object(references=_list_of("Reference")),
    "NewUpload": _object(file_name=_TEXT, size_bytes=_SIZE, reference=_TEXT),
    "Upload": _object(
        job_id=_JOB_ID,
        url=_TEXT,
        fields={"type": "object", "additionalProperties": {"type": "string"}},
        max_bytes=_SIZE,
        expires_in_s=_SIZE,
    ),
    "NewJob": _object(job_id=_JOB_ID, file_name=_TEXT, reference=_TEXT),
    "Rerun": {
        "type": "object",
        "properties": {
            "job_id": {**_JOB_ID, "description": "Of the new job; one is made where it is left out"},
            "reference": {**_TEXT, "description": "The one of the job where it is left out"},
        },
    },
    "Changes": _object(
        job_id=_JOB_ID,
        previous_job_id={**_JOB_ID, "nullable": True, "description": "Of the earlier result"},
        why_not={**_MAYBE_TEXT, "description": "Why no variants are named, where none can be"},
        counts={
            "nullable": True,
            "allOf": [{"$ref": "#/components/schemas/ChangeCounts"}],
            "description": "Variants by what became of their clinical significance and most severe consequence",
        },
        differences=_list_of("Difference"),
        more={**_SIZE, "description": "How many further variants differ"},
    ),
    "ChangeCounts": _object(
        significance={"type": "object", "additionalProperties": _SIZE},
        consequence={"type": "object", "additionalProperties": _SIZE},
    ),
    "Difference": _object(
        chrom=_TEXT,
        pos=_SIZE,
        ref=_TEXT,
        alt=_TEXT,
        significance={"type": "string", "nullable": True, "enum": [*(change.value for change in Change), None]},
        consequence={"type": "string", "nullable": True, "enum": [*(change.value for change in Change), None]},
        before={"$ref": "#/components/schemas/AnnotatedAs"},
        after={"$ref": "#/components/schemas/AnnotatedAs"},
    ),
    "AnnotatedAs": _object(
        significance=_MAYBE_TEXT, consequence=_MAYBE_TEXT, gene=_MAYBE_TEXT, protein_change=_MAYBE_TEXT
    ),
    "Forecast": _object(
        ahead={**_SIZE, "nullable": True, "description": "How many jobs wait before it; null once it has begun"},
        ahead_at_least={"type": "boolean", "description": "Whether there may be more of them"},
        begins_in_s={**_SIZE, "nullable": True, "description": "Until its turn, if those are like recent jobs"},
        usual_s={
            "type": "array",
            "items": _SIZE,
            "nullable": True,
            "description": "What a quick and a slow one of the recent jobs took",
        },
        left_s={**_SIZE, "nullable": True, "description": "Until it is done, at its pace so far"},
        sentence={**_TEXT, "description": "All of it for a person"},
    ),
    "NewName": _object(file_name=_TEXT),
    "JobStatus": {"type": "string", "enum": [status.value for status in JobStatus]},
    "Progress": _object(stage=_TEXT, done=_SIZE, total=_SIZE),
    "OutputFile": _object(
        size_bytes=_SIZE,
        sha256=_TEXT,
        file_name=_TEXT,
        available={
            "type": "boolean",
            "description": "Whether it can be downloaded now, not in the archive",
        },
    ),
    "Storage": _object(
        state={"type": "string", "enum": [state.value for state in StorageState if state is not StorageState.DELETING]},
        not_before={**_TIME, "description": "When the result moves to the archive at the earliest, where it does"},
        archive_time=_TIME,
        restore_time={**_TIME, "description": "When its way back from the archive began"},
        retrieval_tier={**_MAYBE_TEXT, "description": "How the archive was asked for it: Expedited or Standard"},
        expected_by={**_TIME, "description": "When the archive means to have retrieved it"},
        error={**_MAYBE_TEXT, "description": "What the operator of the server has to look at"},
    ),
    "Job": _object(
        job_id=_JOB_ID,
        file_name=_TEXT,
        reference=_TEXT,
        status={"$ref": "#/components/schemas/JobStatus"},
        submit_time=_TIME,
        start_time=_TIME,
        complete_time=_TIME,
        progress={"nullable": True, "allOf": [{"$ref": "#/components/schemas/Progress"}]},
        counts={"type": "object"},
        notes={"type": "array", "items": {"type": "string"}},
        error=_MAYBE_TEXT,
        error_kind=_MAYBE_TEXT,
        outputs={"type": "object", "additionalProperties": {"$ref": "#/components/schemas/OutputFile"}},
        storage={"nullable": True, "allOf": [{"$ref": "#/components/schemas/Storage"}]},
        reannotates={"nullable": True, "allOf": [{"$ref": "#/components/schemas/Reannotates"}]},
    ),
    "Reannotates": _object(
        job_id={**_JOB_ID, "description": "Of the earlier result that this one is compared with"},
        changes={"type": "object", "nullable": True, "description": "Variants by what changed, or why_not"},
    ),
    "Jobs": _object(jobs=_list_of("Job"), next_cursor=_MAYBE_TEXT),
    "NewShareLink": {"type": "object", "properties": {"days": _DAYS}},
    "ShareLink": _object(id=_SIZE, created_at=_TIME, expires_at=_TIME),
    "ShareLinks": _object(links=_list_of("ShareLink")),
    "SharedResult": _object(
        file_name=_TEXT,
        reference=_TEXT,
        submit_time=_TIME,
        complete_time=_TIME,
        counts={"type": "object"},
        notes={"type": "array", "items": {"type": "string"}},
        outputs={"type": "object", "additionalProperties": {"$ref": "#/components/schemas/OutputFile"}},
        storage={"nullable": True, "allOf": [{"$ref": "#/components/schemas/Storage"}]},
        downloads={"type": "object", "additionalProperties": _TEXT},
        expires_at=_TIME,
    ),
    "MadeShareLink": _object(id=_SIZE, created_at=_TIME, expires_at=_TIME, url=_TEXT),
    "ByMail": {
        "type": "object",
        "required": ["ended", "archive", "restored"],  # who does not know of a later kind leaves it out
        "properties": {kind.value: {"type": "boolean"} for kind in Kind},
    },
    "NewNotices": _object(
        mail={"$ref": "#/components/schemas/ByMail"},
        webhook_url={**_MAYBE_TEXT, "maxLength": URL_CHARACTERS, "description": "null for no webhook"},
    ),
    "Notices": _object(**_NOTICES),
    "ChangedNotices": _object(
        **_NOTICES, webhook_secret={**_MAYBE_TEXT, "description": "Where it is new: told this once"}
    ),
    "NoticesTest": _object(
        mail={"nullable": True, "allOf": [{"$ref": "#/components/schemas/Sent"}]},
        webhook={"nullable": True, "allOf": [{"$ref": "#/components/schemas/Sent"}]},
    ),
    "Sent": _object(sent={"type": "boolean"}, detail={**_TEXT, "description": "What went wrong, if anything"}),
    "NoticeFailure": _object(time=_TIME, channel={"type": "string", "enum": ["mail", "webhook"]}, sentence=_TEXT),
    "WebhookSecret": _object(webhook_secret=_TEXT),
    "CodeExchange": _object(code=_TEXT, code_verifier=_TEXT, redirect_uri=_TEXT),
    "NewApiToken": {
        "type": "object",
        "required": ["name", "scope"],
        "properties": {
            "name": {"type": "string", "minLength": 1, "maxLength": 100},
            "scope": {"type": "string", "enum": ["read", "jobs"]},
            "expires_in_days": {"type": "integer", "enum": [7, 30, 90, 365], "default": 90},
        },
    },
    "ApiToken": _object(**_API_TOKEN),
    "ApiTokens": _object(tokens=_list_of("ApiToken")),
    "MadeApiToken": _object(**_API_TOKEN, token=_TEXT),
    "Token": _object(access_token=_TEXT, token_type=_TEXT, expires_in=_SIZE, scope=_TEXT),
    "Problem": _object(type=_TEXT, title=_TEXT, status={"type": "integer"}, detail=_TEXT, kind=_TEXT),
}

RESPONSES: dict[str, dict[str, Any]] = {
    name: {
        "description": description,
        "content": {"application/problem+json": {"schema": {"$ref": "#/components/schemas/Problem"}}},
    }
    for name, description in {
        "BadRequest": "The body is not a JSON object, or a browser's write lacks its CSRF token",
        "Unauthorized": "Nobody is signed in, or the token is unknown, expired or revoked",
        "Forbidden": "The caller may not do this",
        "NotFound": "There is no such thing, or it belongs to somebody else",
        "Archived": "The file is in the archive, or on its way back; detail says what brings it back",
        "Conflict": "The record is no longer in the state that this needs",
        "TooLarge": "The file is larger than the plan allows",
        "Unprocessable": "The input cannot be used; detail says why",
        "NoSuchPart": "The file has no such part",
        "TooManyRequests": "The caller has asked too often; nothing was done",
        "Unavailable": "Something this server depends on does not answer; try again later",
    }.items()
}

RESPONSES["TooManyRequests"]["headers"] = {
    name: {"schema": {"type": "integer"}, "description": description}
    for name, description in {
        "Retry-After": "Seconds to wait before calling again",
        "RateLimit-Limit": "Calls that one person may make in a window; each answer of the API has these headers",
        "RateLimit-Remaining": "Calls that are left in it",
        "RateLimit-Reset": "Seconds until there are more",
    }.items()
}

SECURITY: dict[str, dict[str, Any]] = {
    "bearer": {
        "type": "http",
        "scheme": "bearer",
        "description": "A GAS token (gas login makes one), or a Globus access token that carries this server's scope",
    },
    "cookie": {"type": "apiKey", "in": "cookie", "name": "gas_session"},
}
