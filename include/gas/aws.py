"""The AWS clients, each made once, when it is first used.

A worker that only reads one object must not pay for the models of five services, and a web server's threads must not
make clients at the same time: boto3 sessions are not safe for that.

Reading and parsing the services' models is what making a client costs (70 ms for DynamoDB, 35 ms for S3; 3 ms each
once they are parsed), so one loader keeps them for the whole process, and for the processes forked from it.
"""

from __future__ import annotations

import functools
import threading
from typing import TYPE_CHECKING, Any, cast

import boto3
from botocore.config import Config
from botocore.loaders import Loader, create_loader

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient
    from mypy_boto3_s3 import S3Client
    from mypy_boto3_sns import SNSClient
    from mypy_boto3_sqs import SQSClient


@functools.cache
def _models() -> Loader:
    return create_loader()


def warm_models(region: str) -> None:
    """Parse the models of the services that a job needs, so that forks of this process find them parsed.

    Clients are made with placeholder credentials and thrown away; nothing is sent.
    """
    placeholder = boto3.Session(aws_access_key_id="-", aws_secret_access_key="-", region_name=region)  # noqa: S106 - a placeholder, never sent
    aws = Aws(region=region, session=placeholder)
    for client in (aws.dynamodb, aws.s3, aws.sns, aws.ses):
        client.close()


class Aws:
    """Lazily made clients of one session.

    :param region: used when no ``session`` is given.
    :param session: where credentials come from; boto3's own chain when ``None``.
    :param endpoint_url: of an AWS stand-in; ``None`` for AWS itself (or boto3's ``AWS_ENDPOINT_URL``).
    """

    def __init__(self, *, region: str, session: boto3.Session | None = None, endpoint_url: str | None = None) -> None:
        self._region = region
        self._session = session
        self._endpoint_url = endpoint_url
        self._clients: dict[str, Any] = {}
        self._lock = threading.Lock()

    @property
    def region(self) -> str:
        """The region that the clients speak to."""
        return (self._session.region_name if self._session else None) or self._region

    @property
    def dynamodb(self) -> DynamoDBClient:
        """The record of jobs and profiles."""
        return cast("DynamoDBClient", self._client("dynamodb"))

    @property
    def s3(self) -> S3Client:
        """Inputs and results."""
        return cast("S3Client", self._client("s3"))

    @property
    def sns(self) -> SNSClient:
        """The topics that tell the outside world."""
        return cast("SNSClient", self._client("sns"))

    @property
    def sqs(self) -> SQSClient:
        """The queues subscribed to them."""
        return cast("SQSClient", self._client("sqs"))

    @property
    def ses(self) -> Any:
        """Mail."""
        return self._client("ses")

    @property
    def glacier(self) -> Any:
        """Vaults, where there is one."""
        return self._client("glacier")

    @property
    def sts(self) -> Any:
        """Whose account this is."""
        return self._client("sts")

    def _client(self, service: str) -> Any:
        with self._lock:
            if service not in self._clients:
                if self._session is None:
                    self._session = boto3.Session(region_name=self._region)
                # boto3 has no public way to its botocore session; register_component itself is public there.
                self._session._session.register_component("data_loader", _models())
                self._clients[service] = self._session.client(
                    cast("Any", service),  # the stubs overload this on literal names
                    region_name=self.region,
                    endpoint_url=self._endpoint_url,
                    config=self._config(service),
                )
            return self._clients[service]

    def _config(self, service: str) -> Config:
        config = Config(
            retries={"mode": "standard", "total_max_attempts": 4},
            connect_timeout=5,
            read_timeout=60,
            max_pool_connections=16,
            tcp_keepalive=True,
        )
        if service == "ses":  # whoever sends mail has other work waiting, and tries again later
            config = config.merge(Config(connect_timeout=3, read_timeout=10, retries={"total_max_attempts": 2}))
        if service == "s3":
            # A stand-in on a bare host name has no DNS for bucket names; presigned links need version 4 signatures.
            signed = Config(signature_version="s3v4")
            if self._endpoint_url:
                signed = signed.merge(Config(s3={"addressing_style": "path"}))
            config = config.merge(signed)
        return config
