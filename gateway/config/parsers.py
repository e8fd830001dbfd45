"""Parse the text of a variable; each parser raises ValueError for text that is invalid."""

import base64
import re
from collections.abc import Callable
from datetime import timedelta
from ipaddress import IPv6Network, ip_address, ip_network
from pathlib import Path
from urllib.parse import urlsplit

from gateway.config.secret import Network, Secret
from stores.redis.server import urls as redis
from stores.sql.drivers.urls import parsed
from stores.sql.workspaces import NAME as WORKSPACE


def redis_url(text: str) -> Secret:
    redis.parsed(text)
    return Secret(text.encode())


def database_url(text: str) -> Secret:
    parsed(text, Path())
    return Secret(text.encode())


def path(text: str) -> Path:
    """Not blank, which would be the current folder, and nothing that no file is called."""
    if not text or not text.isprintable():
        raise ValueError(text)
    return Path(text)


def boolean(text: str) -> bool:
    if text.lower() not in ("true", "1", "false", "0"):
        raise ValueError(text)
    return text.lower() in ("true", "1")


def signing_secrets(text: str) -> tuple[Secret, ...]:
    return tuple(Secret(signing_key(part)) for part in listed(text))


def signing_key(text: str) -> bytes:
    if not text.startswith("whsec_"):
        return text.encode()
    key = base64.b64decode(text.removeprefix("whsec_"), validate=True)  # or a ValueError
    if not key:
        raise ValueError("an empty secret")
    return key


def long_secrets(text: str) -> tuple[Secret, ...]:
    """Long enough not to be guessed: `openssl rand -base64 32` gives 44 characters."""
    secrets = listed(text)
    if any(len(secret) < 32 for secret in secrets):
        raise ValueError("too short")
    return tuple(Secret(secret.encode()) for secret in secrets)


def client_secret(text: str) -> Secret:
    return Secret(audience(text).encode())


def api_key(text: str) -> Secret:
    if not re.fullmatch(r"rly_(live|test)_[0-9A-Za-z]+", text):
        raise ValueError("not an API key")
    return Secret(text.encode())


def encryption_keys(text: str) -> tuple[Secret, ...]:
    keys = [base64.b64decode(part, validate=True) for part in listed(text)]  # or a ValueError
    if any(len(key) != 32 for key in keys):
        raise ValueError("not 32 bytes")
    return tuple(map(Secret, keys))


def url(text: str) -> str:
    return link(text)


def seconds(low: float, high: float) -> Callable[[str], timedelta]:
    def parse(text: str) -> timedelta:
        seconds = number(text)
        if not low <= seconds <= high:
            raise ValueError(text)
        return timedelta(seconds=seconds)

    return parse


def number(text: str) -> float:
    """Digits and a point: `float` also takes 1_0, +1, nan and the digits of other scripts."""
    if not re.fullmatch(r"[0-9]{1,9}(\.[0-9]{1,9})?", text):
        raise ValueError(text)
    return float(text)


def days(low: int, high: int) -> Callable[[str], timedelta]:
    number = whole(low, high)
    return lambda text: timedelta(days=number(text))


def whole(low: int, high: int) -> Callable[[str], int]:
    def parse(text: str) -> int:
        if not re.fullmatch(r"[0-9]{1,9}", text) or not low <= int(text) <= high:
            raise ValueError(text)
        return int(text)

    return parse


port = whole(1, 65535)


def ports(text: str) -> frozenset[int]:
    return frozenset(map(port, listed(text)))


def proxies(text: str) -> tuple[Network, ...]:
    """Addresses, also in brackets, and networks; IPv4 within IPv6 counts as IPv4."""
    return tuple(_unmapped(re.sub(r"^\[(.*)\]$", r"\1", part)) for part in listed(text))


def _unmapped(text: str) -> Network:
    network = ip_network(text)
    mapped = isinstance(network, IPv6Network) and network.network_address.ipv4_mapped
    if mapped and network.prefixlen >= 96:
        return ip_network((mapped, network.prefixlen - 96))
    return network


def egress_allow(
    text: str,
) -> tuple[frozenset[str], tuple[Network, ...], frozenset[tuple[str, int]]]:
    """The hosts and networks that are allowed on every port, and the hosts allowed on one."""
    hosts, networks, authorities = set(), [], set()
    for part in listed(text):
        host, port = _host_and_port(part)
        if port is None and (network := _network(host)):
            networks.append(network)
        elif port is None:
            hosts.add(_host(host))
        else:
            authorities.add((_host(host), port))
    return frozenset(hosts), tuple(networks), frozenset(authorities)


