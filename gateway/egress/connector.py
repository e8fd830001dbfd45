"""Connect to a target: only to addresses that the guard allows.

The guard checks in the three places that every connection passes: the answers of the resolver,
where one refused address refuses the name; an address in the URL; and the address to which the
socket is finally connected.
"""

import asyncio
import socket
import ssl
from collections.abc import Sequence
from ipaddress import ip_address
from time import monotonic
from typing import Any

import aiohappyeyeballs
from yarl import URL

from gateway.egress.addresses import literal
from gateway.egress.exchange import Connection
from gateway.egress.guard import Guard

# Seconds after which the next address is tried too (RFC 8305, 5).
NEXT_ADDRESS = 0.25
# Seconds for which previews take a name for accepted. Resolving it takes a thread and a query.
KNOWN_FOR = 5.0
KNOWN_MAX = 1000

Infos = Sequence[tuple[int, int, int, str, Any]]  # what getaddrinfo answers


class Unresolved(OSError):
    """The name has no address."""


class Connector:
    """`tls`: the authorities to trust."""

    def __init__(self, guard: Guard, tls: ssl.SSLContext) -> None:
        self._guard = guard
        self._tls = tls
        self._known: dict[tuple[str | None, int | None], float] = {}

    def known(self, url: URL) -> bool:
        """Whether the host is an address, or a name that was accepted a moment ago."""
        assert url.raw_host  # the guard refuses any other URL
        if literal(url.raw_host):
            return True
        return self._known.get((url.raw_host, url.port), 0) > monotonic()

    async def look_up(self, url: URL) -> None:
        """Check the addresses of a name ahead of a send, which resolves it again.

        Raises TargetRefusal and Unresolved.
        """
        assert url.raw_host
        await self.resolve(url.raw_host, url.port or 0)
        if len(self._known) >= KNOWN_MAX:
            self._known.clear()
        self._known[url.raw_host, url.port] = monotonic() + KNOWN_FOR

    async def resolve(self, host: str, port: int) -> Infos:
        """Raises TargetRefusal unless every address is allowed, and Unresolved."""
        loop = asyncio.get_running_loop()
        try:
            answers = await loop.getaddrinfo(host, port, type=socket.SOCK_STREAM)
        except (OSError, UnicodeError) as error:  # an empty label, or one of over 63 characters
            raise Unresolved(str(error)) from error
        if not answers:
            raise Unresolved("the resolver answered without an address")
        for answer in answers:
            self._guard.check_address(ip_address(answer[4][0]), port=port, host=host)
        return answers

    async def connect(self, url: URL) -> Connection:
        """Raises TargetRefusal, Unresolved, ssl.SSLError, OSError. Nothing of a request is sent."""
        assert url.raw_host  # the guard refuses any other URL
        assert url.port
        sock = await self._dial(url.raw_host, url.port)
        secure = url.scheme == "https"
        try:
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            _, connection = await asyncio.get_running_loop().create_connection(
                lambda: Connection(sock),
                sock=sock,
                ssl=self._tls if secure else None,
                server_hostname=url.raw_host.removesuffix(".") if secure else None,
            )
        except BaseException:
            sock.close()
            raise
        return connection

    async def _dial(self, host: str, port: int) -> socket.socket:
        infos: Infos
        if address := literal(host):
            self._guard.check_address(address, port=port)
            infos = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
        else:
            infos = await self.resolve(host, port)
        sock = await aiohappyeyeballs.start_connection(
            infos, happy_eyeballs_delay=NEXT_ADDRESS, interleave=1
        )
        try:
            self._check_peer(sock, infos, port)
        except BaseException:
            sock.close()
            raise
        return sock

    def _check_peer(self, sock: socket.socket, infos: Infos, port: int) -> None:
        """0.0.0.0, for one, connects to another address."""
        peer = ip_address(sock.getpeername()[0])
        if peer not in {ip_address(info[4][0]) for info in infos}:
            self._guard.check_address(peer, port=port)
