"""REDIS_URL is read by one parser, which refuses what redis-py would read wrongly."""

from typing import Any

import pytest

from gateway.config.settings import Settings
from gateway.config.variables import SettingsError
from stores.redis.server.urls import parsed

R = {"host": "r", "port": 6379, "db": 0}


@pytest.mark.parametrize(
    ("url", "options"),
    [
        ("redis://r", R),
        ("redis://r/", R),
        ("redis://r:7/5", {"host": "r", "port": 7, "db": 5}),
        ("redis://[::1]:7", {"host": "::1", "port": 7, "db": 0}),
        ("redis://u:p%40%2F@r", R | {"username": "u", "password": "p@/"}),
        ("redis://:p@r", R | {"password": "p"}),
        ("unix:///run/v.sock?db=2", {"path": "/run/v.sock", "db": 2}),
        ("redis://r?protocol=2&socket_timeout=0.5", R | {"protocol": 2, "socket_timeout": 0.5}),
        (
            "rediss://r?ssl_cert_reqs=none&ssl_check_hostname=false",
            R | {"ssl_cert_reqs": "none", "ssl_check_hostname": False},
        ),
    ],
)
def test_a_url_becomes_the_options_of_the_connection(url: str, options: dict[str, Any]) -> None:
    found = parsed(url)
    del found["connection_class"]
    assert found == options


@pytest.mark.parametrize(
    "url",
    [
        *(
            "redis://r\nx",
            "redis://r x",
            "redis://r%00",
            "unix:///a%00b",
            "redis://a,b",
            "redis://a..b",
        ),
        *("redis://r?client_name=a%20b", "redis://r?client_name=", "redis://r?client_name=a%0ab"),
        *("redis://r?socket_timeout=1_0", "redis://r?socket_timeout=+1"),
        *(
            "rediss://r?ssl_ca_certs=/nowhere",
            "rediss://r?ssl_ca_certs=/",
            "rediss://r?ssl_ca_path=/x",
        ),
        *("rediss://r?ssl_certfile=/nowhere", "rediss://r?ssl_keyfile=/nowhere"),
        *("redis://r/prod", "redis://r/0/1", "redis://r/-1", "redis://r/99999", "redis://r//1"),
        *("redis://r?ssl_cert_reqs=none", "redis://r?sokcet_timeout=1", "redis://r?db=1"),
        *("redis://r?socket_timeout=abc", "redis://r?socket_timeout=0", "redis://r?protocol=4"),
        *("redis://r?protocol=2&protocol=3", "redis://r?protocol", "redis://r#1"),
        *("rediss://r?ssl_cert_reqs=maybe", "rediss://r?ssl_check_hostname=perhaps"),
        *("redis://", "redis:///0", "redis://r:0", "redis://r:65536", "redis://r:x"),
        *("http://r", "r:6379", "unix://run/v.sock", "unix:", "redis://[::1"),
    ],
)
def test_a_url_that_would_be_read_wrongly_stops_the_start(url: str) -> None:
    """In one sentence that names the variable and what it may hold, without the password."""
    with pytest.raises(ValueError):  # noqa: PT011 - any sentence
        parsed(url)
    secret = url.replace("://", "://user:hunter2@", 1)
    with pytest.raises(
        SettingsError, match=r"^REDIS_URL is a secret; it may hold redis://"
    ) as raised:
        Settings.from_env({"REDIS_URL": secret if "://" in url else url})
    assert "hunter2" not in str(raised.value)
