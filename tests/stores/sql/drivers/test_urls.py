"""DATABASE_URL is what libpq takes; what asyncpg would misread is left out or refused."""

from pathlib import Path

import pytest

from stores.sql.drivers.urls import Server, parsed

APP = "application_name=relay"
SEVERAL = f"{APP}&target_session_attrs=read-write"

ACCEPTED = [
    ("postgresql://u:p@h:1/n", f"u:p@h:1/n?{APP}"),
    ("postgresql+asyncpg://h/n", f"h/n?{APP}"),
    ("postgres://u:p%40ss@h/n?sslmode=require", f"u:p%40ss@h/n?sslmode=require&{APP}"),
    ("postgresql://u:p@ss@h/n", f"u:p@ss@h/n?{APP}"),
    ("postgresql://", f"?{APP}"),
    ("postgresql:///name", f"/name?{APP}"),
    ("postgresql://u@/n?host=/cloudsql/a:b:c", f"u@/n?host=%2Fcloudsql%2Fa%3Ab%3Ac&{APP}"),
    ("postgresql://u@%2Fvar%2Frun/n", f"u@%2Fvar%2Frun/n?{APP}"),
    ("postgresql://[::1]:5432/n", f"[::1]:5432/n?{APP}"),
    ("postgresql://a:1,b:65535/n", f"a:1,b:65535/n?{SEVERAL}"),
    ("postgresql://h/n?port=65535", f"h/n?port=65535&{APP}"),
    ("postgresql:///n?host=a,b", f"/n?host=a%2Cb&{SEVERAL}"),
    ("postgresql://a,b/n?target_session_attrs=any", f"a,b/n?target_session_attrs=any&{APP}"),
    ("postgresql://h/n?application_name=mine", "h/n?application_name=mine"),
    ("postgresql://h/n?channel_binding=require&connect_timeout=3", f"h/n?{APP}"),
    (
        "postgresql://h/n?options=-c%20search_path%3Drelay",
        f"h/n?options=-c+search_path%3Drelay&{APP}",
    ),
]


@pytest.mark.parametrize(("given", "taken"), ACCEPTED)
def test_urls_of_libpq_are_accepted(given: str, taken: str) -> None:
    assert parsed(given, Path("/data")) == Server(f"postgresql://{taken}")


@pytest.mark.parametrize(
    ("given", "file"),
    [
        (None, "/data/relay.db"),
        ("sqlite:////other/file.db", "/other/file.db"),
        ("sqlite+aiosqlite:////other/file.db", "/other/file.db"),
        ("sqlite:///here.db", str(Path("here.db").absolute())),
    ],
)
def test_a_file_is_a_path(given: str | None, file: str) -> None:
    assert parsed(given, Path("/data")) == Path(file)


REFUSED = [
    *("", "pg-canary", "mysql://u:pg-canary@h/n", "postgresql+psycopg://u:pg-canary@h/n"),
    *("sqlite://", "sqlite:///", "sqlite:///:memory:", "sqlite:////f.db?mode=pg-canary"),
    *("postgresql://u:pg-canary@h:port/n", "postgresql://u:pg-canary@h:0/n"),
    *("postgresql://u:pg-canary@h:65536/n", "postgresql://u:pg-canary@a:1,b:x/n"),
    *("postgresql://u:pg-canary@h/n?port=0", "postgresql://u:pg-canary@h/n?port=1,x"),
    *("postgresql://u:pg#canary@h/n", "postgresql://u:pg-canary@h/n#"),
    *("postgresql://u:pg-canary@[::1/n", "postgresql://u:pg-canary@::1/n"),
    *("postgresql://u:pg-canary@h/n?sslmode=pg-canary", "postgresql://u:pg-canary@h/n?sslmod"),
    *("postgresql://u:pg-canary@h/n?sslmode=Require", "postgresql://u:pg-canary@h/n?ssl=true"),
    "postgresql://u:pg-canary@h/n?target_session_attrs=write",
    "postgresql://u:pg-canary@h/n?requirepeer=postgres",
    *(
        "postgresql://u:pg-canary@h/n?connect_timeout=abc",
        "postgresql://u:pg-canary@h/n?keepalives=-1",
    ),
    *("postgresql://u:pg-canary@h/n?gssencmode=x", "postgresql://u:pg-canary@h/n%00"),
    *("postgresql://u:pg-canary@h/n?sslrootcert=/none", "sqlite:////"),
]


@pytest.mark.parametrize("url", REFUSED)
def test_another_url_is_refused_without_its_password(url: str) -> None:
    """A database in memory would be another one for every connection."""
    with pytest.raises(ValueError, match=r".") as caught:
        parsed(url, Path("/data"))
    assert "canary" not in str(caught.value)
    assert caught.value.__cause__ is None


def test_a_server_is_shown_without_its_password() -> None:
    assert "canary" not in repr(parsed("postgresql://u:canary@h/n", Path()))
