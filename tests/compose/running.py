"""The services of ``docker-compose.yaml``, running without Docker, and GAS's own as seen from there."""

from __future__ import annotations

import ssl
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType

import boto3
import psycopg2

from gas.services import Services, build
from gas.settings import Settings
from tests.compose.configured import model, secrets
from tests.compose.topology import Container, Topology, shim_wget
from tests.conftest import free_ports


@dataclass(frozen=True, kw_only=True)
class Running:
    """A running topology, by the addresses that people and programs know."""

    topology: Topology
    web_url: str
    globus_url: str
    authority: Path
    """The certificate of the reverse proxy's own authority."""

    @property
    def trust(self) -> ssl.SSLContext:
        """Takes the proxy for who it is."""
        return ssl.create_default_context(cafile=self.authority)

    def services(self, *, now: Callable[[], float] = time.time) -> Services:
        """GAS's services, as a worker has them."""
        environment = self.topology.environment(self.topology.of("worker")[0])
        session = boto3.Session(
            aws_access_key_id=environment["AWS_ACCESS_KEY_ID"],
            aws_secret_access_key=environment["AWS_SECRET_ACCESS_KEY"],
            region_name=environment["AWS_DEFAULT_REGION"],
        )
        endpoint = environment["AWS_ENDPOINT_URL"]
        return build(Settings.of(environment), session=session, endpoint_url=endpoint, now=now)

    def busy(self, service: str) -> Container | None:
        """One of this service's replicas that has something in hand: a task that runs or a wait that it watches.

        Airflow's database says which.
        """
        with self._database() as cursor:
            cursor.execute(_BUSY[service])
            hosts = {host for (host,) in cursor.fetchall()}
        return next((c for c in self.topology.of(service) if c.name in hosts and not c.killed), None)

    @contextmanager
    def _database(self) -> Iterator[psycopg2.extensions.cursor]:
        environment = self.topology.environment(self.topology.of("scheduler")[0])
        url = environment["AIRFLOW__DATABASE__SQL_ALCHEMY_CONN"].replace("postgresql+psycopg2:", "postgresql:")
        with closing(psycopg2.connect(url)) as connection, connection.cursor() as cursor:
            yield cursor


#: The hosts on which the busy ones of a service are.
_BUSY = {
    "worker": "SELECT hostname FROM task_instance WHERE state = 'running'",
    "scheduler": "SELECT job.hostname FROM task_instance JOIN job ON job.id = queued_by_job_id"
    " WHERE task_instance.state IN ('queued', 'running')",
    "triggerer": "SELECT job.hostname FROM trigger JOIN job ON job.id = triggerer_id",
}


@contextmanager
def running(folder: Path, *, replicas: Mapping[str, int] = MappingProxyType({}), **settings: str) -> Iterator[Running]:
    """Everything that the file describes, with the stand-ins, healthy.

    :param folder: an empty one, for all that the containers write.
    :param replicas: of services, where there are to be more or fewer than the file says.
    :param settings: lines of the ``.env``.
    :raises NotStarted: when a service cannot be started.
    """
    first = free_ports(3)
    variables = {
        **secrets(),
        "GAS_WEB_URL": f"https://localhost:{first}",
        "GAS_AIRFLOW_PUBLIC_URL": f"https://localhost:{first + 1}",
        "GAS_HTTPS_PORT": str(first),
        "GAS_HTTP_PORT": str(first + 2),
        **settings,
    }
    services = model(variables, folder=folder, dev=True)["services"]
    for service, count in replicas.items():
        services[service]["deploy"]["replicas"] = count
    topology = Topology(services, folder)
    shim_wget(folder / "shims")
    authority = folder / "volumes" / "certificates" / "caddy" / "pki" / "authorities" / "local" / "root.crt"
    try:
        topology.up()
        globus_url = topology.environment(topology.of("web")[0])["GLOBUS_SDK_SERVICE_URL_AUTH"].rstrip("/")
        yield Running(topology=topology, web_url=variables["GAS_WEB_URL"], globus_url=globus_url, authority=authority)
    finally:
        topology.down()
