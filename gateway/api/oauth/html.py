"""The text of the pages: no script, no image, one style, and everything else escaped."""

import base64
import hashlib
from collections.abc import Sequence
from html import escape

STYLE = """
:root { color-scheme: light dark; font: 1rem/1.5 system-ui, sans-serif; }
body { max-width: 40rem; margin: auto; padding: 1rem; overflow-wrap: anywhere;
  color: light-dark(#16181d, #e6e8ec); background: light-dark(#ffffff, #14161a); }
h1 { font-size: 1.5rem; }
a { color: light-dark(#0b57d0, #8ab4f8); }
button { font: inherit; padding: 0.5rem 1rem; border: 0; border-radius: 0.25rem;
  color: light-dark(#ffffff, #0a1a33); background: light-dark(#0b57d0, #8ab4f8); }
code { font-family: ui-monospace, monospace; }
"""
STYLE_HASH = "sha256-" + base64.b64encode(hashlib.sha256(STYLE.encode()).digest()).decode()


def start(title: str, workspace: str, scopes: Sequence[str], expected: str | None) -> str:
    items = "".join(f"<li><code>{escape(scope)}</code></li>" for scope in scopes)
    who = f"<p>The account has to be <b>{escape(expected)}</b>.</p>" if expected else ""
    asked = f"<p>Relay asks for:</p><ul>{items}</ul>" if items else ""
    return _page(
        f"Connect an account at {title}",
        f"<p>Programs of the workspace <b>{escape(workspace)}</b> in Relay will be able to act as "
        f"your account at {escape(title)}.</p>{who}{asked}"
        "<p>Go on only if you expected this page, or started it yourself.</p>"
        f'<form method="post"><button>Go on to {escape(title)}</button></form>',
    )


def connected(title: str, account: str, workspace: str) -> str:
    return _page(
        "Connected",
        f"<p>The account <b>{escape(account)}</b> at {escape(title)} is now a connection of the "
        f"workspace <b>{escape(workspace)}</b>. You can close this page.</p>",
    )


def consented() -> str:
    return _page(
        "Consent given",
        "<p>The administrator has given consent. Now the owner of the account can connect it, "
        "with a new link.</p>",
    )


def refused(sentence: str, link: str | None) -> str:
    more = f'<p><a href="{escape(link)}" rel="noreferrer">{escape(link)}</a></p>' if link else ""
    return _page("Not connected", f"<p>{escape(sentence)}</p>{more}")


def _page(title: str, body: str) -> str:
    return (
        '<!doctype html>\n<html lang="en">\n<meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width">\n'
        '<meta name="robots" content="noindex">\n'
        f"<title>{escape(title)}</title>\n<style>{STYLE}</style>\n"
        f"<h1>{escape(title)}</h1>\n{body}\n</html>\n"
    )
