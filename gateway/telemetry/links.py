"""Links from a response to its trace. The template is parsed once."""

import json
import re
from urllib.parse import quote


class TraceLinks:
    """`template`: a URL with {trace_id}, {span_id}, {request_id}; None for no links."""

    def __init__(self, template: str | None) -> None:
        self._parts = re.split(r"\{(trace_id|span_id|request_id)\}", template or "")

    def to(self, trace_id: str, span_id: int, request_id: str) -> str | None:
        """`trace_id`: 32 hexadecimal digits. `request_id`: letters, digits and `._-`."""
        match self._parts:
            case [""]:
                return None
            case [before, "trace_id", after]:
                return before + trace_id + after
            case parts:
                values = {
                    "trace_id": trace_id,
                    "span_id": f"{span_id:016x}",
                    "request_id": request_id,
                }
                return "".join(
                    values.get(part, part) if at % 2 else part for at, part in enumerate(parts)
                )


def grafana(url: str, *, datasource: str, query: str = "{trace_id}") -> str:
    """The template of a link into Grafana Explore, for the Tempo data source with this uid.

    `query`: TraceQL, or a trace id. Grafana 10 to 13 documents the form ("Generate Explore URLs
    from external tools"). It drops a range in numbers without a warning.
    """
    source = {"type": "tempo", "uid": datasource}
    search = {
        "refId": "A",
        "datasource": source,
        "queryType": "traceql",
        "query": query,
        "limit": 20,
        "tableType": "traces",
    }
    panes = {
        "trc": {
            "datasource": datasource,
            "queries": [search],
            "range": {"from": "now-6h", "to": "now"},
        }
    }
    encoded = quote(json.dumps(panes, separators=(",", ":")), safe="")
    template = encoded.replace("%7Btrace_id%7D", "{trace_id}")
    return f"{url.rstrip('/')}/explore?schemaVersion=1&panes={template}&orgId=1"
