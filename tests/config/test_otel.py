"""OpenTelemetry's own variables are checked before its SDK is loaded."""

import os
import subprocess
import sys

import pytest

from gateway.config.otel import RULES
from gateway.config.settings import Settings
from gateway.config.variables import SettingsError

GOOD = {
    "OTEL_TRACES_SAMPLER": "traceidratio",
    "OTEL_TRACES_SAMPLER_ARG": "0.25",
    "OTEL_EXPORTER_OTLP_COMPRESSION": "gzip",
    "OTEL_EXPORTER_OTLP_TRACES_COMPRESSION": "none",
}


@pytest.mark.parametrize("name", RULES)
def test_nonsense_stops_the_start_in_one_sentence(name: str) -> None:
    assert Settings.from_env({name: GOOD.get(name, "10")})
    assert Settings.from_env({name: ""})
    for text in ("nonsense", "-1", "1e99"):
        with pytest.raises(SettingsError, match=rf"^{name} is '{text}'; it may hold "):
            Settings.from_env({name: text})


@pytest.mark.parametrize(
    ("name", "text"), [("OTEL_SPAN_LINK_COUNT_LIMIT", "x"), ("OTEL_BSP_SCHEDULE_DELAY", "0")]
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
