"""Keys that an installation makes for itself: once, for the owner alone, never in production."""

import os
import stat
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from gateway.access.sealing import Sealer, UnknownKey
from gateway.config import local_keys
from gateway.config.local_keys import FILE, audit_keys, encryption_keys, peppers
from gateway.config.secret import Secret
from gateway.config.settings import Settings
from gateway.config.variables import SettingsError

SHORT = b'{"key_pepper": "", "audit_key": "", "encryption_key": ""}'
KINDS = {
    "key_peppers": (peppers, "RELAY_KEY_PEPPER"),
    "audit_keys": (audit_keys, "RELAY_AUDIT_KEY"),
    "encryption_keys": (encryption_keys, "RELAY_ENCRYPTION_KEY"),
}


@pytest.mark.parametrize("field", KINDS)
def test_those_that_are_set_are_taken(field: str, tmp_path: Path) -> None:
    """In their order, and no file is made."""
    held = Secret(b"n" * 32), Secret(b"o" * 32)
    given: dict[str, Any] = {field: held}
    settings = Settings(data_dir=tmp_path, **given)
    assert KINDS[field][0](settings) == [b"n" * 32, b"o" * 32]
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("field", ["key_peppers", "audit_keys"])
def test_production_makes_none(field: str, tmp_path: Path) -> None:
    function, variable = KINDS[field]
    with pytest.raises(SettingsError, match=variable):
        function(Settings(env="production", data_dir=tmp_path))
    assert not list(tmp_path.iterdir())


def test_development_makes_them_once(tmp_path: Path) -> None:
    """Three that differ, of 32 bytes, in a file for the owner alone."""
    settings = Settings(data_dir=tmp_path / "new" / "folder")
    made = [*peppers(settings), *audit_keys(settings), *encryption_keys(settings)]
    assert {len(key) for key in made} == {32}
    assert len(set(made)) == 3
    assert made == [*peppers(settings), *audit_keys(settings), *encryption_keys(settings)]
    assert os.listdir(settings.data_dir) == [FILE]  # noqa: PTH208
    assert stat.S_IMODE((settings.data_dir / FILE).stat().st_mode) == 0o600
    assert stat.S_IMODE(settings.data_dir.stat().st_mode) == 0o700


def test_the_mode_does_not_hang_on_the_umask(tmp_path: Path) -> None:
    lines = """
import os, sys
from pathlib import Path
from gateway.config.local_keys import peppers
from gateway.config.settings import Settings
os.umask(0)
peppers(Settings(data_dir=Path(sys.argv[1]) / "new"))
"""
    subprocess.run([sys.executable, "-c", lines, str(tmp_path)], check=True)
    assert stat.S_IMODE((tmp_path / "new" / FILE).stat().st_mode) == 0o600


def test_processes_that_start_at_once_agree(tmp_path: Path) -> None:
    """20 folders, 8 at once in each; no process reads a replaced or half-written file."""
    with ThreadPoolExecutor(8) as pool:
        for number in range(20):
            settings = Settings(data_dir=tmp_path / str(number))
            keys = list(pool.map(peppers, [settings] * 8))
            assert keys == [keys[0]] * 8
            assert os.listdir(settings.data_dir) == [FILE]  # noqa: PTH208


def test_what_is_there_is_not_written_over(tmp_path: Path) -> None:
    """Even by one who looked before it was."""
    settings = Settings(data_dir=tmp_path)
    before = peppers(settings)
    local_keys._make(tmp_path / FILE)
    assert peppers(settings) == before


@pytest.mark.parametrize("held", [b"", b"{}", b'{"key_pepper": "hunter2"', b"\xff", b"[]", SHORT])
def test_a_damaged_file_is_named_and_not_quoted(held: bytes, tmp_path: Path) -> None:
    (tmp_path / FILE).write_bytes(held)
    with pytest.raises(SettingsError, match="is damaged") as caught:
        peppers(Settings(data_dir=tmp_path))
    assert str(tmp_path / FILE) in str(caught.value)
    assert "hunter2" not in str(caught.value)
    assert caught.value.__context__ is None


def test_a_folder_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(SettingsError, match="cannot keep keys in"):
        peppers(Settings(data_dir=tmp_path / "file"))


def test_no_repr_shows_them(tmp_path: Path) -> None:
    peppers(Settings(data_dir=tmp_path))
    assert repr(local_keys._local(tmp_path)) == "LocalKeys(…)"


def test_production_may_do_without_sealing(tmp_path: Path) -> None:
    """It then has no signing secrets of workspaces; all else works."""
    without = Sealer(encryption_keys(Settings(env="production", data_dir=tmp_path)))
    with pytest.raises(UnknownKey):
        without.seal(b"a", bound_to="")
    assert Sealer(encryption_keys(Settings(data_dir=tmp_path))).newest
