"""Bytes that are no valid request, by name, and their valid neighbours."""

JSON = b"Content-Type: application/json\r\n"
TYPED = b"Host: a\r\n" + JSON


def line(start: bytes) -> bytes:
    return start + b"\r\nHost: a\r\n\r\n"


def fields(*lines: bytes) -> bytes:
    return b"GET /version HTTP/1.1\r\n" + b"".join(one + b"\r\n" for one in lines) + b"\r\n"


def posted(headers: bytes, body: bytes, version: bytes = b"1.1") -> bytes:
    return b"POST /actions/preview HTTP/%s\r\n%s%s\r\n%s" % (version, TYPED, headers, body)


def chunked(body: bytes) -> bytes:
    return posted(b"Transfer-Encoding: chunked\r\n", body)


START_LINES = [
    b"GET /version HTTP/1.1 x",
    b"GET /version HTTP/2.0",
    b"GET /version HTTP/0.9",
    b"GET /version HTTP/1.2",
    b"GET /version HTTP/1.10",
    b"GET /version HTTP/11",
    b"GET /version HTTP/-1.1",
    b"GET /version HTTP/1",
    b"GET /version HTTP/1.",
    b"GET /version http/1.1",
    b"GET /version HTTPS/1.1",
    b"GET /version ICE/1.0",
    b"GET /version",
    b"GET",
    b"GET HTTP/1.1",
    b" GET /version HTTP/1.1",
    b"\tGET /version HTTP/1.1",
    b"GET\t/version HTTP/1.1",
    b"GET /version\tHTTP/1.1",
    b"GET /ver sion HTTP/1.1",
    b"GET /version#part HTTP/1.1",
    b"GET /ver\x00sion HTTP/1.1",
    b"GET /ver\x7fsion HTTP/1.1",
    b"GET /ver\xffsion HTTP/1.1",
    b"GET version HTTP/1.1",
    b"GET * HTTP/1.1",
    b"GET http:// HTTP/1.1",
    b"GET http://a:99999999/version HTTP/1.1",
    b"GET http:/version HTTP/1.1",
    b"get /version HTTP/1.1",
    b"Get /version HTTP/1.1",
    b"GE\x00T /version HTTP/1.1",
    b"FOO /version HTTP/1.1",
    b"G /version HTTP/1.1",
    b"GETGET /version HTTP/1.1",
    b"PRI * HTTP/2.0",
    b"CONNECT a:443 HTTP/1.1",
    b"CONNECT /version HTTP/1.1",
    b"HTTP/1.1 200 OK",
    b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
    b"\x05\x01\x00",
    b"*1\r\n$4\r\nPING",
    b"GET /version HTTP/1.1\nX: a",
]
HOSTS = [
    [],
    [b"Host:"],
    [b"Host: "],
    [b"Host: a", b"Host: a"],
    [b"Host: a", b"Host: b"],
    [b"Host: a", b"hOST: b"],
    [b"Host: a, b"],
    [b"Host: a b"],
    [b"Host: a/b"],
    [b"Host: http://a"],
    [b"Host: a@b"],
    [b"Host: a?b"],
    [b"Host: a#b"],
    [b"Host: a:b"],
    [b"Host: a:1:2"],
    [b"Host: :80"],
    [b"Host: [::1"],
    [b"Host: ::1"],
    [b"Host: [::1]a"],
    [b"Host: [g::1]"],
    [b"Host: []"],
    [b"Host: a\\b"],
    [b'Host: "a"'],
    [b"Host: \xc3\xa9"],
]
FIELDS = [
    b"X : a",
    b" X: a",
    b"\tX: a",
    b"X",
    b": a",
    b"X\x00: a",
    b"X\xff: a",
    b"X(): a",
    b"X[a]: a",
    b"X: a\x00b",
    b"X: a\x01b",
    b"X: a\x7fb",
    b"X: a\rb",
    b"X: a\r\rb",
    b"X: a\nY: b",
    b"X: a\r\n folded",
    b"X: a\r\n\tfolded",
    b"Content-Length: ",
    b"Content-Length: a",
    b"Content-Length: -1",
    b"Content-Length: +1",
    b"Content-Length: 1 1",
    b"Content-Length: 1,1",
    b"Content-Length: 0x1",
    b"Content-Length: 1.0",
    b"Content-Length: \xd9\xa1",
    b"Content-Length: 1\x0b",
    b"Content-Length: 99999999999999999999",
    b"Content-Length: 1\r\nContent-Length: 1",
    b"Content-Length: 1\r\nContent-Length: 2",
    b"Content-Length: 2\r\nTransfer-Encoding: chunked",
    b"Transfer-Encoding: chunked\r\nContent-Length: 2",
    b"Transfer-Encoding: gzip",
    b"Transfer-Encoding: gzip, chunked",
    b"Transfer-Encoding: chunked, gzip",
    b"Transfer-Encoding: chunked, chunked",
    b"Transfer-Encoding: identity",
    b"Transfer-Encoding: chunked, identity",
    b"Transfer-Encoding: gzip\r\nTransfer-Encoding: chunked",
    b"Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked",
    b"Transfer-Encoding: xchunked",
    b"Transfer-Encoding: chunkedx",
    b"Transfer-Encoding: chunked;q=1",
    b'Transfer-Encoding: "chunked"',
    b"Transfer-Encoding: ,chunked",
    b"Transfer-Encoding: \x0bchunked",
    b"Transfer-Encoding : chunked",
    b"Transfer-Encoding:\r\n chunked",
]
CHUNKS = [
    b"2\n{}\r\n0\r\n\r\n",
    b"2\r{}\r\n0\r\n\r\n",
    b" 2\r\n{}\r\n0\r\n\r\n",
    b"0x2\r\n{}\r\n0\r\n\r\n",
    b"+2\r\n{}\r\n0\r\n\r\n",
    b"-2\r\n{}\r\n0\r\n\r\n",
    b"g\r\n{}\r\n0\r\n\r\n",
    b"\r\n{}\r\n0\r\n\r\n",
    b"2\r\n{}0\r\n\r\n",
    b"2\r\n{}x\r\n0\r\n\r\n",
    b"2\r\n{}\n0\r\n\r\n",
    b"1\r\n{}\r\n0\r\n\r\n",
    b"2;a\nb\r\n{}\r\n0\r\n\r\n",
    b"2;a\x00\r\n{}\r\n0\r\n\r\n",
    b"ffffffffffffffffff\r\n{}\r\n0\r\n\r\n",
    b"2\r\n{}\r\n0\r\nX a\r\n\r\n",
    b"2\r\n{}\r\n0\r\nX : a\r\n\r\n",
]
REFUSED: dict[str, bytes] = {
    **{f"start line {start!r}": line(start) for start in START_LINES},
    **{f"hosts {hosts!r}": fields(*hosts) for hosts in HOSTS},
    **{f"field {one!r}": fields(b"Host: a", one) for one in FIELDS},
    **{f"chunks {body!r}": chunked(body) for body in CHUNKS},
    "a coding in HTTP/1.0": posted(b"Transfer-Encoding: chunked\r\n", b"0\r\n\r\n", b"1.0"),
    "two hosts in HTTP/1.0": b"GET /version HTTP/1.0\r\nHost: a\r\nHost: b\r\n\r\n",
}
# Each is one request, with the status of its response.
ACCEPTED: dict[str, tuple[bytes, int]] = {
    **{
        f"host {host!r}": (fields(b"Host: " + host), 200)
        for host in (
            b"a",
            b"A.b:80",
            b"a:",
            b"127.0.0.1:1",
            b"[::1]",
            b"[::1]:8000",
            b"a \t",
            b"_a",
        )
    },
    "empty lines before": (b"\r\n\r\n" + fields(b"Host: a"), 200),
    "a full URL": (line(b"GET http://b/version HTTP/1.1"), 200),
    "an empty field": (fields(b"Host: a", b"X:"), 200),
    "bytes above ASCII": (fields(b"Host: a", b"X: \xff"), 200),
    "no body": (fields(b"Host: a", b"Content-Length: 0"), 200),
    "a body of a GET": (fields(b"Host: a", b"Content-Length: 2") + b"{}", 200),
    "a length": (posted(b"Content-Length: 2\r\n", b"{}"), 400),
    "chunks": (chunked(b"2\r\n{}\r\n0\r\n\r\n"), 400),
    "a coding in capitals": (posted(b"Transfer-Encoding: CHUNKED \r\n", b"0\r\n\r\n"), 400),
    "an extension": (chunked(b"2;a=b\r\n{}\r\n0;c\r\n\r\n"), 400),
    "a trailer": (chunked(b"2\r\n{}\r\n0\r\nX: a\r\n\r\n"), 400),
}
