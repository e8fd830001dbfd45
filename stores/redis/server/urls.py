"""Read REDIS_URL, once for the settings and for the connection: what is not listed is refused.

redis-py itself takes `/prod` for database 0, and a wrong option for an error of each call.
"""

import os
import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, unquote, urlsplit

from redis.asyncio.connection import Connection, SSLConnection, UnixDomainSocketConnection

DATABASES = 16_384
# urlsplit drops line ends, and no server takes a NUL.
CONTROL = re.compile(r"[\x00-\x1f\x7f]|%00")
# One name or address; a list of hosts would be looked up as one name.
HOST = re.compile(
    r"[A-Za-z0-9_-]+(\.[A-Za-z0-9_-]+)*\.?|[0-9A-Fa-f:.]*:[0-9A-Fa-f:.]*(%\w+)?", re.ASCII
)


def _seconds(text: str) -> float:
    if not re.fullmatch(r"[0-9.]+", text) or not 0 < (seconds := float(text)) <= 60:
        raise ValueError(text)
    return seconds


def _visible(text: str) -> str:
    """Redis refuses other names, which would be an error of each connection."""
    if not re.fullmatch(r"[!-~]+", text):
        raise ValueError(text)
    return text


def _file(text: str) -> str:
    if not os.access(text, os.R_OK) or not Path(text).is_file():
        raise ValueError(text)
    return text


def _folder(text: str) -> str:
    if not Path(text).is_dir():
        raise ValueError(text)
    return text


def _protocol(text: str) -> int:
    return {"2": 2, "3": 3}[text]


def _boolean(text: str) -> bool:
    return {"true": True, "false": False, "1": True, "0": False}[text.lower()]


def _required(text: str) -> str:
    return {"none": "none", "optional": "optional", "required": "required"}[text]


OPTIONS: Mapping[str, Callable[[str], Any]] = {
    "protocol": _protocol,
    "socket_timeout": _seconds,
    "socket_connect_timeout": _seconds,
    "client_name": _visible,
}
TLS: Mapping[str, Callable[[str], Any]] = {
    "ssl_ca_certs": _file,
    "ssl_ca_path": _folder,
    "ssl_certfile": _file,
    "ssl_keyfile": _file,
    "ssl_check_hostname": _boolean,
    "ssl_cert_reqs": _required,
}


def parsed(url: str) -> dict[str, Any]:
    """The options of redis-py's connection. Raises ValueError; its message repeats no text."""
    parts = urlsplit(url)
    options: dict[str, Any] = {}
    match parts.scheme:
        case "unix":
            if not parts.path.startswith("/") or parts.hostname:
                raise ValueError("a unix:// URL holds an absolute path")
            options |= {"connection_class": UnixDomainSocketConnection, "path": unquote(parts.path)}
        case "redis" | "rediss":
            tls = parts.scheme == "rediss"
            port = 6379 if parts.port is None else parts.port  # ValueError above 65535
            host = parts.hostname or ""
            if not HOST.fullmatch(host) or port == 0:
                raise ValueError("a host and a port from 1 to 65535 are needed")
            options |= {"host": unquote(host), "port": port, "db": _database(parts.path)}
            options["connection_class"] = SSLConnection if tls else Connection
        case _:
            raise ValueError("the scheme is redis, rediss or unix")
    if parts.fragment or CONTROL.search(url):
        raise ValueError("a # has to be written as %23, and there are no control characters")
    for name, text in (("username", parts.username), ("password", parts.password)):
        if text:
            options[name] = unquote(text)
    known = {**OPTIONS, **TLS} if parts.scheme == "rediss" else OPTIONS
    return options | _query(parts.query, {**known, "db": _number} if "path" in options else known)


def _database(path: str) -> int:
    return _number(path[1:]) if path not in ("", "/") else 0


def _number(text: str) -> int:
    if not (text.isascii() and text.isdecimal()) or int(text[:9]) >= DATABASES:
        raise ValueError("a database is a number behind one /")
    return int(text)


def _query(query: str, known: Mapping[str, Callable[[str], Any]]) -> dict[str, Any]:
    options: dict[str, Any] = {}
    for name, text in parse_qsl(query, keep_blank_values=True, strict_parsing=bool(query)):
        if name not in known or name in options:
            raise ValueError(f"the options are {', '.join(known)}, each once")
        try:
            options[name] = known[name](text)
        except (ValueError, KeyError):
            raise ValueError(f"the option {name} has another value") from None
    return options
