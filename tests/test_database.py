"""The durable store of a process: opened once, when it is needed, and only if it can be used."""

import asyncio
import os
import sqlite3
from collections.abc import Sequence
from pathlib import Path

import pytest

from gateway.config.secret import Secret
from gateway.config.settings import Settings
from gateway.config.variables import SettingsError
from gateway.database import FILE, LazyDatabase, create_if_missing
from stores.sql.database import HEAD
from stores.sql.drivers.errors import DatabaseUnavailable, SchemaOutdated
from tests.support.gateways import until
from tests.support.keyed import first_key
from tests.support.tcp import tcp_server


@pytest.fixture
async def settings(tmp_path: Path) -> Settings:
    """Those of a database with a key in it."""
    settings = Settings(data_dir=tmp_path)
    await first_key(settings)
    return settings


def revision(settings: Settings, to: str) -> None:
    with sqlite3.connect(settings.data_dir / FILE) as connection:
        connection.execute("UPDATE alembic_version SET version_num = ?", [to])
    connection.close()


def held(folder: Path) -> list[str]:
    return [file.name for file in folder.iterdir()]


async def test_it_is_opened_when_it_is_needed(settings: Settings) -> None:
    """Not by looking whether there is one; by many at once, once."""
    async with LazyDatabase(settings) as database:
        assert not database.opened
        one, *others = await asyncio.gather(*(database.open() for _ in range(20)))
        assert database.opened
        assert {id(other) for other in others} == {id(one)}
        assert await database.existing() is one
        async with one.connect() as connection:  # a user that shares it does not close it
            assert connection


async def test_without_a_database_there_is_nothing_to_find(tmp_path: Path) -> None:
    """And to look makes none."""
    async with LazyDatabase(Settings(data_dir=tmp_path)) as database:
        assert await database.existing() is None
    assert held(tmp_path) == []


async def test_a_database_of_another_schema_is_not_used(settings: Settings) -> None:
    """Until it can be opened: then the same object opens it."""
    revision(settings, "0000")
    async with LazyDatabase(settings) as database:
        for _ in range(2):
            with pytest.raises(SchemaOutdated, match="revision 0000"):
                await database.open()
            assert not database.opened
        revision(settings, HEAD)
        await database.open()
        assert database.opened


async def test_a_database_that_is_away_is_asked_for_again(tmp_path: Path) -> None:
    """Each time: it may be back."""
    away = Secret(b"postgresql://127.0.0.1:1/relay")
    async with LazyDatabase(Settings(data_dir=tmp_path, database_url=away)) as database:
        for _ in range(2):
            with pytest.raises(DatabaseUnavailable):
                await database.open()
            assert not database.opened


async def test_waiters_for_a_failed_try_do_not_wait_for_another(tmp_path: Path) -> None:
    """Many at once hear of it at once; who comes later asks again."""
    asked, answered = [], asyncio.Event()

    async def silent(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        asked.append(writer)
        await answered.wait()
        writer.close()

    async with tcp_server(silent) as port:
        url = Secret(f"postgresql://127.0.0.1:{port}/relay".encode())
        async with LazyDatabase(Settings(data_dir=tmp_path, database_url=url)) as database:
            principal = [asyncio.create_task(database.open()) for _ in range(8)]
            await until(lambda: _holds(asked))
            answered.set()
            failed = await asyncio.gather(*principal, return_exceptions=True)
            assert {type(one) for one in failed} == {DatabaseUnavailable}
            assert len(asked) == 1
            with pytest.raises(DatabaseUnavailable):
                await database.open()
            assert len(asked) == 2


async def _holds(asked: Sequence[object]) -> bool:
    return bool(asked)


async def test_production_signs_no_chain_without_a_key(settings: Settings, tmp_path: Path) -> None:
    """In development one is made and kept."""
    async with LazyDatabase(settings) as database:
        made = database.chain().mac(b"", "text")
        assert database.chain().mac(b"", "text") == made
    async with LazyDatabase(Settings(data_dir=tmp_path, env="production")) as strict:
        with pytest.raises(SettingsError, match="RELAY_AUDIT_KEY"):
            strict.chain()


def test_a_missing_database_is_created(tmp_path: Path) -> None:
    """It has the newest revision, only its owner may read it, and nothing stays beside it."""
    assert create_if_missing(Settings(data_dir=tmp_path))
    assert os.listdir(tmp_path) == ["relay.db"]  # noqa: PTH208
    assert (tmp_path / "relay.db").stat().st_mode & 0o777 == 0o600


def test_an_existing_database_stays(tmp_path: Path) -> None:
    """Whatever is in the file."""
    (tmp_path / "relay.db").write_bytes(b"precious")
    assert create_if_missing(Settings(data_dir=tmp_path)) == []
    assert (tmp_path / "relay.db").read_bytes() == b"precious"
