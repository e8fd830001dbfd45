"""OpenTelemetry's own variables are checked before its SDK is loaded."""

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import certifi
import pytest
import trustme
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    PrivateFormat,
    load_pem_private_key,
)
from opentelemetry.util.re import parse_env_headers

from gateway.config.otel import RULES
from gateway.config.settings import Settings
from gateway.config.variables import SettingsError

GOOD = {
    "OTEL_TRACES_SAMPLER": "traceidratio",
    "OTEL_PYTHON_CONTEXT": "contextvars_context",
    "OTEL_TRACES_SAMPLER_ARG": "0.25",
    "OTEL_EXPORTER_OTLP_COMPRESSION": "gzip",
    "OTEL_EXPORTER_OTLP_TRACES_COMPRESSION": "none",
    "OTEL_EXPORTER_OTLP_TRACES_PROTOCOL": "http/protobuf",
    "OTEL_PYTHON_METER_PROVIDER": "sdk_meter_provider",
    "OTEL_RESOURCE_ATTRIBUTES": "service.namespace=a, k8s=b=c,",
    **dict.fromkeys((name for name in RULES if name.endswith("_HEADERS")), "api-key=a%20b"),
    **dict.fromkeys((name for name in RULES if name.endswith("_CERTIFICATE")), certifi.where()),
}
CERTIFICATE = "OTEL_EXPORTER_OTLP_CLIENT_CERTIFICATE"
KEY = "OTEL_EXPORTER_OTLP_CLIENT_KEY"


@pytest.mark.parametrize("name", RULES)
def test_nonsense_stops_the_start_in_one_sentence(name: str) -> None:
    assert Settings.from_env({name: GOOD.get(name, "10")})
    assert Settings.from_env({name: ""})
    for text in ("nonsense", "-1", "1e99", " "):
        held = "a secret" if RULES[name].secret else f"'{text}'"
        if text.strip() or not RULES[name].secret:
            with pytest.raises(SettingsError, match=rf"^{name} is {held}; it may hold "):
                Settings.from_env({name: text})


@pytest.mark.parametrize("text", ["nan", "٠", "1_0", "+1", "1.1", "0x1", "1e1"])
def test_a_ratio_is_plain(text: str) -> None:
    """`float` takes more than the specification means."""
    with pytest.raises(SettingsError):
        Settings.from_env({"OTEL_TRACES_SAMPLER_ARG": text})


@pytest.mark.parametrize("text", ["a=b,c", "=b", "a=b, =c"])
def test_an_attribute_has_a_name(text: str) -> None:
    with pytest.raises(SettingsError, match=r"^OTEL_RESOURCE_ATTRIBUTES is "):
        Settings.from_env({"OTEL_RESOURCE_ATTRIBUTES": text})


@pytest.mark.parametrize(
    ("text", "sent"),
    [
        ("a=b", {"a": "b"}),
        ("a=b , X-Scope = c d,", {"a": "b", "x-scope": "c d"}),
        ("authorization=Basic%20YQ==", {"authorization": "Basic YQ=="}),
        ("a=", {"a": ""}),
        ("a", None),
        ("=b", None),
        ("a b=c", None),
        ("a=b;c", None),
        ("a=b%0Ac", None),
        ("a=b%0D", None),
        ("a%0A=b", None),
        ("a%3A=b", None),
        ("a=%E2%82%AC", None),
        ("a=€", None),
    ],
)
def test_headers_are_those_that_can_be_sent(text: str, sent: dict[str, str] | None) -> None:
    """One that the SDK would leave out, or that no request can have, stops the start. It may be a
    secret, and is not repeated.
    """
    name = "OTEL_EXPORTER_OTLP_HEADERS"
    if sent is not None:
        assert Settings.from_env({name: text})
        assert parse_env_headers(text, liberal=True) == sent
    else:
        with pytest.raises(SettingsError, match=f"^{name} is a secret; it may hold "):
            Settings.from_env({name: text})


@pytest.fixture
def pem(tmp_path: Path) -> Callable[[str], str]:
    """Files: a certificate with its key, each alone, keys that do not do, and no PEM."""
    made, other = (trustme.CA().issue_cert("relay.example") for _ in range(2))
    key = made.private_key_pem.bytes()
    password = BestAvailableEncryption(b"hunter2")
    locked = load_pem_private_key(key, None).private_bytes(
        Encoding.PEM, PrivateFormat.PKCS8, password
    )
    files = {
        "certificate": made.cert_chain_pems[0].bytes(),
        "key": key,
        "both": made.private_key_and_cert_chain_pem.bytes(),
        "other": other.private_key_pem.bytes(),
        "locked": locked,
        "both, locked": locked + made.cert_chain_pems[0].bytes(),
        "text": b"-----BEGIN CERTIFICATE-----\nno\n-----END CERTIFICATE-----\n",
        "empty": b"",
    }
    for name, content in files.items():
        (tmp_path / name).write_bytes(content)
    (tmp_path / "folder").mkdir()
    return lambda name: str(tmp_path / name)


@pytest.mark.parametrize("name", ["missing", "folder", "text", "empty", "key"])
@pytest.mark.parametrize(
    "variable", [CERTIFICATE, *(name for name in RULES if name.endswith("_CERTIFICATE"))]
)
def test_a_file_without_certificates_stops_the_start(
    pem: Callable[[str], str], variable: str, name: str
) -> None:
    """Otherwise each export would fail, and the first sign of it be a dropped span."""
    held = f"^{variable} is '{pem(name)}'; it may hold the path of a file with certificates in PEM"
    with pytest.raises(SettingsError, match=held):
        Settings.from_env({variable: pem(name)})


@pytest.mark.parametrize("signal", ["", "TRACES_"])
@pytest.mark.parametrize(
    ("certificate", "key", "wrong"),
    [
        ("both", None, None),
        ("certificate", "key", None),
        ("both", "key", None),
        ("certificate", None, CERTIFICATE),
        ("both, locked", None, CERTIFICATE),
        ("certificate", "other", KEY),
        ("certificate", "locked", KEY),
        ("certificate", "text", KEY),
        ("certificate", "missing", KEY),
        ("certificate", "folder", KEY),
        (None, "key", KEY),
    ],
)
def test_a_key_that_is_not_of_its_certificate_stops_the_start(
    pem: Callable[[str], str],
    signal: str,
    certificate: str | None,
    key: str | None,
    wrong: str | None,
) -> None:
    """So does an encrypted one: its password would be asked for on the terminal."""
    given = {CERTIFICATE: certificate, KEY: key}
    environ = {
        name.replace("CLIENT", f"{signal}CLIENT"): pem(file) for name, file in given.items() if file
    }
    if wrong is None:
        assert Settings.from_env(environ)
        return
    with pytest.raises(SettingsError, match=f"^{wrong.replace('CLIENT', signal + 'CLIENT')} is "):
        Settings.from_env(environ)


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("OTEL_SPAN_LINK_COUNT_LIMIT", "x"),
        ("OTEL_BSP_SCHEDULE_DELAY", "0"),
        (CERTIFICATE, "/no/such/file"),
    ],
)
def test_the_command_prints_no_traceback(name: str, text: str) -> None:
    """Also for what ends the SDK while it is loaded."""
    done = subprocess.run(
        [sys.executable, "-m", "gateway", "serve", "--port", "0"],
        env={**os.environ, name: text},
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )
    assert done.returncode == 1
    assert done.stderr.startswith(f"Error: {name} is '{text}'; it may hold ")
    assert len(done.stderr.splitlines()) == 1