def _host_and_port(text: str) -> tuple[str, int | None]:
    """The parts of `host:port`, where an IPv6 address stands in brackets; other text as it is."""
    match = re.fullmatch(r"(?:\[([0-9A-Fa-f:.]+)\]|([^:\[\]]+)):([0-9]+)", text)
    if not match:
        return text, None
    return match[1] or match[2], port(match[3])


def _network(text: str) -> Network | None:
    try:
        return _unmapped(text)
    except ValueError:
        return None


def _host(text: str) -> str:
    """An address, or a name whose last part is no number: a mistyped address is not a name."""
    if re.fullmatch(r"([A-Za-z0-9_-]+\.)*[A-Za-z0-9_-]*[A-Za-z_-][A-Za-z0-9_-]*\.?", text):
        return text.lower().rstrip(".")
    return str(ip_address(text))


def origins(text: str) -> tuple[str, ...]:
    origins = listed(text.lower())
    # As browsers send them: no path, not even a slash, and no port that goes without saying.
    form = r"https?://([a-z0-9._-]+|\[[0-9a-f:]+\])(:[1-9][0-9]{0,4})?"
    if not all(re.fullmatch(form, origin) for origin in origins):
        raise ValueError(text)
    for origin in origins:
        urlsplit(origin).port  # noqa: B018 - or a ValueError: it is beyond 65535
    return tuple(re.sub(r"^(http://.*):80$|^(https://.*):443$", r"\1\2", it) for it in origins)


def header_names(text: str) -> tuple[str, ...]:
    """Not `*`: it would not cover Authorization (Fetch standard)."""
    names = listed(text)
    if not all(re.fullmatch(r"[A-Za-z0-9!#$%&'+.^_`|~-]+", name) for name in names):
        raise ValueError(text)
    return names


def signed_header(text: str) -> bytes:
    """The name of a header, in lower case; none that brings a key or a session."""
    [name] = header_names(text.lower())
    if name in ("authorization", "cookie"):
        raise ValueError(text)
    return name.encode()


def issuer(text: str) -> str:
    """What the claim `iss` has to be; subjects begin with it, and end it with `|`."""
    if not re.fullmatch(r"[!-{}~]{1,128}", text):
        raise ValueError(text)
    return text


def audience(text: str) -> str:
    if not re.fullmatch(r"[!-~]{1,256}", text):
        raise ValueError(text)
    return text


def workspace(text: str) -> str:
    if not WORKSPACE.fullmatch(text):
        raise ValueError(text)
    return text


def group_roles(text: str) -> dict[str, str]:
    """The roles by group. A group may have `=` in its name; a role has none."""
    pairs = [part.rpartition("=") for part in listed(text)]
    roles = {group.strip(): role.strip() for group, _, role in pairs}
    if len(roles) < len(pairs) or not all(group and role for group, role in roles.items()):
        raise ValueError(text)
    return roles


def listed(text: str) -> tuple[str, ...]:
    parts = tuple(part.strip() for part in text.split(","))
    if not all(parts):
        raise ValueError("empty item")
    return parts


def trace_link_template(text: str) -> str:
    fields = re.findall(r"\{([^{}]*)\}", text)
    plain = re.sub(r"\{(trace_id|span_id|request_id)\}", "", text)
    if not fields or re.search(r"[{}]", plain):
        raise ValueError(text)
    return public_link(text)


def link(text: str) -> str:
    """A URL that can stand in a header."""
    parts = urlsplit(text)
    # The port is read here, because it raises for one beyond 65535.
    if not re.fullmatch(r"https?://[\x21-\x7e]+", text) or not parts.hostname or parts.port == 0:
        raise ValueError(text)
    return text


def public_link(text: str) -> str:
    """A URL that callers see: without a user or a password."""
    if "@" in urlsplit(text).netloc:
        raise ValueError(text)
    return link(text)


def public_url(text: str) -> str:
    """Scheme, host and port: no user, path, query or fragment; a final slash is left out."""
    [origin] = origins(text.removesuffix("/"))
    return origin


def base(text: str) -> str:
    """A URL that a path is put behind."""
    if re.search(r"[?#]", text):
        raise ValueError(text)
    return link(text)


def grafana_url(text: str) -> str:
    return public_link(base(text))


def otel_boolean(text: str) -> bool:
    """OpenTelemetry: what is not `true` is false."""
    return text.lower() == "true"


def choice(*words: str) -> Callable[[str], str]:
    def parse(text: str) -> str:
        if text not in words:
            raise ValueError(text)
        return text

    return parse


def uid(text: str) -> str:
    if not re.fullmatch(r"[A-Za-z0-9_-]{1,40}", text):
        raise ValueError(text)
    return text


def tenant(text: str) -> str:
    """It becomes a part of a path."""
    if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9.-]{0,99}", text):
        raise ValueError(text)
    return text
