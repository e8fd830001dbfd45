"""URLs that must be refused, and URLs that must not, for a guard without exceptions in production.

Every name in them resolves to a public address, so a refusal is a refusal of the URL.
"""

from collections.abc import Iterator
from ipaddress import IPv4Address, ip_address

from tests.support.targets import RANGES

PUBLIC_V4, PUBLIC_V6 = "93.184.216.34", "2606:2800:220:1::248"

INNER = "127.0.0.1 10.0.0.1 192.168.1.1 172.16.0.1 100.64.0.1 169.254.169.254 0.0.0.0".split()

NAMES = """localhost localhost.localdomain foo.localhost printer.local vm router.lan nas.home
intranet.corp db.internal kubernetes.default.svc kubernetes.default.svc.cluster.local hidden.onion
1.0.0.127.in-addr.arpa name.test name.invalid name.example db.private x.home.arpa x.alt
metadata metadata.google.internal metadata.goog METADATA.GOOG. metadata.tencentyun.com
instance-data instance-data.ec2.internal metadata.azure.internal rancher-metadata
-a.org a-.org a..org .org a.org.. a_b*.org xn--a 1.2.3 1.2.3.4.5 256.1.1.1 0x7f.1 1.0x7f 08.8.8.8
a%2eorg %6c%6f%63%61%6c 127.0.0.1.nip%00.org""".split()

FORMS = """https://user@{h}/ https://user:pass@{h}/ https://@{h}/ https://{h}@127.0.0.1/
https://127.0.0.1@{h}/ https://{h}\\@127.0.0.1/ https://{h}#@127.0.0.1/ https://{h}/#
https://{h}:0/ https://{h}:22/ https://{h}:80/ https://{h}:6379/ https://{h}:442/ https://{h}:444/
https://{h}:65536/ https://{h}:-443/ https://{h}:443:443/ https://{h}:443@127.0.0.1/ https://{h}:४४३/
http://{h}/ ftp://{h}/ file://{h}/etc/passwd gopher://{h}/ //{h}/ /{h}/ {h} https:{h} https:/{h}
https:///{h} https://{h}/\u202e https://{h}/\u3000 https://{h}。/ https://{h}?\t https://{h}/\\..
https://{h}/a/../b?""".replace("\n", " ").split(" ")

ALLOWED = """https://{h} https://{h}/ https://{h}:443/ https://{h}:/ HTTPS://{h}/ https://{h}/a/b?c=d
https://{h}/@127.0.0.1/ https://{h}/?u=http://127.0.0.1/ https://{h}/%2e%2e/ https://{h}/a;b=c
https://{h}?a=b https://{h}/:22""".split()


def refused() -> Iterator[str]:
    for edge in RANGES:
        yield f"https://{_host(edge)}/"
    for inner in INNER:
        yield from (f"https://{spelled}/" for spelled in spellings(inner))
    yield from (f"https://{name}/" for name in NAMES)
    yield from (form.format(h="pub.example.org") for form in FORMS)
    yield from (
        "https://",
        "https:///",
        "https://:443/",
        "https://[::1/",
        "https://::1/",
        "https://[]/",
    )
    yield "https://pub.example.org/" + "a" * 2048


def allowed() -> Iterator[str]:
    for first, last in zip(RANGES[::2], RANGES[1::2], strict=True):
        kind = type(ip_address(first))
        for number in (int(ip_address(first)) - 1, int(ip_address(last)) + 1):
            if 0 <= number < 1 << (32 if kind is IPv4Address else 128):
                yield f"https://{_host(str(kind(number)))}/"
    for host in ("pub.example.org", "PUB.example.org.", PUBLIC_V4, _host(PUBLIC_V6), "a_b.x-y.co"):
        yield from (form.format(h=host) for form in ALLOWED)


def spellings(inner: str) -> Iterator[str]:
    """An IPv4 address as resolvers, kernels, tunnels and translators read it."""
    number = int(IPv4Address(inner))
    a, b, c, d = IPv4Address(inner).packed
    high, low = f"{number >> 16:x}", f"{number & 0xFFFF:x}"
    yield from (inner, f"{inner}.", str(number), hex(number), f"0x{a:02x}.{b}.{c}.{d}")
    yield from (f"{a:#05o}.{b:#05o}.{c:#05o}.{d:#05o}".replace("0o", "0"), f"{a}.{b}.{c * 256 + d}")
    yield from (f"{a}.{b * 65536 + c * 256 + d}", f"{a:03d}.{b:03d}.{c:03d}.{d:03d}")
    yield from (f"[::ffff:{inner}]", f"[::{inner}]", f"[::ffff:0:{inner}]", f"[64:ff9b::{inner}]")
    yield from (f"[64:ff9b:1::{inner}]", f"[2002:{high}:{low}::1]", f"[2001:0:{high}:{low}::1]")
    yield from (f"[2606:2800::5efe:{inner}]", f"[2606:2800::200:5efe:{inner}]")


def _host(address: str) -> str:
    return f"[{address}]" if ":" in address else address
