"""A DNS server over UDP, so that tests discover replicas as the stack does."""

import socket
import socketserver
import struct
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from threading import Thread

HEADER = struct.Struct("!6H")
A, INTERNET = 1, 1
# An answer, with recursion; its low bits say that all is well, or that there is no such name.
FOUND, NO_SUCH_NAME = 0x8180, 0x8183


def answer(query: bytes, names: Mapping[str, Sequence[str]]) -> bytes:
    """RFC 1035: the addresses of the name in the query; none for any type but A."""
    number, _, _, _, _, _ = HEADER.unpack_from(query)
    end, labels = HEADER.size, []
    while length := query[end]:
        labels.append(query[end + 1 : end + 1 + length].decode())
        end += 1 + length
    question = query[HEADER.size : end + 5]
    (kind,) = struct.unpack_from("!H", query, end + 1)
    known = names.get(".".join(labels).lower())
    addresses = (known or []) if kind == A else []
    flags = NO_SUCH_NAME if known is None else FOUND
    # 0xc00c: the name is the one of the question. A TTL of ten minutes, as Docker has it.
    records = [
        struct.pack("!HHHIH", 0xC00C, A, INTERNET, 600, 4) + socket.inet_aton(address)
        for address in addresses
    ]
    return HEADER.pack(number, flags, 1, len(records), 0, 0) + question + b"".join(records)


@contextmanager
def name_server(host: str, names: Mapping[str, Sequence[str]]) -> Iterator[int]:
    """Serve names while the block lasts; `names` may change. Yields the port: 53 where that is
    allowed.
    """

    class Handler(socketserver.DatagramRequestHandler):
        def handle(self) -> None:
            self.wfile.write(answer(self.rfile.read(), names))

    try:
        server = socketserver.UDPServer((host, 53), Handler)
    except PermissionError:
        server = socketserver.UDPServer((host, 0), Handler)
    thread = Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
    thread.start()
    try:
        yield server.server_address[1]
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
