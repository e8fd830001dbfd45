"""`relay policy`: check a file, ask it, put it in force, try it on recorded runs."""

import json
import time
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from gateway.cli.main import relay
from tests.support.chains import intended
from tests.support.commanded import UNSET
from tests.support.installation import Installation

TEXT = """
[[rule]]
name = "payments"
when = { hosts = ["*.bank.example"] }
need = { approvals = 2, from = ["role:approver"] }
[[rule]]
name = "large"
when = { body_over = 100 }
need = { approvals = 1 }
[[rule]]
name = "never"
when = { methods = ["DELETE"], requesters = ["robot"] }
deny = true
[[test]]
name = "a payment takes two"
given = { action = "webhook.save", method = "PUT", url = "https://api.bank.example/" }
expect = { approvals = 2 }
"""


@pytest.fixture
def file(tmp_path: Path) -> Path:
    written = tmp_path / "policy.toml"
    written.write_text(TEXT)
    return written


def run(folder: Path, *words: object, text: str | None = None) -> Result:
    env: dict[str, str | None] = {**UNSET, "RELAY_DATA_DIR": str(folder / "data")}
    return CliRunner().invoke(relay, ["policy", *map(str, words)], env=env, input=text)


def test_a_policy_is_checked_with_its_tests(file: Path, tmp_path: Path) -> None:
    """One without tests is fine, and the command says so."""
    checked = run(tmp_path, "check", file)
    assert checked.exit_code == 0
    assert "3 rules, 1 tests pass, sha256:" in checked.stdout
    file.write_text(TEXT.partition("[[test]]")[0])
    untested = run(tmp_path, "check", file)
    assert (untested.exit_code, "has no tests" in untested.stderr) == (0, True)


def test_the_digest_is_that_of_the_file(file: Path, tmp_path: Path) -> None:
    """Also where its lines end as on Windows, so that a receipt can be compared with the file."""
    file.write_bytes(TEXT.replace("\n", "\r\n").encode())
    digest = f"sha256:{sha256(file.read_bytes()).hexdigest()}"
    assert digest in run(tmp_path, "check", file).stdout
    assert digest in run(tmp_path, "set", file).stdout


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("[[rule]", "The policy is no TOML"),
        ("\udcff", "is not UTF-8"),
        (TEXT.replace("approvals = 2 }", "approvals = 1 }"), "/test/0: a payment takes two"),
        (TEXT.replace("hosts", "host"), "/rule/0/when/host"),
        ("#" * (64 * 1024 + 1), "has more than 64 KiB"),
    ],
)
def test_what_cannot_be_used_is_refused_with_its_place(
    file: Path, tmp_path: Path, text: str, words: str
) -> None:
    file.write_bytes(text.encode(errors="surrogateescape"))
    refused = run(tmp_path, "check", file)
    assert (refused.exit_code, words in refused.stderr) == (1, True), refused.stderr


def test_explain_names_the_rules_and_what_they_ask(file: Path, tmp_path: Path) -> None:
    def explained(*words: str) -> str:
        return run(tmp_path, "explain", file, "--action", "webhook.save", *words).stdout

    paid = explained("--url", "https://api.bank.example/", "--body-bytes", "101")
    assert "Rules that match: payments, large." in paid
    assert "payments needs 2 from role:approver; large needs 1 from any approver" in paid
    denied = explained("--url", "https://a.example/", "--method", "DELETE", "--requester", "robot")
    assert "It is denied by never." in denied
    free = json.loads(explained("--url", "https://a.example/", "--json"))
    assert (free["rules"], free["needs"]) == ([], [])


def test_a_policy_is_put_in_force_and_removed(file: Path, tmp_path: Path) -> None:
    """Only where the version is the one that was seen, if one is named."""
    assert "has no policy" in run(tmp_path, "show").stderr
    assert "version 1, sha256:" in run(tmp_path, "set", file).stdout
    assert run(tmp_path, "show").stdout == TEXT
    refused = run(tmp_path, "set", file, "--version", 0)
    assert (refused.exit_code, "has the version 1 by now" in refused.stderr) == (1, True)
    assert "version 2, no policy" in run(tmp_path, "set", "-", "--version", 1, text="").stdout
    assert json.loads(run(tmp_path, "show", "--json").stdout)["text"] == ""


def test_recorded_runs_are_judged(file: Path, tmp_path: Path) -> None:
    """Where the audit does not tell, a run is possible; older ones than asked are left out."""
    run(tmp_path, "show")  # creates the database
    now = round(time.time() * 1000)
    facts: dict[str, Any] = {"role": "operator", "kind": "live", "at": now}
    runs = [
        intended("r-1", host="api.bank.example", method="POST", requester="ann", **facts),
        intended("r-2", host="a.example", method="DELETE", requester="robot", **facts),
        intended("r-3", host="a.example", method="POST", requester="ann", **facts),
        intended("r-4", host="api.bank.example", method="POST", **{**facts, "at": now - 10**9}),
        intended("r-5", **facts),
    ]
    Installation(tmp_path / "data").append(
        [(f"s-{number}", each) for number, each in enumerate(runs)], workspace="default"
    )
    counted = json.loads(run(tmp_path, "replay", file, "--json").stdout)
    assert counted == {
        "runs": 3,
        "allowed": 0,
        "asked": 1,
        "denied": 1,
        "possible": 1,
        "rules": {"never": 1, "payments": 1},
    }
    file.write_text(TEXT.replace("body_over = 100", 'roles = ["viewer"]'))
    told = run(tmp_path, "replay", file, "--since", "7d").stdout
    assert told.startswith("3 runs: 1 allowed, 1 asked about, 1 denied, 0 possibly")
