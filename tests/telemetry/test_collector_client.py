"""Batches reach a collector as OpenTelemetry's variables configure, with retries."""

import asyncio
import gzip
import ssl
import time
import zlib
from pathlib import Path

import pytest
import trustme

from gateway.telemetry.export import CollectorClient
from tests.support.target import Answer, Target, hang, listening, reset, status


async def posted(url: str, message: bytes = b"spans") -> int:
    client = CollectorClient(url)
    try:
        return await asyncio.to_thread(client.post, message)
    finally:
        client.close()


def answering(target: Target, *answers: Answer) -> None:
    """Answer each request with the next of these."""
    rest = iter(answers)

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await next(rest)(reader, writer)

    target.answer = answer


@pytest.mark.parametrize("variable", ["OTEL_EXPORTER_OTLP_", "OTEL_EXPORTER_OTLP_TRACES_"])
async def test_headers_come_from_the_environment(
    target: Target, monkeypatch: pytest.MonkeyPatch, variable: str
) -> None:
    """The variable for traces wins, and values are percent-encoded."""
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_HEADERS", "api-key=all")
    monkeypatch.setenv(f"{variable}HEADERS", "api-key=a%20b,x-scope=relay")
    assert await posted(target.url) == 200
    [delivery] = target.deliveries
    assert (delivery.header("api-key"), delivery.header("x-scope")) == ("a b", "relay")
    assert delivery.header("content-type") == "application/x-protobuf"
    assert delivery.body == b"spans"


async def test_a_netrc_gives_no_password(
    target: Target, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """The header that the variable sets reaches the collector; requests would replace it."""
    (tmp_path / "netrc").write_text("default login a password b\n")
    monkeypatch.setenv("NETRC", str(tmp_path / "netrc"))
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_HEADERS", "authorization=Bearer%20ours")
    assert await posted(target.url) == 200
    [delivery] = target.deliveries
    assert delivery.header("authorization") == "Bearer ours"


async def test_the_endpoint_may_hold_a_password(target: Target) -> None:
    assert await posted(target.url.replace("//", "//user:secret@")) == 200
    [delivery] = target.deliveries
    assert delivery.header("authorization") == "Basic dXNlcjpzZWNyZXQ="


@pytest.mark.parametrize(
    ("name", "decompress"),
    [("gzip", gzip.decompress), ("Deflate", zlib.decompress), ("none", bytes), ("zstd", bytes)],
)
async def test_batches_are_compressed(
    target: Target, monkeypatch: pytest.MonkeyPatch, name: str, decompress: type[bytes]
) -> None:
    """With gzip or deflate. Any other compression means none."""
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_COMPRESSION", name)
    assert await posted(target.url, b"spans" * 100) == 200
    [delivery] = target.deliveries
    assert decompress(delivery.body) == b"spans" * 100
    encoding = dict(delivery.headers).get("Content-Encoding")
    assert encoding == (None if decompress is bytes else name.lower())


async def test_a_collector_proves_its_certificate_and_gets_ours(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without its authority, or without our own certificate, no batch is sent."""
    authority = trustme.CA(key_type=trustme.KeyType.ECDSA)
    authority.cert_pem.write_to_path(tmp_path / "ca.pem")
    ours = authority.issue_cert("relay.example")
    ours.private_key_and_cert_chain_pem.write_to_path(tmp_path / "client.pem")
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    tls.verify_mode = ssl.CERT_REQUIRED
    authority.configure_trust(tls)
    authority.issue_cert("127.0.0.1").configure_cert(tls)

    async with listening(tls) as target:
        assert await posted(target.url) == 0
        monkeypatch.setenv("OTEL_EXPORTER_OTLP_CERTIFICATE", str(tmp_path / "ca.pem"))
        assert await posted(target.url) == 0
        client_certificate = str(tmp_path / "client.pem")
        monkeypatch.setenv("OTEL_EXPORTER_OTLP_CLIENT_CERTIFICATE", client_certificate)
        assert await posted(target.url) == 200
    assert [delivery.body for delivery in target.deliveries] == [b"spans"]


async def test_a_certificate_that_has_gone_loses_a_batch_and_no_more(
    target: Target, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its file was there at the start. The thread of the exporter goes on."""
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_TIMEOUT", "0.2")
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_CERTIFICATE", str(tmp_path / "gone.pem"))
    assert await posted(target.url.replace("http:", "https:")) == 0


async def test_a_busy_collector_gets_the_batch_again(target: Target) -> None:
    """A 503 is retried after a second."""
    answering(target, status(503), status(200))
    started = time.monotonic()
    assert await posted(target.url) == 200
    assert 1 <= time.monotonic() - started < 1.9
    assert len(target.deliveries) == 2


@pytest.mark.parametrize("code", [400, 413, 500, 307])
async def test_other_refusals_are_not_retried(target: Target, code: int) -> None:
    """The collector would refuse the same batch again (OTLP 1.7, 2.5.2)."""
    target.answer = status(code, b"", "Location: /elsewhere")
    assert await posted(target.url) == code
    assert len(target.deliveries) == 1


async def test_retry_after_beyond_the_timeout_ends_the_attempts(target: Target) -> None:
    """The batch is given up at once. A pause within the timeout is respected."""
    target.answer = status(503, b"", "Retry-After: 60")
    started = time.monotonic()
    assert await posted(target.url) == 503
    assert time.monotonic() - started < 1
    answering(target, status(429, b"", "Retry-After: 0"), status(200))
    assert await posted(target.url) == 200


async def test_a_lost_connection_is_replaced_at_once(target: Target) -> None:
    """A collector may close idle connections; no batch waits for that."""
    answering(target, reset, status(200))
    started = time.monotonic()
    assert await posted(target.url) == 200
    assert time.monotonic() - started < 1


async def test_batches_share_a_connection(target: Target) -> None:
    """Whether or not the responses have a body."""
    client = CollectorClient(target.url)
    for body in (b"", b"{}", b""):
        target.answer = status(200, body)
        assert await asyncio.to_thread(client.post, b"spans") == 200
    client.close()
    assert target.connections == 1


@pytest.mark.parametrize("variable", ["TIMEOUT", "TRACES_TIMEOUT"])
async def test_the_timeout_bounds_a_batch(
    target: Target, monkeypatch: pytest.MonkeyPatch, variable: str
) -> None:
    """The variables hold seconds."""
    monkeypatch.setenv(f"OTEL_EXPORTER_OTLP_{variable}", "0.3")
    target.answer = hang
    started = time.monotonic()
    assert await posted(target.url) == 0
    assert time.monotonic() - started < 1.5
