"""Parse DATABASE_URL: the one parser, for settings, gateways and commands.

A URL of PostgreSQL is what libpq takes: several hosts, a socket's folder as `?host=`, no host at
all. asyncpg reads the rest; options that it would send to the server, which refuses them, are left
out or refused here.
"""

import re
from pathlib import Path
from typing import NamedTuple
from urllib.parse import parse_qsl, urlencode, urlsplit

# Options of libpq that asyncpg reads, and those that it passes to the server.
READ = (
    "host port dbname user password passfile service sslmode sslcert sslkey sslpassword "
    "sslrootcert sslcrl sslnegotiation ssl_min_protocol_version ssl_max_protocol_version "
    "target_session_attrs krbsrvname gsslib application_name options"
).split()
# Options of libpq without which a connection is as safe.
LEFT_OUT = (
    "channel_binding connect_timeout client_encoding fallback_application_name gssencmode "
    "keepalives keepalives_idle keepalives_interval keepalives_count tcp_user_timeout "
    "sslcompression sslsni sslcertmode load_balance_hosts gssdelegation"
).split()
NUMBERS = (
    "connect_timeout keepalives keepalives_idle keepalives_interval keepalives_count "
    "tcp_user_timeout"
).split()
FILES = ("sslcert", "sslkey", "sslrootcert", "sslcrl", "passfile")
VALUES = {
    "gssencmode": "disable prefer require".split(),
    "channel_binding": "disable prefer require".split(),
    "sslmode": "disable allow prefer require verify-ca verify-full".split(),
    "target_session_attrs": "any read-write read-only primary standby prefer-standby".split(),
}
HOST = re.compile(r"(\[[0-9A-Fa-f:.]+\]|[^:\[\]/]*)(:(?P<port>[0-9]+))?")


class Server(NamedTuple):
    """`dsn`: the URL as asyncpg takes it."""

    dsn: str

    def __repr__(self) -> str:
        return "Server()"


def parsed(url: str | None, data_dir: Path) -> Server | Path:
    """A server, or the file of SQLite. Raises ValueError, which never holds the password."""
    if url is None:
        return data_dir.absolute() / "relay.db"
    if file := re.fullmatch(r"sqlite(\+aiosqlite)?:///([^?#]+)", url):
        if file[2] == ":memory:":
            raise ValueError("a database in memory does not last")
        if (path := Path(file[2]).absolute()).is_dir():
            raise ValueError("the path after sqlite:/// is that of a file, not of a folder")
        return path
    if not re.match(r"postgres(ql(\+asyncpg)?)?://", url):
        raise ValueError("it must begin with postgresql:// or sqlite:/// and a path")
    try:
        return Server(_dsn(url))
    except UnicodeError:
        raise ValueError("it is not a URL such as postgresql://user:password@host/name") from None


def _dsn(url: str) -> str:
    _, netloc, path, query, fragment = urlsplit(url)
    options = dict(parse_qsl(query, keep_blank_values=True, strict_parsing=bool(query)))
    user, at, hosts = netloc.rpartition("@")
    if fragment or "#" in url:
        raise ValueError("a # in the password is written %23")
    if "%00" in url:
        raise ValueError("it holds a NUL, which no name may hold")
    for name, value in options.items():
        _check_option(name, value)
    ports = [_port(host) for host in hosts.split(",")]
    ports += options["port"].split(",") if "port" in options else []
    if not all(port.isdecimal() and 0 < int(port) < 65536 for port in ports if port):
        raise ValueError("a port is a number from 1 to 65535")
    kept = {name: value for name, value in options.items() if name not in LEFT_OUT}
    kept.setdefault("application_name", "relay")
    if "," in hosts + options.get("host", ""):  # after a failover the first one may be a standby
        kept.setdefault("target_session_attrs", "read-write")
    return f"postgresql://{user}{at}{hosts}{path}?{urlencode(kept)}"


def _check_option(name: str, value: str) -> None:
    """Raises ValueError."""
    if name not in (*READ, *LEFT_OUT):
        raise ValueError(f"Relay does not know the option {name[:40]!r}")
    if name in VALUES and value not in VALUES[name]:
        raise ValueError(f"{name} is one of {', '.join(VALUES[name])}")
    if name in NUMBERS and not re.fullmatch("[0-9]{1,9}", value):
        raise ValueError(f"{name} is a number")
    if name in FILES and value != "system" and not Path(value).is_file():
        raise ValueError(f"{name} is the path of a file, and there is none")


def _port(host: str) -> str:
    found = HOST.fullmatch(host)
    if found is None:
        raise ValueError("a host is a name or an address, which may have a port")
    return found["port"] or ""
