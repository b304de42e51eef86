"""The web app's part of ``gas migrate``: ``python -m webui.migrate``.

Nothing here waits for it: each web server does the same when it starts.
"""

from __future__ import annotations

import sys

from sqlalchemy import create_engine

from gas.settings import Settings
from webui.database import schema_lock


def main() -> None:
    """Make or upgrade the tables; says in one line what they are now."""
    url = Settings.from_environment().web_database_url.get_secret_value()
    if not url:
        sys.exit("GAS_WEB_DATABASE_URL must be set: the web app's database")
    engine = create_engine(url)
    with schema_lock(engine):
        pass
    engine.dispose()
    print("The web app's database is up to date")


if __name__ == "__main__":
    main()
