"""One family of errors, each with a sentence for the person who sees it.

The edges translate once: the web app to an HTTP status, a DAG task to an Airflow exception, the command line to an
exit code. Nothing inside ``gas`` raises an HTTP or an Airflow exception.
"""

from __future__ import annotations


class GasError(Exception):
    """Root of every error GAS raises on purpose. ``str(error)`` says what happened and what to do.

    ``kind`` is a stable word for programs; ``exit_code`` is what the command line ends with.
    """

    kind = "error"
    exit_code = 1
    retry_after_s: int | None = None
    """In how many seconds trying again may help, where that is known."""


class SettingsError(GasError):
    """A setting is missing or bad; names the environment variable."""

    kind = "settings"


class InputError(GasError):
    """The person's input cannot be annotated as it is. Trying again without changing it is pointless.

    ``line`` is the 1-based line of the file that the sentence speaks of, where there is one.
    """

    kind = "input"
    exit_code = 2

    def __init__(self, message: str, *, line: int | None = None) -> None:
        super().__init__(message if line is None else f"line {line:,}: {message}")
        self.line = line


class ReferenceProblem(GasError):
    """A reference genome is unknown, or cannot be installed as given."""

    kind = "reference"
    exit_code = 2


class EngineError(GasError):
    """The annotation engine failed on input that passed the check: a crash, a limit reached, a full disk."""

    kind = "engine"


class NotFound(GasError):
    """There is no such record, or it belongs to somebody else: the two are never told apart."""

    kind = "not-found"
    exit_code = 4


class Conflict(GasError):
    """The record is no longer in the state that the caller read."""

    kind = "conflict"


class Fenced(Conflict):
    """Another attempt has taken the job over; this one must undo what it made and stop."""

    kind = "fenced"


class Archived(Conflict):
    """The file is in the archive, or on its way back; the sentence says what brings it back, or when to look again."""

    kind = "archived"


class UploadTooLarge(GasError):
    """The stored object is larger than the person's plan allows."""

    kind = "upload-too-large"
    exit_code = 2


class NotAllowed(GasError):
    """The caller is not signed in, or the token does not carry the scope."""

    kind = "not-allowed"
    exit_code = 3


class Unavailable(GasError):
    """Something GAS depends on (AWS, Airflow, Globus, the server) does not answer; trying again later may help."""

    kind = "unavailable"
    exit_code = 5


class TooManyRequests(Unavailable):
    """The caller has asked too often; nothing was done, and ``retry_after_s`` says when to ask again."""

    kind = "too-many-requests"


class Damaged(GasError):
    """A file that arrived differs from what the record says of it; nothing of it was kept."""

    kind = "damaged"


class NoSpace(GasError):
    """A disk has no room for what is to be written; what was there before is untouched."""

    kind = "no-space"


class JobFailed(GasError):
    """A job that was waited for ended without a result."""

    kind = "job-failed"
    exit_code = 6
