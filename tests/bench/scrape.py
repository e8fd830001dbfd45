"""What a gateway has dropped: work that it did not do, and that no figure contains."""

import re
from urllib.request import Request, urlopen

from tests.bench.subjects import Subject

_dropped = re.compile(r"^relay_\w+_dropped_total(?:\{.*\})? (\S+)", re.MULTILINE)


def dropped(subject: Subject) -> float:
    url = f"http://127.0.0.1:{subject.port}/metrics"
    asked = Request(url, headers={"Authorization": f"Bearer {subject.api_key}"})
    with urlopen(asked, timeout=10) as answer:
        return sum(map(float, _dropped.findall(answer.read().decode())))
