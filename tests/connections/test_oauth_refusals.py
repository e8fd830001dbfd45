"""An account that is not as it was asked for is not connected, and the person reads why."""

from pathlib import Path
from typing import Any

import pytest

from tests.support.consenting import Browser, asked, connecting_gateway, connections
from tests.support.gateways import Relay
from tests.support.identity_provider import identifying
from tests.support.valkey import Valkey


async def audited(relay: Relay) -> list[dict[str, Any]]:
    found = (await relay.get("/audit")).json()["entries"]
    return [entry for entry in found if entry["event"].startswith("connection.")]


Case = tuple[str, dict[str, Any], str, str]
GOOGLE_ISSUER = "https://accounts.google.com"
CASES: list[Case] = [
    ("google", {"iss": "https://evil.example"}, "issuer", "not from the provider"),
    ("google", {"iss": None}, "issuer", "not from the provider"),
    ("microsoft", {"iss": "https://evil.example"}, "issuer", "not from the provider"),
    ("google", {"denied": "access_denied"}, "denied", "access was refused"),
    ("google", {"denied": "server_error"}, "unavailable", "at the moment"),
    ("microsoft", {"denied": "access_denied"}, "consent", "adminconsent"),
    ("google", {"claims": {"nonce": "other"}}, "identity", "whose account"),
    ("google", {"claims": {"aud": "other"}}, "identity", "whose account"),
    ("google", {"claims": {"exp": 1}}, "identity", "whose account"),
    ("google", {"claims": {"iss": GOOGLE_ISSUER}}, "identity", "whose account"),
    ("google", {"claims": {"email_verified": False}}, "identity", "whose account"),
    ("microsoft", {"claims": {"tid": "0" * 36}}, "identity", "whose account"),
    ("google", {"answers": {"id_token": "a.b"}}, "identity", "whose account"),
    ("google", {"claims": {"email": "bob@x.example"}}, "another_account", "bob@x.example"),
    ("microsoft", {"claims": {"preferred_username": "bob@x"}}, "another_account", "bob@x"),
    ("google", {"scopes": frozenset({"openid", "email"})}, "scopes", "has not granted"),
    ("google", {"offline": False}, "no_refresh_token", "no lasting access"),
    ("google", {"errors": [(400, {"error": "invalid_grant"})]}, "code_refused", "the code"),
    ("google", {"errors": [(401, {"error": "invalid_client"})]}, "misconfigured", "operator"),
    ("google", {"errors": [(500, {})]}, "unavailable", "no usable answer"),
    ("slack", {"errors": [(200, {"ok": False, "error": "invalid_code"})]}, "code_refused", "code"),
    ("github", {"errors": [(200, {"error": "bad_verification_code"})]}, "code_refused", "code"),
]


@pytest.mark.parametrize(("kind", "given", "reason", "sentence"), CASES)
async def test_what_is_not_as_asked_is_not_stored(
    kind: str, given: dict[str, Any], reason: str, sentence: str, valkey: Valkey, tmp_path: Path
) -> None:
    """In words, with the reason in the audit; the provider's own text is not shown."""
    async with (
        identifying(kind) as provider,
        connecting_gateway(valkey.url, tmp_path, provider) as keyed,
    ):
        for name, value in given.items():
            setattr(provider, name, value)
        expected = {"expected_account": "Ann@x.example"} if kind in ("google", "microsoft") else {}
        start_url = await asked(keyed.relay, provider, **expected)
        refused = await Browser(keyed).connect(start_url)
        assert refused.status_code == 400
        assert sentence in refused.text
        assert "said no" not in refused.text
        assert "AADSTS" not in refused.text
        assert await connections(keyed.relay) == []
        [entry] = await audited(keyed.relay)
        assert (entry["event"], entry["detail"]) == ("connection.denied", f"{kind}: {reason}")
        assert len(provider.forms) <= 1  # a code is exchanged once
