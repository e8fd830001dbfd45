"""Attributes of the client span of a send (semantic conventions for HTTP 1.44, client)."""

from yarl import URL

from gateway.telemetry.spans import Span

# Characters. Secrets in paths (Slack, Discord, Telegram) are longer; ids of users and channels are
# shorter.
PART_MAX = 12


def describe(client: Span, method: str, url: URL, run_id: str) -> None:
    if client.trace.record:
        client.attrs.update(
            {
                "http.request.method": method,
                "server.address": url.raw_host or "",
                "server.port": url.port or 0,
                "url.full": redacted(url),
                "relay.run_id": run_id,
            }
        )


def end(client: Span, status_code: int) -> None:
    client.attrs["http.response.status_code"] = status_code
    if status_code >= 400 and not client.failed:
        client.fail(str(status_code))


def redacted(url: URL) -> str:
    """The URL without what may be secret: user, query, fragment and long parts of its path."""
    parts = (part if len(part) <= PART_MAX else "REDACTED" for part in url.raw_path.split("/"))
    port = "" if url.explicit_port is None else f":{url.explicit_port}"
    host = f"[{url.raw_host}]" if ":" in (url.raw_host or "") else url.raw_host
    return f"{url.scheme}://{host}{port}{'/'.join(parts)}"
