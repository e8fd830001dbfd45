"""Why the guard says no, in a word and in a sentence."""

URL_MAX = 2048

SENTENCES = {
    "scheme": "Only https:// URLs (in development also http://) can be targets.",
    "url_too_long": f"A URL may be {URL_MAX} characters long.",
    "url_not_ascii": "A URL is ASCII; write a name in its xn-- form, percent-encode the rest.",
    "url_bad_char": "A URL may not hold spaces, backslashes or control characters.",
    "url_invalid": "This is not a URL.",
    "url_userinfo": "A URL may not hold a user name or a password.",
    "url_fragment": "A URL may not hold a fragment: it is never sent.",
    "url_rewritten": "This URL would be sent in another form; an empty query is one reason.",
    "port": "A port is 1 to 65535.",
    "host_empty": "The URL names no host.",
    "host_numeric": "A host that ends in a number must be an IPv4 address in four decimal parts.",
    "host_invalid": "A host name is made of letters, digits and hyphens with dots between.",
    "host_single_label": "A host name of one part is not public.",
    "host_reserved": "This host name is reserved for private use.",
    "ip_scoped": "An address with a scope is not public.",
    "ip_embedded_v4": "Write an IPv4 address as IPv4.",
    "ip_not_public": "The target is not a public address.",
    "metadata": "Cloud metadata addresses are never allowed.",
}


class TargetRefusal(OSError):
    """The guard's no. An OSError, so that the HTTP client hands it on as why it did not connect.

    `reason`: a key of SENTENCES.
    """

    def __init__(self, reason: str) -> None:
        super().__init__(SENTENCES[reason])
        self.reason = reason
