"""Which assertions count: signed by the issuer, for this gateway, now."""

import base64
import hmac
import json
import time
import warnings
from collections.abc import Mapping
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from joserfc.jwk import ECKey, Key
from starlette.requests import Request

from gateway.access.assertions import (
    ALGORITHMS,
    COUNTS_MAX,
    COUNTS_MIN,
    LEEWAY,
    Assertions,
    Trust,
    trusting,
)
from gateway.access.issuer_keys import IssuerKeys
from gateway.config.variables import SettingsError
from gateway.outcomes import Answered
from gateway.problems import AssertionRefused, IssuerUnavailable
from tests.support.issuer import AUDIENCE, HEADER, ROLES, claims, ec, ed, public, rsa, sign

ISSUER = "https://login.example"
TRUST = Trust(ISSUER, AUDIENCE, HEADER.lower().encode(), "default", ROLES, jwks=f"{ISSUER}/keys")
NOW = int(time.time())


async def knowing(*keys: Key, **more: str) -> Assertions:
    """At NOW, with these keys of the issuer."""
    document = json.dumps(public(*keys, **more))

    async def fetch(url: str, *, deadline: float) -> Answered:
        return Answered(status_code=200, response=document, truncated=False)

    issuer_keys = IssuerKeys(fetch, ISSUER, jwks_url=TRUST.jwks)
    await issuer_keys.refresh()
    return Assertions(TRUST, issuer_keys, clock=lambda: NOW)


def ann(**given: Any) -> dict[str, Any]:
    return claims(ISSUER, **{"iat": NOW, "exp": NOW + 300, **given})


def refusal(assertions: Assertions, text: str) -> str:
    with pytest.raises(AssertionRefused) as caught:
        assertions.verify(text)
    assert len(text) < 20 or text not in str(caught.value)
    return str(caught.value)


async def test_what_the_issuer_signs_counts() -> None:
    """The groups without a role are left out."""
    signed = sign(ann(groups=["admins", "choir", "staff"]), rsa("first"))
    found = (await knowing(rsa("first"))).verify(signed)
    assert (found.subject, found.groups) == (f"oidc:{ISSUER}|ann", ["admins", "staff"])


@pytest.mark.parametrize("algorithm", ALGORITHMS)
async def test_every_asymmetric_algorithm_counts(algorithm: str) -> None:
    curves = {"ES384": "P-384", "ES512": "P-521"}
    kinds: dict[str, Key] = {"ES": ec("k"), "RS": rsa("k"), "PS": rsa("k"), "Ed": ed("k")}
    key = kinds[algorithm[:2]]
    if algorithm in curves:
        key = ECKey.generate_key(curves[algorithm], {"kid": "k"})
    with warnings.catch_warnings(action="ignore"):  # EdDSA has a newer name
        signed = sign(ann(), key, algorithm)
    assert (await knowing(key)).verify(signed).subject.endswith("|ann")


LATE, EARLY = NOW - LEEWAY, NOW + LEEWAY
WRONG: list[tuple[Mapping[str, Any], str]] = [
    ({"iss": "https://login.example.org"}, "another issuer"),
    ({"iss": f"{ISSUER}/"}, "another issuer"),
    ({"iss": None}, "lacks `iss`"),
    ({"aud": "relay2"}, "another audience"),
    ({"aud": ["other", "others"]}, "another audience"),
    ({"aud": []}, "another audience"),
    ({"aud": None}, "lacks `aud`"),
    ({"exp": LATE}, "has expired"),
    ({"exp": "never"}, "`exp`"),
    ({"exp": True}, "`exp`"),
    ({"exp": None}, "lacks `exp`"),
    ({"nbf": EARLY + 1}, "not valid yet (`nbf`)"),
    ({"iat": EARLY + 1}, "not valid yet (`iat`)"),
    ({"iat": None}, "lacks `iat`"),
    ({"sub": None}, "lacks `sub`"),
    ({"sub": ""}, "`sub`"),
    ({"sub": "ann smith"}, "`sub`"),
    ({"sub": "ann\u202e"}, "`sub`"),
    ({"sub": "a" * 256}, "`sub`"),
    ({"sub": 7}, "`sub`"),
    ({"groups": "approvers"}, "`groups`"),
    ({"groups": {"approvers": True}}, "`groups`"),
]


@pytest.mark.parametrize(("wrong", "words"), WRONG)
async def test_each_wrong_claim_is_refused_by_name(wrong: dict[str, Any], words: str) -> None:
    detail = refusal(await knowing(rsa("first")), sign(ann(**wrong), rsa("first")))
    assert words in detail
    assert HEADER.lower() in detail


NEIGHBOURS: list[dict[str, Any]] = [
    {"exp": LATE + 1},
    {"nbf": EARLY},
    {"nbf": NOW - 60},
    {"iat": EARLY},
    {"aud": ["other", AUDIENCE]},
    {"sub": "a" * 255},
    {"groups": [7, None, "approvers"]},
    {"exp": NOW + 0.5},
    {"exp": 10**400},
    {"unknown": {"x": 1}},
]


@pytest.mark.parametrize("claim", NEIGHBOURS)
async def test_what_is_just_right_counts(claim: dict[str, Any]) -> None:
    assert (await knowing(rsa("first"))).verify(sign(ann(**claim), rsa("first")))


