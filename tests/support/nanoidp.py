"""nanoidp, the OpenID provider of a third party, as a process with packages of its own.

`make test-all` installs it: python -m tests.support.nanoidp
"""

import asyncio
import re
import socket
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

import httpx2

from gateway.config.secret import Secret
from gateway.connections.providers import Client, Facts
from tests.support.gateways import NO_AUTHORITIES, until

ROOT = Path(__file__).parent.parent.parent
LOCK = ROOT / "tests" / "connections" / "nanoidp" / "packages.lock"
INSTALLED = Path(sys.prefix) / "nanoidp"
PYTHON = INSTALLED / "bin" / "python"
PIP = ("-m", "pip", "--quiet", "--disable-pip-version-check", "install", "--no-deps")
CALLBACK = "https://relay.example/oauth/callback"
SETTINGS = """
config_version: 1
server: {{host: "127.0.0.1", port: {port}}}
security_profile: oauth21
oauth:
  issuer: "http://127.0.0.1:{port}"
  audience: "relay-app"
  refresh_token_rotation: true
  require_pkce: true
  scopes_supported: [openid, email, profile, offline_access, mail.send]
  clients:
    - client_id: "relay-app"
      client_secret: "relay-app-secret"
      token_endpoint_auth_method: client_secret_post
      redirect_uris: ["{callback}"]
"""
USERS = """
config_version: 1
users:
  ann: {password: "pw", email: "ann@x.example", roles: ["USER"], tenant: "default"}
"""
# nanoidp gives an e-mail address only to clients that ask for the claim.
CLAIMS = '{"id_token": {"email": null, "email_verified": null}}'


def install() -> None:
    """Exactly what the lock names."""
    subprocess.run([sys.executable, "-m", "venv", "--clear", str(INSTALLED)], check=True)
    subprocess.run([str(PYTHON), *PIP, "--require-hashes", "-r", str(LOCK)], check=True)


def registered(url: str) -> Client:
    """Relay, as it is registered there."""
    facts = Facts(
        name="google",
        title="nanoidp",
        authorize=f"{url}/authorize",
        token=f"{url}/token",
        revoke=f"{url}/revoke",
        issuer=url,
        hosts=(url,),
        identity=("openid", "email", "offline_access"),
        scopes={"google.gmail.send": ("mail.send",)},
        asked={"claims": CLAIMS},
        removal=url,
    )
    return Client(facts, "relay-app", Secret(b"relay-app-secret"))


@asynccontextmanager
async def serving() -> AsyncIterator[str]:
    """Its URL."""
    assert PYTHON.exists(), "make test-all installs the packages"
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    with TemporaryDirectory(prefix="relay-test-") as folder:
        settings = SETTINGS.format(port=port, callback=CALLBACK)
        (Path(folder) / "settings.yaml").write_text(settings)
        (Path(folder) / "users.yaml").write_text(USERS)
        process = await asyncio.create_subprocess_exec(
            *(str(INSTALLED / "bin" / "nanoidp"), "--config", folder),
            cwd=folder,  # it keeps its keys there
            stdout=asyncio.subprocess.DEVNULL,
            stderr=asyncio.subprocess.DEVNULL,
        )
        try:
            url = f"http://127.0.0.1:{port}"
            await until(lambda: _answers(url))
            yield url
        finally:
            process.terminate()
            await process.wait()


async def _answers(url: str) -> bool:
    try:
        async with httpx2.AsyncClient(trust_env=False, verify=NO_AUTHORITIES) as client:
            return (await client.get(f"{url}/.well-known/jwks.json")).status_code == 200
    except httpx2.TransportError:
        return False


async def consent(location: str) -> str:
    """Sign in as ann; where the browser is sent back to."""
    async with httpx2.AsyncClient(trust_env=False, verify=NO_AUTHORITIES) as browser:
        page = await browser.get(location)
        found = re.search(r'name="transaction_id" value="([^"]+)"', page.text)
        assert found, page.text
        form = {"username": "ann", "password": "pw", "transaction_id": found[1]}
        answer = await browser.post(location, data=form)
    assert answer.status_code == 302, answer.text
    return str(answer.headers["location"])


if __name__ == "__main__":
    install()
