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


def call(tool: str, arguments: bytes, *, api_key: str = "") -> bytes:
    """A call of a tool over MCP, as today's clients make it."""
    version = b"2026-07-28"
    body = (
        b'{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"_meta":{'
        b'"io.modelcontextprotocol/protocolVersion":"%b",'
        b'"io.modelcontextprotocol/clientCapabilities":{},'
        b'"io.modelcontextprotocol/clientInfo":{"name":"bench","version":"1"}},'
        b'"name":"%b","arguments":%b}}'
    ) % (version, tool.encode(), arguments)
    head, _, _ = post("/mcp", body, api_key=api_key).partition(b"\r\n\r\n")
    named = b"\r\nMCP-Protocol-Version: %b\r\nMcp-Method: tools/call\r\nMcp-Name: %b\r\n\r\n"
    return head + named % (version, tool.encode()) + body


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
