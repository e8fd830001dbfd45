"""A static credential as an administrator enters it, and the header that carries it."""

import base64
import re
from collections.abc import Sequence
from typing import Literal, NamedTuple

from gateway.actions.headers import DENIED, DENIED_PREFIXES
from gateway.config.secret import Secret
from gateway.problem import FieldError
from gateway.problems import InvalidRequest

SECRET_MAX = 4096
USER_MAX = 64
AUTHORIZATION = "Authorization"

VISIBLE = re.compile(r"[\x21-\x7e]+")
HEADER_NAME = re.compile(r"[A-Za-z0-9-]{1,64}")
HEADER_VALUE = re.compile(r"(?! )[\x20-\x7e]+(?<! )")
# Headers that an effect has of its own, or that no value of ours may replace.
TAKEN_HEADERS = DENIED | {"accept", "content-type", "user-agent"}


class StaticRequest(NamedTuple):
    """`kind`: how the secret goes into a request. `user`: of `basic`. `header`: its name, of
    `header`. `hosts`: where it may go, as `host`, `host:port` or an origin.
    """

    label: str
    kind: Literal["bearer", "basic", "header"]
    secret: Secret
    hosts: Sequence[str]
    user: str = ""
    header: str = ""


def header_of(wanted: StaticRequest) -> tuple[str, str]:
    """Name and value of the header that carries the secret. Raises InvalidRequest."""
    try:
        secret = wanted.secret.reveal().decode()
    except UnicodeDecodeError as error:
        raise invalid("/secret", "The secret is not UTF-8.") from error
    if not 1 <= len(secret) <= SECRET_MAX:
        raise invalid("/secret", f"A secret has 1 to {SECRET_MAX} characters.")
    if bool(wanted.user) != (wanted.kind == "basic"):
        raise invalid("/user", "The kind basic has a user, and no other kind does.")
    if bool(wanted.header) != (wanted.kind == "header"):
        raise invalid("/header", "The kind header has a header, and no other kind does.")
    match wanted.kind:
        case "bearer":
            return AUTHORIZATION, f"Bearer {_visible(secret)}"
        case "basic":
            return AUTHORIZATION, f"Basic {_basic(wanted.user, secret)}"
        case "header":
            return _header_name(wanted.header), _header_value(secret)


def _visible(secret: str) -> str:
    if not VISIBLE.fullmatch(secret):
        raise invalid("/secret", "A token has visible ASCII characters only.")
    return secret


def _basic(user: str, password: str) -> str:
    """RFC 7617, 2."""
    if ":" in user or not user.isprintable() or len(user) > USER_MAX:
        raise invalid("/user", f"A user has at most {USER_MAX} printable characters and no ':'.")
    if not password.isprintable():
        raise invalid("/secret", "A password has printable characters only.")
    return base64.b64encode(f"{user}:{password}".encode()).decode()


def _header_name(name: str) -> str:
    folded = name.lower()
    if not HEADER_NAME.fullmatch(name):
        raise invalid("/header", "A header's name has 1 to 64 letters, digits and hyphens.")
    if folded in TAKEN_HEADERS or folded.startswith(DENIED_PREFIXES):
        raise invalid("/header", "Relay, HTTP or the request itself sets this header.")
    return name


def _header_value(value: str) -> str:
    if not HEADER_VALUE.fullmatch(value):
        raise invalid("/secret", "A value has visible ASCII characters, without spaces around it.")
    return value


def invalid(pointer: str, detail: str) -> InvalidRequest:
    return InvalidRequest(detail, errors=[FieldError(pointer, detail)])
