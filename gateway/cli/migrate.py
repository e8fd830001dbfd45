"""`relay migrate`: upgrade the database to the schema of this version."""

import os

import click

from gateway.config.settings import Settings
from gateway.config.variables import SettingsError
from gateway.database import create_if_missing, location


@click.command()
def migrate() -> None:
    """Create or upgrade the database; running it again changes nothing.

    The database is that of DATABASE_URL, or relay.db in RELAY_DATA_DIR.
    """
    from stores.sql.drivers.errors import DatabaseUnavailable, SchemaOutdated, StatementFailed
    from stores.sql.migrate import migrate as upgrade

    try:
        settings = Settings.from_env(os.environ)
        applied = [*create_if_missing(settings), *upgrade(*location(settings))]
    except (SettingsError, DatabaseUnavailable, SchemaOutdated, StatementFailed) as error:
        raise click.ClickException(str(error)) from error
    except OSError as error:
        raise click.ClickException(f"{error.filename}: {error.strerror}") from error
    done = f"was upgraded: {', '.join(applied)}" if applied else "is up to date"
    click.echo(f"The database {done}.")
