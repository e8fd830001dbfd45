"""The pepper and the keys of this installation: those of the settings, newest first.

In development a missing one is generated once and kept in `<data_dir>/local-keys.json`, readable
by its owner alone; processes that start at the same time agree on one file. Production generates
none. All functions raise SettingsError.
"""

import os
import secrets
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import msgspec

from gateway.config.secret import Secret
from gateway.config.settings import Settings
from gateway.config.variables import SettingsError

FILE = "local-keys.json"
KEY_BYTES = 32

Key = Annotated[bytes, msgspec.Meta(min_length=KEY_BYTES, max_length=KEY_BYTES)]


class LocalKeys(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    """In JSON each is base64."""

    key_pepper: Key
    audit_key: Key
    encryption_key: Key

    def __repr__(self) -> str:
        return "LocalKeys(…)"


def peppers(settings: Settings) -> list[bytes]:
    return _set(settings, settings.key_peppers, "RELAY_KEY_PEPPER") or [
        _local(settings.data_dir).key_pepper
    ]


def audit_keys(settings: Settings) -> list[bytes]:
    return _set(settings, settings.audit_keys, "RELAY_AUDIT_KEY") or [
        _local(settings.data_dir).audit_key
    ]


def kept_audit_keys(settings: Settings) -> list[bytes]:
    """Existing keys only: a chain cannot have been signed with a key generated to verify it."""
    if not settings.audit_keys and not (settings.data_dir / FILE).exists():
        raise SettingsError(
            f"there is no RELAY_AUDIT_KEY, and there are no keys in RELAY_DATA_DIR "
            f"({settings.data_dir.absolute()})"
        )
    return audit_keys(settings)


def encryption_keys(settings: Settings) -> list[bytes]:
    """() in production without RELAY_ENCRYPTION_KEY: it may do without secrets of workspaces."""
    if settings.production and not settings.encryption_keys:
        return []
    return _set(settings, settings.encryption_keys, "RELAY_ENCRYPTION_KEY") or [
        _local(settings.data_dir).encryption_key
    ]


def _set(settings: Settings, held: Sequence[Secret], variable: str) -> list[bytes]:
    if settings.production and not held:
        raise SettingsError(f"{variable} is not set; with RELAY_ENV=production it must be")
    return [secret.reveal() for secret in held]


def _local(data_dir: Path) -> LocalKeys:
    file = data_dir / FILE
    try:
        if not file.exists():
            _make(file)
        return msgspec.json.decode(file.read_bytes(), type=LocalKeys)
    except OSError as error:
        raise SettingsError(f"cannot keep keys in {file}: {error.strerror}") from error
    except msgspec.DecodeError:
        pass
    # Outside of the handler: what was caught may quote a key.
    raise SettingsError(f"{file} is damaged; restore it: what was made with its keys needs it")


def _make(file: Path) -> None:
    """Write under another name, then link: the first link stands and later ones fail."""
    file.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    made = LocalKeys(
        **{name: secrets.token_bytes(KEY_BYTES) for name in LocalKeys.__struct_fields__}
    )
    draft = file.with_name(f"{FILE}.{secrets.token_hex(8)}")
    with open(draft, "xb", opener=lambda path, flags: os.open(path, flags, 0o600)) as opened:
        opened.write(msgspec.json.encode(made))
        opened.flush()
        os.fsync(opened.fileno())
    try:
        os.link(draft, file)
    except FileExistsError:
        pass
    finally:
        draft.unlink()
