"""Where the local stack keeps its things: folders, ports, addresses and secrets."""

from __future__ import annotations

import base64
import dataclasses
import hashlib
import json
import os
import secrets
import stat
import tempfile
import uuid
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from gas.errors import GasError, SettingsError

DEFAULT_PORT = 8800

#: The longest path a unix socket may have is 107 bytes on Linux and 103 on macOS.
_SOCKET_PATH_BYTES = 100
_LONGEST_SOCKET_NAME = ".s.PGSQL.5432.lock"


class StackError(GasError):
    """The local stack cannot be started or stopped as asked; says why and what to do."""

    kind = "stack"


def write_private(path: Path, text: str) -> None:
    """Write a file that its owner alone can read, whole or not at all."""
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")  # 0600 from the start
    with os.fdopen(handle, "w") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    Path(name).replace(path)


@dataclass(frozen=True, kw_only=True)
class Secrets:
    """What this stack alone knows: made at random on its first start and kept in its state folder."""

    stack_id: str
    aws_access_key_id: str
    aws_secret_access_key: str
    postgres_password: str
    airflow_admin_password: str
    airflow_service_password: str
    airflow_fernet_key: str
    airflow_jwt_secret: str
    airflow_secret_key: str
    web_secret_key: str
    globus_client_id: str
    globus_client_secret: str
    globus_script_id: str
    globus_script_secret: str

    @classmethod
    def random(cls) -> Self:
        """Make a fresh set."""
        return cls(
            stack_id=uuid.uuid4().hex,
            aws_access_key_id=f"GAS{secrets.token_hex(8).upper()}",
            aws_secret_access_key=secrets.token_urlsafe(30),
            postgres_password=secrets.token_urlsafe(24),
            airflow_admin_password=secrets.token_urlsafe(12),
            airflow_service_password=secrets.token_urlsafe(24),
            airflow_fernet_key=base64.urlsafe_b64encode(secrets.token_bytes(32)).decode(),
            airflow_jwt_secret=secrets.token_urlsafe(48),
            airflow_secret_key=secrets.token_urlsafe(32),
            web_secret_key=secrets.token_urlsafe(32),
            globus_client_id=str(uuid.uuid4()),
            globus_client_secret=secrets.token_urlsafe(32),
            globus_script_id=str(uuid.uuid4()),
            globus_script_secret=secrets.token_urlsafe(32),
        )

    @classmethod
    def of(cls, file: Path) -> Self:
        """Read ``file``, or make it."""
        if not file.exists():
            write_private(file, json.dumps(dataclasses.asdict(cls.random()), indent=1))
        return cls(**json.loads(file.read_text()))


@dataclass(frozen=True, kw_only=True)
class Layout:
    """One stack: its checkout, its state folder, its ports and its secrets."""

    checkout: Path
    state: Path
    base_port: int
    secrets: Secrets

    @classmethod
    def of(cls, *, state: Path, base_port: int) -> Self:
        """Lay out the stack of a state folder, making the folder and its secrets where they are missing.

        :raises SettingsError: if the base port leaves no room for the others.
        :raises StackError: if GAS does not run from a checkout, where DAGs and plugins lie.
        """
        if not 1024 <= base_port <= 65500:
            raise SettingsError(f"GAS_PORT: {base_port} is not between 1024 and 65500")
        checkout = Path(__file__).resolve().parents[3]
        if not (checkout / "dags").is_dir():
            raise StackError("the local stack runs from a checkout of GAS, where the dags folder lies")
        state = state.absolute()
        state.mkdir(mode=0o700, parents=True, exist_ok=True)
        for folder in ("log", "aws", "airflow", "references"):
            (state / folder).mkdir(exist_ok=True)
        return cls(checkout=checkout, state=state, base_port=base_port, secrets=Secrets.of(state / "secrets.json"))

    # Ports and addresses. The browser's host is "localhost"; programs use the address, so that S3 gets path-style URLs.
    @property
    def web_url(self) -> str:
        return f"http://localhost:{self.base_port}"

    @property
    def airflow_port(self) -> int:
        return self.base_port + 1

    @property
    def airflow_url(self) -> str:
        return f"http://localhost:{self.airflow_port}"

    @property
    def aws_port(self) -> int:
        return self.base_port + 2

    @property
    def aws_url(self) -> str:
        return f"http://127.0.0.1:{self.aws_port}"

    @property
    def outbox_url(self) -> str:
        """The page of the mail that was sent."""
        return f"{self.aws_url}/outbox"

    @property
    def globus_port(self) -> int:
        return self.base_port + 3

    @property
    def globus_url(self) -> str:
        return f"http://localhost:{self.globus_port}"

    # Files and folders.
    @property
    def postgres_data(self) -> Path:
        return self.state / "postgres"

    @property
    def airflow_home(self) -> Path:
        return self.state / "airflow"

    @property
    def references(self) -> Path:
        return self.state / "references"

    @property
    def log(self) -> Path:
        return self.state / "log"

    @property
    def sockets(self) -> Path:
        """The folder of unix sockets: in the state folder, or a short one of its own where that path is too long.

        :raises StackError: if the short folder belongs to somebody else.
        """
        folder = self.state / "run"
        if len(os.fsencode(folder / _LONGEST_SOCKET_NAME)) > _SOCKET_PATH_BYTES:
            name = hashlib.sha256(os.fsencode(self.state)).hexdigest()[:16]
            folder = Path("/tmp") / f"gas-{os.geteuid()}-{name}"  # noqa: S108 - private, checked just below
        folder.mkdir(mode=0o700, exist_ok=True)
        found = folder.lstat()
        if not stat.S_ISDIR(found.st_mode) or found.st_uid != os.geteuid() or found.st_mode & 0o077:
            raise StackError(f"{folder} is not a private folder of this user; remove it and start again")
        return folder

    def database_url(self, database: str, *, driver: str = "psycopg2") -> str:
        """The SQLAlchemy URL of one of the stack's databases."""
        password = self.secrets.postgres_password
        return f"postgresql+{driver}://gas:{password}@/{database}?host={self.sockets}"
