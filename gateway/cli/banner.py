"""What a gateway says when it starts."""

import click

from gateway.config.settings import Settings

# Development alone; the first key ends it.
ANYBODY = 'none was made: whoever asks may do everything, in the workspace "default"'


def announce(settings: Settings, url: str, *, open_to_all: bool) -> None:
    """Say where it listens, what it stores in, and what to try first."""
    embedded = f"embedded Valkey, data in {settings.data_dir}"
    click.echo(
        f"Relay listens on {url} ({settings.env})\n"
        f"Store: {'the server of REDIS_URL' if settings.redis_url else embedded}\n"
        f"Keys:  {ANYBODY if open_to_all else 'demanded of every request'}\n"
        f"Seen:  {_seen(settings)}\n"
        f"Try:   curl {url}/actions/preview -H 'Content-Type: application/json' \\\n"
        """         -d '{"action": "webhook.save", "params": """
        """{"url": "https://example.com/hook", "body": {"test": "hello"}}}'"""
    )


def _seen(settings: Settings) -> str:
    """What is kept of requests, and what is only half set up."""
    metrics = "metrics at /metrics" if settings.counting else "no metrics"
    if not settings.tracing:
        return f"{metrics}, no traces"
    if settings.traces_endpoint:
        return f"{metrics}, traces exported over OTLP"
    links = ": links will lead to nothing" if settings.trace_link else ""
    return f"{metrics}, traces not exported (OTEL_EXPORTER_OTLP_ENDPOINT is not set{links})"
