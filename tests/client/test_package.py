"""What the distribution of the client holds, needs and costs."""

import subprocess
import sys
import zipfile
from email import message_from_bytes
from pathlib import Path

ROOT = Path(__file__).parent.parent.parent
CLIENT = ROOT / "deploy" / "client"


def wheel(project: Path, folder: Path) -> zipfile.ZipFile:
    build = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(folder)]
    subprocess.run(build, cwd=project, check=True, capture_output=True)
    (made,) = folder.glob("*.whl")
    return zipfile.ZipFile(made)


def test_the_wheel_is_one_typed_package_that_needs_two(tmp_path: Path) -> None:
    with wheel(CLIENT, tmp_path) as made:
        names = {name.split("/")[0] for name in made.namelist()}
        about = message_from_bytes(made.read("relay_client-0.1.0.dist-info/METADATA"))
        assert "relay_client/py.typed" in made.namelist()
    assert names == {"relay_client", "relay_client-0.1.0.dist-info"}
    needed = about.get_all("Requires-Dist") or []
    assert sorted(one.partition(">")[0] for one in needed) == ["httpx2", "msgspec"]
    assert "relay.preview" in about.get_payload()


def test_the_wheel_of_the_gateway_is_without_it(tmp_path: Path) -> None:
    with wheel(ROOT, tmp_path) as made:
        packages = {name.split("/")[0] for name in made.namelist()}
    assert packages == {"gateway", "stores", "relay_gateway-0.1.0.dist-info"}


def resident_mb(program: str) -> float:
    """Of a process of its own that has run this."""
    shown = f"{program}\nprint(open('/proc/self/status').read().partition('VmRSS:')[2].split()[0])"
    env = {"PYTHONPATH": str(CLIENT), "PATH": "/usr/bin:/bin"}
    printed = subprocess.check_output([sys.executable, "-c", shown], env=env, text=True)
    return int(printed) / 1024


def test_an_import_takes_at_most_26_mb() -> None:
    """httpx2, which alone takes 16, is loaded by the first client that is opened."""
    assert resident_mb("import relay_client") <= 26


def test_a_client_takes_at_most_36_mb() -> None:
    """With httpx2 and the authorities of TLS, and after a call."""
    call = "relay_client.Relay('http://127.0.0.1:1', tries=1).run('r')"
    program = f"import relay_client\ntry: {call}\nexcept relay_client.NoAnswer: pass"
    assert resident_mb(program) <= 36
