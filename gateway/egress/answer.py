"""The answer to one request, as it arrives: the same answer however TCP cuts it into segments.

A whole, well-formed head is the outcome. What the parser refuses behind it only ends the body.
"""

import re

import httptools

# Bytes within which the head ends, the interim answers before it (103) included.
HEAD_MAX = 256 * 1024
# Bytes of the body that are read, so that a usual answer ends and its connection is kept.
READ_MAX = 64 * 1024
# Bytes of the body that the run stores.
KEPT_MAX = 16 * 1024
# Bytes behind the head. Chunks of one byte take six, and their extensions have no bound.
RECEIVED_MAX = 160 * 1024
# Bytes that are parsed before the limits are looked at: a read may bring 256 KiB.
SLICE = 32 * 1024
# Fields and chunks together. Each is a call from the parser, and 43,000 of them fit into one read:
# they would hold the loop for 45 ms.
PARTS_MAX = 8192
# Interim answers (1xx). Go's client takes 5; 9,000 of them would hold the loop as long.
INTERIM_MAX = 100
# Seconds. Servers commonly close an idle connection after 5 s.
IDLE_MAX = 4.0
# Seconds that an announced time is shortened by: the target counts it in whole seconds, from the
# moment at which it sent its answer, and the next request takes as long to arrive.
IDLE_MARGIN = 1.0

# What an answer may be decoded with. Python's other codecs are no charsets (rot13), take quadratic
# time (punycode) or make what UTF-8 cannot hold (utf-7). Looking up an unknown one
# searches the disk and is remembered for ever.
CHARSETS = frozenset(
    """ascii us-ascii utf-8 utf8 utf-16 utf-16le utf-16be utf-32 utf-32le utf-32be latin1
    iso-8859-1 iso-8859-2 iso-8859-3 iso-8859-4 iso-8859-5 iso-8859-6 iso-8859-7 iso-8859-8
    iso-8859-9 iso-8859-10 iso-8859-11 iso-8859-13 iso-8859-14 iso-8859-15 iso-8859-16
    windows-1250 windows-1251 windows-1252 windows-1253 windows-1254 windows-1255 windows-1256
    windows-1257 windows-1258 cp1251 cp1252 koi8-r koi8-u macintosh tis-620 big5 big5-hkscs
    gb2312 gbk gb18030 euc-jp euc-kr iso-2022-jp shift_jis shift-jis sjis""".split()
)


class NotHttp(Exception):
    """What came cannot become a well-formed head."""


class Answer:
    """`status`: 0 until the head is whole. `over`: nothing more is read. `whole`: all has come.

    `idle_max`: the seconds for which its connection may wait for the next request; 0 for none.
    """

    def __init__(self, *, to_head: bool = False) -> None:
        """`to_head`: to a HEAD, whose answer has no body, whatever length it names."""
        self._to_head = to_head
        self.status = 0
        self.over = self.whole = False
        self.idle_max = 0.0
        self._body = bytearray()
        self._received = self._behind = self._parts = self._interim = 0
        self._parser = httptools.HttpResponseParser(self)
        # What a client accepts though no server should send it: folded lines and line feeds alone
        # (RFC 9112, 2.2 and 5.2), spaces behind a chunk size.
        self._parser.set_dangerous_leniencies(
            lenient_headers=True,
            lenient_optional_cr_before_lf=True,
            lenient_spaces_after_chunk_size=True,
        )
        self.on_message_begin()

    def feed(self, data: bytes) -> None:
        """Raises NotHttp."""
        room = HEAD_MAX - self._received
        if not self.status and len(data) > room:
            self._parse(data[:room])
            if not self.status:
                raise NotHttp
            data = data[room:]
        for start in range(0, len(data), SLICE):
            if self.over and not self.whole:
                return
            self._parse(data[start : start + SLICE])

    def eof(self) -> None:
        """Only a body without a length ends with its connection (RFC 9112, 6.3)."""
        self.whole |= bool(self.status) and not self._framed

    def end(self) -> None:
        """Break the circle of answer and parser, so that no collector has to look for it."""
        self.over = True
        del self._parser

    @property
    def body(self) -> bytearray:
        """What was read of it; no copy, since nearly no answer is judged by it."""
        return self._body

    def text(self, kept_max: int = KEPT_MAX) -> str:
        return bytes(self._body[:kept_max]).decode(self._charset, "replace")

    def truncated(self, kept_max: int = KEPT_MAX) -> bool:
        return len(self._body) > kept_max or not self.whole

    def _parse(self, data: bytes) -> None:
        self._received += len(data)
        try:
            self._parser.feed_data(data)
        except (httptools.HttpParserError, httptools.HttpParserUpgrade) as error:
            self.over, self.idle_max = True, 0.0
            if not self.status:
                raise NotHttp from error
        if self.status:
            self._behind += len(data)
            self.over |= self._behind > RECEIVED_MAX

    # What the parser calls.

    def on_message_begin(self) -> None:
        if self.over:  # bytes behind the answer do not belong to it
            raise NotHttp
        self._charset, self._promised = "utf-8", IDLE_MAX
        self._framed = self._sized = False

    def on_header(self, name: bytes, value: bytes) -> None:
        self._count_part()
        if self.status:
            return  # a trailer is no header (RFC 9110, 6.5.1)
        if b"\0" in value:
            raise NotHttp
        name = name.lower()
        if name == b"content-type":
            self._charset = charset(value)
        elif name == b"content-length":
            self._framed, self._sized = True, value != b"0"
        elif name == b"transfer-encoding":
            self._framed = self._sized = value.lower().endswith(b"chunked")
        elif name == b"keep-alive":
            self._promised = min(IDLE_MAX, announced(value))

    def on_headers_complete(self) -> None:
        status = self._parser.get_status_code()
        if not 100 <= status <= 599:
            raise NotHttp  # this is no status code (RFC 9110, 15)
        if status == 101 or status >= 200:
            self.status = status
            self.over = self.whole = self._to_head
            return
        self._interim += 1
        if self._interim > INTERIM_MAX:
            raise NotHttp

    def on_chunk_header(self) -> None:
        self._count_part()

    def on_body(self, body: bytes) -> None:
        self._body += body
        self.over |= len(self._body) > READ_MAX

    def on_message_complete(self) -> None:
        if not self.status:
            return
        self.over = self.whole = True
        # A 204 that says it has a body may send one, which would answer the next request.
        bodiless = self.status in (101, 204, 304)
        if self._parser.should_keep_alive() and not (bodiless and self._sized):
            self.idle_max = self._promised

    def _count_part(self) -> None:
        self._parts += 1
        if self._parts > PARTS_MAX:
            raise NotHttp


def charset(content_type: bytes) -> str:
    """The charset that a media type names, or UTF-8."""
    named = re.search(rb";\s*charset\s*=\s*[\"']?([\w.:-]{1,40})", content_type, re.IGNORECASE)
    label = named[1].decode().lower() if named else ""
    return {"macintosh": "mac-roman"}.get(label, label) if label in CHARSETS else "utf-8"


def announced(keep_alive: bytes) -> float:
    """The seconds for which `Keep-Alive: timeout=n` allows a reuse."""
    named = re.search(rb"\btimeout\s*=\s*\"?(\d{1,9})", keep_alive, re.IGNORECASE)
    return max(0.0, int(named[1]) - IDLE_MARGIN) if named else IDLE_MAX