def unsigned(header: object, said: object, signature: bytes = b"") -> str:
    parts = (json.dumps(header).encode(), json.dumps(said).encode(), signature)
    return ".".join(base64.urlsafe_b64encode(part).decode().rstrip("=") for part in parts)


@pytest.mark.parametrize("algorithm", ["none", "None", "HS256", "HS512", "", None, 7, ["RS256"]])
async def test_an_algorithm_that_proves_no_signer_is_refused(algorithm: object) -> None:
    text = unsigned({"alg": algorithm, "kid": "first"}, ann())
    assert "algorithm" in refusal(await knowing(rsa("first")), text)


async def test_a_public_key_is_no_secret() -> None:
    """HS256 over the bytes of the issuer's public key, in each form that it is written in."""
    key, assertions = rsa("first"), await knowing(rsa("first"))
    forms = (key.as_pem(private=False), json.dumps(key.as_dict(private=False)).encode())
    for form in forms:
        start = unsigned({"alg": "HS256", "kid": "first"}, ann()).rpartition(".")[0]
        mac = base64.urlsafe_b64encode(hmac.digest(form, start.encode(), "sha256"))
        assert "algorithm" in refusal(assertions, f"{start}.{mac.decode().rstrip('=')}")


async def test_a_key_signs_with_its_own_algorithm_alone() -> None:
    """Neither with that of another kind, nor where its document names one."""
    assertions = await knowing(ec("curve"), rsa("first"))
    text = sign(ann(), rsa("first"), kid="curve")
    assert "not signed by the issuer" in refusal(assertions, text)
    named = await knowing(rsa("first"), alg="RS512")
    assert "not signed by the issuer" in refusal(named, sign(ann(), rsa("first")))


async def test_another_signer_is_refused() -> None:
    """With the id of a known key, with an unknown one, with none, and with a key of its own."""
    assertions, own = await knowing(rsa("first")), rsa("own")
    assert "not signed by" in refusal(assertions, sign(ann(), own, kid="first"))
    assert "`kid`" in refusal(assertions, sign(ann(), own))
    assert "`kid`" in refusal(assertions, sign(ann(), rsa("first"), kid="nothing"))
    jwk = ec("own").as_dict(private=False)
    text = sign(ann(), ec("own"), "ES256", kid="first", jwk=jwk)
    assert "not signed by" in refusal(assertions, text)


async def test_a_critical_parameter_that_is_not_understood_is_refused() -> None:
    """RFC 7515, 4.1.11."""
    head = {"alg": "RS256", "kid": "first", "crit": ["x"], "x": 1}
    assert refusal(await knowing(rsa("first")), unsigned(head, ann(), b"s"))


async def test_no_byte_can_be_changed() -> None:
    assertions, text = await knowing(ec("curve")), sign(ann(), ec("curve"), "ES256")
    assert assertions.verify(text)
    for place in range(0, len(text) - 1, 7):
        other = "A" if text[place] != "A" else "B"
        refusal(assertions, text[:place] + other + text[place + 1 :])


@settings(max_examples=300)
@given(st.one_of(st.text("\x00.eyJ9\xff", max_size=60), st.text(st.characters(max_codepoint=255))))
async def test_whatever_else_stands_in_the_header_is_refused(text: str) -> None:
    assert refusal(await knowing(ec("curve")), text or ".")


@pytest.mark.parametrize("header", [["alg"], "alg", {"alg": "ES256"}, {"alg": "ES256", "kid": []}])
async def test_a_header_of_another_shape_is_refused(header: object) -> None:
    refusal(await knowing(ec("curve")), unsigned(header, ann(), b"s"))


async def test_before_its_keys_are_read_nothing_can_be_said() -> None:
    async def fetch(url: str, *, deadline: float) -> Answered:
        return Answered(status_code=503, response="", truncated=False)

    assertions = Assertions(TRUST, IssuerKeys(fetch, ISSUER))
    with pytest.raises(IssuerUnavailable):
        assertions.verify(sign(ann(), rsa("first")))


@pytest.mark.parametrize(
    ("expires_in", "counts_for"),
    [
        (300, COUNTS_MIN),
        (COUNTS_MIN, COUNTS_MIN),
        (COUNTS_MIN + 1, COUNTS_MIN + 1),
        (COUNTS_MAX + 1, COUNTS_MAX),
    ],
)
async def test_a_decision_counts_as_long_as_the_assertion(expires_in: int, counts_for: int) -> None:
    """An hour at least, since proxies sign for minutes, and a day at most."""
    signed = sign(ann(exp=NOW + expires_in), rsa("first"))
    assert (await knowing(rsa("first"))).verify(signed).until_ms == (NOW + counts_for) * 1000


async def test_two_assertions_in_one_request_are_refused() -> None:
    headers = [(HEADER.lower().encode(), b"a"), (HEADER.lower().encode(), b"b")]
    with pytest.raises(AssertionRefused, match="came twice"):
        (await knowing(rsa("first"))).given(Request({"type": "http", "headers": headers}))


async def test_an_unknown_role_stops_the_start() -> None:
    async def fetch(url: str, *, deadline: float) -> Answered:
        raise AssertionError

    trust = TRUST._replace(roles={"staff": "boss"})
    with pytest.raises(SettingsError, match="RELAY_OIDC_ROLES has the role 'boss'"):
        async with trusting(trust, fetch):
            pass
