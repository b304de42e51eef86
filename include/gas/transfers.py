"""Files over presigned links, streamed: up by a POST form, down by a GET that resumes where it broke off.

Memory does not grow with the file. The storage is S3 or its stand-in; a link is all the authority there is.
"""

from __future__ import annotations

import hashlib
import io
import os
import random
import re
import time
from collections.abc import Callable, Mapping
from http import HTTPStatus
from pathlib import Path
from typing import BinaryIO
from urllib.parse import urlsplit

import httpx

from gas.errors import InputError, Unavailable, UploadTooLarge

#: Called with the bytes done so far and the bytes in all (0 while unknown).
ByteProgress = Callable[[int, int], None]

ATTEMPTS = 5
"""How often a repeatable exchange is tried in all; the waits between add up to about 3 s."""

TIMEOUT = httpx.Timeout(60.0, connect=10.0)

#: Answers after which the same request may succeed.
TRANSIENT = frozenset(
    {
        HTTPStatus.TOO_MANY_REQUESTS,
        HTTPStatus.BAD_GATEWAY,
        HTTPStatus.SERVICE_UNAVAILABLE,
        HTTPStatus.GATEWAY_TIMEOUT,
    }
)

_S3_ERROR_CODE = re.compile(r"<Code>(\w+)</Code>")


def storage_client() -> httpx.Client:
    """A client for presigned links.

    It never carries a token: S3 refuses a link that comes with an Authorization header, and the token is GAS's alone.
    """
    return httpx.Client(timeout=TIMEOUT, headers={"Accept-Encoding": "identity"})


def upload(
    storage: httpx.Client,
    path: Path,
    *,
    url: str,
    fields: Mapping[str, str],
    max_bytes: int,
    on_progress: ByteProgress | None = None,
) -> None:
    """Send a file to a presigned POST. Repeated when it breaks off: the last version of the key is the one that counts.

    :param max_bytes: what the form allows, for the sentence of a refusal.
    :raises UploadTooLarge: the storage refuses the file's size.
    :raises InputError: the file changed meanwhile.
    :raises Unavailable: it broke off each time, or the storage refused.
    """
    for tried in range(1, ATTEMPTS + 1):
        again = tried < ATTEMPTS
        try:
            with _CountedFile(path, on_progress) as stream:
                # "input": what the person calls the file reaches neither a key nor a header of the storage.
                response = storage.post(url, data=dict(fields), files={"file": ("input", stream)})
        except httpx.LocalProtocolError as error:
            raise InputError(f"{path} changed while it was uploaded; submit it again") from error
        except httpx.TransportError as error:
            if again:
                back_off(tried)
                continue
            raise Unavailable(f"the upload to {_host(url)} broke off ({error}); submit again") from error
        if response.is_success:
            return
        if again and (response.status_code in TRANSIENT or response.status_code == HTTPStatus.INTERNAL_SERVER_ERROR):
            back_off(tried, response.headers.get("Retry-After"))
            continue
        match = _S3_ERROR_CODE.search(response.text)
        code = match[1] if match else f"status {response.status_code}"
        if code == "EntityTooLarge":
            raise UploadTooLarge(f"{path.name} is larger than the {max_bytes:,} bytes that the plan allows")
        raise Unavailable(f"the storage at {_host(url)} refused the upload ({code}); submit again")


def fetch(
    storage: httpx.Client, link: Callable[[], str], stream: BinaryIO, *, on_progress: ByteProgress | None = None
) -> tuple[int, str]:
    """Write what a link leads to into a new file's stream.

    :param link: makes a fresh link to the same bytes, for each attempt: links expire.
    :returns: the number of bytes, and their SHA-256 in hex.
    :raises Unavailable: it broke off each time, or the storage refused.
    """
    digest = hashlib.sha256()
    done = 0
    for tried in range(1, ATTEMPTS + 1):
        again = tried < ATTEMPTS
        url = link()
        headers = {"Range": f"bytes={done}-"} if done else {}
        try:
            with storage.stream("GET", url, headers=headers) as response:
                if again and response.status_code in TRANSIENT:
                    back_off(tried, response.headers.get("Retry-After"))
                    continue
                if response.status_code not in (HTTPStatus.OK, HTTPStatus.PARTIAL_CONTENT):
                    raise Unavailable(
                        f"the storage at {_host(url)} refused the download (status {response.status_code}); try again"
                    )
                if done and response.status_code == HTTPStatus.OK:
                    # The storage knows no ranges, and sends the file from its beginning.
                    digest, done = hashlib.sha256(), 0
                    stream.seek(0)
                    stream.truncate()
                total = done + int(response.headers.get("Content-Length", 0))
                # As it comes in: what is gathered into larger pieces first is lost when the connection breaks.
                for chunk in response.iter_raw():
                    stream.write(chunk)
                    digest.update(chunk)
                    done += len(chunk)
                    if on_progress is not None:
                        on_progress(done, total)
        except httpx.TransportError as error:
            if again:
                back_off(tried)
                continue
            raise Unavailable(f"the download from {_host(url)} broke off ({error}); try again") from error
        break
    return done, digest.hexdigest()


def back_off(tried: int, retry_after: str | None = None) -> None:
    """Pause after so many attempts, longer each time, and never in step with other clients.

    :param retry_after: the server's own wish, in seconds, where it gave one.
    """
    pause_s = min(4.0, 0.1 * 2**tried)
    if retry_after is not None and retry_after.isdigit():
        pause_s = min(30.0, float(retry_after))
    time.sleep(pause_s * random.uniform(0.75, 1.25))  # noqa: S311 - spreads retries, decides no secret


class _CountedFile(io.FileIO):
    """A file that tells how much of it has been read."""

    def __init__(self, path: Path, on_read: ByteProgress | None) -> None:
        super().__init__(path, "rb")
        self._total = os.fstat(self.fileno()).st_size
        self._on_read = on_read

    def read(self, size: int | None = -1, /) -> bytes:
        chunk = super().read(-1 if size is None else size)
        if self._on_read is not None:
            self._on_read(self.tell(), self._total)
        return chunk


def _host(url: str) -> str:
    return urlsplit(url).netloc
