"""Every instrument, and how they are read."""

from prometheus_client import REGISTRY, Info
from prometheus_client.exposition import choose_encoder

from gateway.version import VERSION

build = Info("relay_build", "Which version runs.")
build.info({"version": VERSION})


def exposition(accept: str) -> tuple[bytes, str]:
    """All instruments in the form that the scraper asks for, and its media type."""
    encode, media_type = choose_encoder(accept)
    return encode(REGISTRY), media_type
