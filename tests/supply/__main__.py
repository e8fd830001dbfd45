"""Scan the tree and the history for secrets, and the locks for known vulnerabilities.

`make check` runs it. Detectors of known token formats only: an entropy detector would name every
digest of a lock.
"""

import subprocess
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path

from detect_secrets.plugins.aws import AWSKeyDetector
from detect_secrets.plugins.azure_storage_key import AzureStorageKeyDetector
from detect_secrets.plugins.base import RegexBasedDetector
from detect_secrets.plugins.discord import DiscordBotTokenDetector
from detect_secrets.plugins.github_token import GitHubTokenDetector
from detect_secrets.plugins.gitlab_token import GitLabTokenDetector
from detect_secrets.plugins.npm import NpmDetector
from detect_secrets.plugins.openai import OpenAIDetector
from detect_secrets.plugins.private_key import PrivateKeyDetector
from detect_secrets.plugins.pypi_token import PypiTokenDetector
from detect_secrets.plugins.sendgrid import SendGridDetector
from detect_secrets.plugins.slack import SlackDetector
from detect_secrets.plugins.stripe import StripeDetector

ROOT = Path(__file__).parent.parent.parent
LOCKS = sorted((ROOT / "requirements").glob("*.lock"))
# The advisory service answers in a second or two; a machine without internet must not wait.
AUDIT_SECONDS = 30
DETECTORS: list[RegexBasedDetector] = [
    AWSKeyDetector(), AzureStorageKeyDetector(), DiscordBotTokenDetector(), GitHubTokenDetector(),
    GitLabTokenDetector(), NpmDetector(), OpenAIDetector(), PrivateKeyDetector(),
    PypiTokenDetector(), SendGridDetector(), SlackDetector(), StripeDetector(),
]  # fmt: skip


def secrets(lines: Iterable[tuple[str, str]]) -> Iterator[str]:
    """Where a line holds a secret, and of what kind, without the secret."""
    for where, line in lines:
        for detector in DETECTORS:
            if any(True for _ in detector.analyze_string(line)):
                yield f"{where}: {detector.secret_type}"


def tree() -> Iterator[tuple[str, str]]:
    """The lines of every tracked text file."""
    for name in _git("ls-files").splitlines():
        try:
            text = (ROOT / name).read_text()
        except (UnicodeDecodeError, OSError):
            continue
        for number, line in enumerate(text.splitlines(), 1):
            yield f"{name}:{number}", line


def history() -> Iterator[tuple[str, str]]:
    """Every line that was ever added, once."""
    seen: set[str] = set()
    commit = ""
    for line in _git("log", "--all", "--no-color", "--format=commit %h", "-p", "-U0").splitlines():
        if line.startswith("commit "):
            commit = line
        elif line.startswith("+") and len(line) > 16 and line not in seen:
            seen.add(line)
            yield commit, line[1:]


def vulnerabilities(lock: Path) -> tuple[bool, str]:
    """Whether the lock passes, and a sentence. It passes unaudited without the service."""
    command = [sys.executable, "-m", "pip_audit", "--disable-pip", "--no-deps", "--strict"]
    try:
        done = subprocess.run(
            [*command, "--progress-spinner=off", "--timeout=5", "-r", str(lock)],
            capture_output=True,
            text=True,
            timeout=AUDIT_SECONDS,
            check=False,
        )
    except subprocess.TimeoutExpired:
        return True, f"{lock.name}: not audited, the advisory service does not answer"
    if done.returncode == 0:
        return True, f"{lock.name}: no known vulnerability"
    if "vulnerabilit" in done.stdout + done.stderr and "Found" in done.stdout + done.stderr:
        return False, f"{lock.name}: {done.stderr.strip()}\n{done.stdout.strip()}"
    return True, f"{lock.name}: not audited, the advisory service cannot be reached"


def main() -> int:
    found = [*secrets(tree()), *secrets(history())]
    for line in found:
        print(line, file=sys.stderr)  # noqa: T201 - a command
    judged = [vulnerabilities(lock) for lock in LOCKS]
    for passes, sentence in judged:
        print(sentence, file=sys.stdout if passes else sys.stderr)
    return 0 if not found and all(passes for passes, _ in judged) else 1


def _git(*words: str) -> str:
    done = subprocess.run(["git", *words], cwd=ROOT, capture_output=True, check=True)
    return done.stdout.decode(errors="replace")


if __name__ == "__main__":
    sys.exit(main())
