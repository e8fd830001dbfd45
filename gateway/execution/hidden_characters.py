"""Warn of characters that a reader of a preview cannot see, or that reorder what the reader sees.

Bidirectional controls, zero width characters, tags, variation selectors and fillers. U+FE0F is left
out: it stands behind ordinary emoji. In a body an escape counts too, since the receiver decodes it.
"""

import re

from gateway.effects import Effect

HIDDEN = re.compile(
    "[\x00-\x08\x0e-\x1f\x7f-\x9f\xad\u061c\u115f\u1160\u17b4\u17b5\u180b-\u180f\u200b-\u200f"
    "\u2028-\u202e\u2060-\u206f\u3164\ufe00-\ufe0e\ufeff\uffa0\ufff0-\ufffb"
    "\U0001d173-\U0001d17a\U000e0000-\U000e0fff]"
)


def hidden_characters(effect: Effect) -> list[str]:
    """One warning for each field that has such characters."""
    fields = [("URL", effect.url), ("summary", effect.summary)]
    fields += [(f"header {name}", f"{name}{value}") for name, value in effect.headers.items()]
    # Almost every effect is printable ASCII, which takes no time to see.
    found = [
        _warning(name, text) for name, text in fields if not (text.isascii() and text.isprintable())
    ]
    body = effect.body or b""
    if (escaped := b"\\u" in body) or not body.isascii():
        text = body.decode(errors="ignore")
        found.append(_warning("body", _unescaped(text) if escaped else text))
    return [warning for warning in found if warning]


def _warning(field: str, text: str) -> str | None:
    found = sorted(set(HIDDEN.findall(text)))
    if not found:
        return None
    listed = ", ".join(f"U+{ord(character):04X}" for character in found[:5])
    more = f" and {len(found) - 5} more" if len(found) > 5 else ""
    return f"The {field} has hidden characters: {listed}{more}."


def _unescaped(text: str) -> str:
    """The text with the characters that JSON writes as four hexadecimal digits; other escapes are
    left out.
    """
    decoded = re.sub(
        r"\\(?:u([0-9A-Fa-f]{4})|.)", lambda it: chr(int(it[1], 16)) if it[1] else "", text
    )
    return decoded.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")
