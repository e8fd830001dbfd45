"""Headers that stand on every answer, whoever wrote it, unless it says otherwise itself."""

Header = tuple[bytes, bytes]

# Two years, as browsers' preload lists ask; only where answers come over TLS.
HSTS: Header = (b"strict-transport-security", b"max-age=63072000; includeSubDomains")
ALWAYS: tuple[Header, ...] = (
    # Each answer has an id of its own, and most have ids of runs and previews.
    (b"cache-control", b"no-store"),
    (b"referrer-policy", b"no-referrer"),
    (b"x-content-type-options", b"nosniff"),
)
# Also on answers to no origin: a cache must not give them to one.
VARY: Header = (b"vary", b"Origin")


def standing(*, production: bool, shared: bool) -> tuple[Header, ...]:
    """`shared`: whether pages of other origins may read answers (CORS)."""
    return (*ALWAYS, *((HSTS,) if production else ()), *((VARY,) if shared else ()))
