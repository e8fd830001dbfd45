"""Ask the issuers from the command line; what they decline is one line and exit status 1."""

import asyncio
import os
from collections.abc import Awaitable, Callable
from typing import TypeVar

import click

from gateway.admin.services import Issuers, issuers
from gateway.config.settings import Settings
from gateway.config.variables import SettingsError
from gateway.declined import Declined
from gateway.durable import founded_here, located
from gateway.transaction import By

T = TypeVar("T")

# Whoever has the command line and the database's password may all.
CLI = By("cli")


def ask(question: Callable[[Issuers], Awaitable[T]]) -> T:
    """The answer. In development a database that is not there is made first."""
    from stores.audit.chain import BrokenChain
    from stores.sql.database import DatabaseUnavailable, SchemaOutdated

    try:
        settings = Settings.from_env(os.environ)
        _check_url(settings)
        founded_here(settings)
        return asyncio.run(_asked(settings, question))
    except (SettingsError, Declined, SchemaOutdated, DatabaseUnavailable, BrokenChain) as error:
        raise click.ClickException(str(error)) from error
    except OSError as error:
        raise click.ClickException(f"{error.filename}: {error.strerror}") from error


def _check_url(settings: Settings) -> None:
    """Raises SettingsError for what SQLAlchemy cannot read."""
    from stores.sql.database import parsed_url

    try:
        parsed_url(*located(settings))
    except ValueError as error:
        raise SettingsError(f"DATABASE_URL: {error}") from error


async def _asked(settings: Settings, question: Callable[[Issuers], Awaitable[T]]) -> T:
    from stores.sql.database import open_database

    async with open_database(*located(settings)) as database:
        await database.check()
        return await question(issuers(settings, database))
