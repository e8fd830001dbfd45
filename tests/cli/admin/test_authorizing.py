"""`relay connections authorize` prints the link for the owner of an account."""

import asyncio
from pathlib import Path

from tests.support.commanded import typed
from tests.support.consenting import Browser, connecting_gateway, connections
from tests.support.identity_provider import identifying
from tests.support.valkey import Valkey

WORDS = ("connections", "authorize", "google", "--actions", "google.gmail.send")


async def test_a_link_is_printed(valkey: Valkey, migrated_file: str, tmp_path: Path) -> None:
    """It connects the account; what the gateway refuses is one sentence."""
    async with (
        identifying() as provider,
        connecting_gateway(valkey.url, tmp_path / "g", provider) as keyed,
    ):
        relay = typed(migrated_file, tmp_path, RELAY_API_KEY=keyed.admin)
        at = ("--url", keyed.url)
        done = await asyncio.to_thread(relay.well, *WORDS, "--account", "ann@x.example", *at)
        assert (await Browser(keyed).connect(done.stdout.strip())).status_code == 200
        assert len(await connections(keyed.relay)) == 1
        other = ("connections", "authorize", "slack", "--actions", "slack.chat.post_message", *at)
        declined = await asyncio.to_thread(relay.declined, *other)
        assert "SLACK_CLIENT_ID" in declined
        nowhere = await asyncio.to_thread(relay.declined, *WORDS, "--url", "http://127.0.0.1:1")
        assert "cannot be reached" in nowhere
