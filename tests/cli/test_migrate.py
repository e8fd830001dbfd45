"""`relay migrate`: what it did, and on which database."""

from pathlib import Path

import pytest

from stores.sql.database import REVISIONS
from tests.support.commanded import Typed
from tests.support.postgres import Postgres

UPGRADED = f"The database was upgraded: {', '.join(REVISIONS)}.\n"
UP_TO_DATE = "The database is up to date.\n"


def test_it_makes_the_database_of_the_data_directory(tmp_path: Path) -> None:
    relay = Typed(tmp_path / "new")
    assert relay.well("migrate").stdout == UPGRADED
    assert relay.well("migrate").stdout == UP_TO_DATE
    assert [file.name for file in (tmp_path / "new").iterdir()] == ["relay.db"]


@pytest.fixture
async def empty(postgres: Postgres) -> str:
    return await postgres.create()


def test_it_upgrades_postgresql(postgres: Postgres, empty: str, tmp_path: Path) -> None:
    relay = Typed(tmp_path, DATABASE_URL=postgres.url(empty))
    assert relay.well("migrate").stdout == UPGRADED
    assert relay.well("migrate").stdout == UP_TO_DATE
    made = relay.json("keys", "create", "--name", "CI", "--role", "viewer")
    assert [key["id"] for key in relay.json("keys", "list")["keys"]] == [made["id"]]
    assert not (tmp_path / "relay.db").exists()


def test_a_database_that_is_away_is_one_line_without_its_password(tmp_path: Path) -> None:
    relay = Typed(tmp_path, DATABASE_URL="postgresql://relay:hunter2@127.0.0.1:1/relay")
    for words in (("migrate",), ("keys", "list")):
        said = relay.declined(*words)
        assert said.startswith("the database does not answer")
        assert "hunter2" not in said


def test_a_database_in_memory_is_none(tmp_path: Path) -> None:
    """Each command would have its own."""
    relay = Typed(tmp_path, DATABASE_URL="sqlite:///:memory:")
    for words in (("migrate",), ("keys", "list")):
        assert relay.declined(*words).startswith("DATABASE_URL is")


def test_a_wrong_setting_is_one_line(tmp_path: Path) -> None:
    relay = Typed(tmp_path, DATABASE_URL="mysql://relay:hunter2@127.0.0.1/relay")
    said = relay.declined("migrate")
    assert said.startswith("DATABASE_URL is a secret; it may hold")


def test_a_folder_that_cannot_be_made_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    assert "file" in Typed(tmp_path / "file" / "data").declined("migrate")
