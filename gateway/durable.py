"""The durable store of these settings; SQLAlchemy is loaded when there is one to open."""

from contextlib import AbstractAsyncContextManager
from pathlib import Path
from typing import TYPE_CHECKING

from gateway.settings import Settings

if TYPE_CHECKING:
    from stores.sql.database import Database

FILE = "relay.db"


def durable(settings: Settings) -> "AbstractAsyncContextManager[Database] | None":
    """None while there is nothing to open: no DATABASE_URL, and no file in the data directory."""
    if settings.database_url is None and not (settings.data_dir / FILE).exists():
        return None
    from stores.sql.database import open_database

    return open_database(*located(settings))


def located(settings: Settings) -> tuple[str | None, Path]:
    """What `open_database` and `migrate` take."""
    url = settings.database_url
    return (url.reveal().decode() if url else None), settings.data_dir
