"""Run an administrative command; a refusal is one line on stderr and exit status 1."""

import asyncio
import os
from collections.abc import Awaitable, Callable
from typing import TypeVar

import click

from gateway.access.sealing import Sealer
from gateway.admin.services import Services, services
from gateway.config.local_keys import audit_keys, encryption_keys, peppers
from gateway.config.settings import Settings
from gateway.config.variables import SettingsError
from gateway.database import create_if_missing, location
from gateway.problem import Problem
from gateway.problems import TargetForbidden
from gateway.transaction import Actor

T = TypeVar("T")

# A caller with the command line and the database's password may do everything.
CLI = Actor("cli")


def ask(question: Callable[[Services], Awaitable[T]]) -> T:
    """The answer. In development a missing database is created first."""
    from stores.audit.chain import BrokenChain
    from stores.sql.drivers.errors import DatabaseUnavailable, SchemaOutdated, StatementFailed

    try:
        settings = Settings.from_env(os.environ)
        create_if_missing(settings)
        return asyncio.run(_asked(settings, question))
    except (
        *(SettingsError, Problem, BrokenChain),
        *(SchemaOutdated, DatabaseUnavailable, StatementFailed),
    ) as error:
        raise click.ClickException(str(error)) from error
    except OSError as error:
        raise click.ClickException(f"{error.filename}: {error.strerror}") from error


async def _asked(settings: Settings, question: Callable[[Services], Awaitable[T]]) -> T:
    from gateway.egress.guard import Guard, TargetRefusal
    from stores.sql.database import open_database

    async def check_target(url: str) -> None:
        """By the URL alone: what its name resolves to is the gateway's to check."""
        try:
            Guard(**settings.egress).check_url(url)
        except TargetRefusal as refusal:
            raise TargetForbidden(str(refusal)) from refusal

    async with open_database(*location(settings)) as database:
        await database.check()
        return await question(
            services(
                database,
                audit_keys=audit_keys(settings),
                pepper=peppers(settings)[0],
                sealer=Sealer(encryption_keys(settings)),
                check_target=check_target,
            )
        )
