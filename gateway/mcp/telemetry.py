"""What traces, log lines and metrics say of a call: one path serves every tool.

Names as in the semantic conventions of OpenTelemetry for MCP. Only methods and tools of Relay
become names; of a client's own text, what is short.
"""

from gateway.mcp.protocol import Asked
from gateway.telemetry import metrics
from gateway.telemetry.spans import annotate, current, remote

ID_MAX = 64


def describe(asked: Asked, tool: str = "") -> None:
    """`tool`: the one that is called."""
    span, meta = current(), asked.params.meta
    span.trace.operation = f"{asked.method} {tool}".rstrip()
    named = {name: text for name, text in (("tool", tool), ("mcp_client", asked.client)) if text}
    annotate(mcp_method=asked.method, mcp_version=asked.version, **named)
    if not span.trace.record:
        return
    span.attrs["mcp.method.name"] = asked.method
    span.attrs["mcp.protocol.version"] = asked.version
    span.attrs["jsonrpc.request.id"] = str(asked.id)[:ID_MAX]
    if tool:
        span.attrs["gen_ai.tool.name"] = tool
        span.attrs["gen_ai.operation.name"] = "execute_tool"
        if meta.traceparent:  # a trace of its own: the span has begun when the body is read
            span.link(remote({"traceparent": meta.traceparent}))


def called(tool: str, *, is_error: bool) -> None:
    if current().trace.counted:
        answer = "error" if is_error else "result"
        metrics.counter(metrics.tool_calls, tool, answer).inc()
