"""The web app's part of ``gas migrate``: ``python -m webui.migrate``.

Nothing here waits for it: each web server does the same when it starts.
"""

from __future__ import annotations

import sys

from sqlalchemy import create_engine, text

from gas.errors import GasError
from gas.settings import Settings
from webui.database import VERSION_TABLE, schema_lock


def main() -> None:
    """Make or upgrade the tables; says in one line what they are now."""
    url = Settings.from_environment().web_database_url.get_secret_value()
    if not url:
        sys.exit("GAS_WEB_DATABASE_URL must be set: the web app's database")
    engine = create_engine(url)
    try:
        with schema_lock(engine), engine.connect() as connection:
            revision = connection.scalar(text(f"SELECT version_num FROM {VERSION_TABLE}"))  # noqa: S608 - a constant
    except GasError as error:
        sys.exit(str(error))
    finally:
        engine.dispose()
    print(f"The web app's database is at {revision}")


if __name__ == "__main__":
    main()
