"""URLs that a command is given."""

import httpx2


def http_url(text: str) -> httpx2.URL | None:
    """None for what no request can go to: the client would fail late, in ways of its own."""
    try:
        url = httpx2.URL(text)
    except httpx2.InvalidURL:
        return None
    usable = url.scheme in ("http", "https") and url.host and 0 <= (url.port or 0) <= 65535
    return url if usable else None
