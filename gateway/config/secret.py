"""A secret value, and an IP network, as settings hold them."""

from ipaddress import IPv4Network, IPv6Network

Network = IPv4Network | IPv6Network


class Secret:
    """A value that no repr, log or error shows; call `reveal` where it is used."""

    __slots__ = ("_value",)

    def __init__(self, value: bytes) -> None:
        self._value = value

    def __repr__(self) -> str:
        return "Secret(…)"

    def reveal(self) -> bytes:
        return self._value
