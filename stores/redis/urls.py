"""Read REDIS_URL, once for the settings and for the connection: what is not listed is refused.

redis-py itself takes `/prod` for database 0, and a wrong option for an error of each call.
"""

from collections.abc import Callable, Mapping
from typing import Any
from urllib.parse import parse_qsl, unquote, urlsplit

from redis.asyncio.connection import Connection, SSLConnection, UnixDomainSocketConnection

DATABASES = 16_384


def _seconds(text: str) -> float:
    if not 0 < (seconds := float(text)) <= 60:
        raise ValueError(text)
    return seconds


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
    "client_name": str,
}
TLS: Mapping[str, Callable[[str], Any]] = {
    "ssl_ca_certs": str,
    "ssl_ca_path": str,
    "ssl_certfile": str,
    "ssl_keyfile": str,
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
            if not parts.hostname or port == 0:
                raise ValueError("a host and a port from 1 to 65535 are needed")
            options |= {"host": unquote(parts.hostname), "port": port, "db": _database(parts.path)}
            options["connection_class"] = SSLConnection if tls else Connection
        case _:
            raise ValueError("the scheme is redis, rediss or unix")
    if parts.fragment:
        raise ValueError("a # has to be written as %23")
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
