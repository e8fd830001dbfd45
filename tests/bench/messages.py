"""Requests as bytes, and what is read out of answers."""

import re

_preview_id = re.compile(rb'"preview_id":"([^"]+)"')
_run_id = re.compile(rb'"run_id":"([^"]+)"')


def post(path: str, body: bytes, *, key: str = "", api_key: str = "") -> bytes:
    lines = [f"POST {path} HTTP/1.1", "Host: bench", "Content-Type: application/json"]
    lines += [f"Authorization: Bearer {api_key}"] if api_key else []
    lines += [f"Idempotency-Key: {key}"] if key else []
    lines += [f"Content-Length: {len(body)}", "", ""]
    return "\r\n".join(lines).encode() + body


def get(path: str, *, api_key: str = "") -> bytes:
    lines = [f"GET {path} HTTP/1.1", "Host: bench"]
    lines += [f"Authorization: Bearer {api_key}"] if api_key else []
    return "\r\n".join([*lines, "", ""]).encode()


def preview_id(answer: bytes) -> str:
    return _found(_preview_id, answer)


def run_id(answer: bytes) -> str:
    return _found(_run_id, answer)


def _found(pattern: re.Pattern[bytes], answer: bytes) -> str:
    match = pattern.search(answer)
    if match is None:
        raise AssertionError(answer[:600])
    return match[1].decode()
