"""Whose pages may call a server that listens for programs on this machine (Fetch standard, Origin).

A name that an attacker lets resolve to this machine, after its page was loaded, makes a browser
send what the page wants to a gateway that only this machine reaches (DNS rebinding).
"""

from collections.abc import Collection
from typing import Any, NamedTuple
from urllib.parse import urlsplit

from starlette.requests import Request

from gateway.http.requests import header_values
from gateway.problems import CrossSite

LOCAL = ("localhost", "127.0.0.1", "::1")


class Origins(NamedTuple):
    """`known`: may call. `own_local`: so may pages of this very address, if it is a local one."""

    known: Collection[str]
    own_local: bool

    def check(self, request: Request[Any]) -> None:
        """Programs send no Origin. Raises CrossSite."""
        for origin in header_values(request, b"origin"):
            if origin not in self.known and not (self.own_local and _is_own(request, origin)):
                raise CrossSite("Pages of this origin may not call; see CORS_ORIGINS.")


def _is_own(request: Request[Any], origin: str) -> bool:
    hosts = header_values(request, b"host")
    return origin in {f"http://{host}" for host in hosts} and urlsplit(origin).hostname in LOCAL
