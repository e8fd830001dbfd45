"""Ask a gateway for the link with which a person connects an account."""

import os
from collections.abc import Mapping
from typing import Any
from urllib.parse import quote

import click
import httpx2
import msgspec

from gateway.api.oauth.authorize import AuthorizeBody
from gateway.cli.approvals.gateway import refusal
from gateway.cli.approvals.shown import spelled
from gateway.cli.options import http_url
from gateway.config.settings import Settings
from gateway.config.variables import SettingsError

# Seconds, for each step of the request.
PATIENCE = 10.0


def start_url(url: str, provider: str, asked: Mapping[str, Any]) -> str:
    """Raises ClickException."""
    if (base := http_url(url)) is None:
        raise click.UsageError("the URL of the gateway must be like http://host:port")
    try:
        bearer = Settings.from_env(os.environ).bearer
    except SettingsError as error:
        raise click.ClickException(str(error)) from error
    path = f"connections/{quote(provider, safe='')}/authorize"
    try:
        with httpx2.Client(
            base_url=base, timeout=PATIENCE, trust_env=False, headers=bearer
        ) as client:
            answer = client.post(path, json=asked)
    except httpx2.HTTPError as error:
        detail = f"the gateway cannot be reached: {spelled(str(error))}"
        raise click.ClickException(detail) from error
    if answer.status_code != 201:
        raise click.ClickException(refusal(answer))
    try:
        return spelled(msgspec.json.decode(answer.content, type=AuthorizeBody).start_url)
    except msgspec.DecodeError as error:
        raise click.ClickException("this is not a gateway of Relay") from error
