"""The metrics at /metrics by name, with their labels. Alerts and dashboard use them."""

METRICS = {
    "http_requests_total": {"endpoint", "method", "status_code"},
    "http_request_duration_seconds": {"endpoint", "method"},
    "action_exec_total": {"provider", "action", "status"},
    "action_error_total": {"provider", "action", "reason"},
    "action_latency_seconds": {"provider", "action"},
    "action_replay_total": {"provider", "action", "status"},
    "relay_tool_calls_total": {"tool", "answer"},
    "relay_run_reservations_total": {"answer"},
    "relay_runs_in_flight": set(),
    "relay_guard_refusals_total": {"reason"},
    "relay_redis_call_seconds": set(),
    "relay_redis_pipeline_calls": set(),
    "relay_rate_limited_total": {"limit"},
    "relay_audit_outbox_entries": set(),
    "relay_audit_outbox_oldest_seconds": set(),
    "relay_audit_chain_broken": set(),
    "relay_audit_broken_chains": set(),
    "relay_audit_entries_shipped_total": set(),
    "relay_audit_entries_dropped_total": set(),
    "relay_approvals_total": {"action", "state"},
    "relay_approval_seconds": {"action", "state"},
    "relay_approval_rules_total": {"rule", "state"},
    "relay_approvals_pending": set(),
    "relay_approvals_used_ratio": set(),
    "relay_approval_notices_total": {"event", "outcome"},
    "relay_policy_errors_total": set(),
    "relay_oauth_refresh_total": {"provider", "result"},
    "relay_connections": {"provider", "state"},
    "relay_ready_check": {"check"},
    "relay_spans_dropped_total": {"reason"},
    "relay_log_lines_dropped_total": set(),
    "relay_background_failures_total": set(),
    "relay_build_info": {"version"},
    "process_resident_memory_bytes": set(),
    "process_cpu_seconds_total": set(),
    "process_start_time_seconds": set(),
}
HISTOGRAMS = {
    "http_request_duration_seconds",
    "action_latency_seconds",
    "relay_redis_call_seconds",
    "relay_redis_pipeline_calls",
    "relay_approval_seconds",
}
# Prometheus puts these on whatever it scrapes.
SCRAPED = {"job", "instance"}
# What it makes itself, and what HAProxy emits.
FOREIGN = {
    "up": set(),
    "ALERTS": {"alertstate"},
    "haproxy_backend_active_servers": {"proxy"},
}


def labels() -> dict[str, set[str]]:
    """Labels by the names that a query may use: a histogram is three series."""
    found = {name: names | SCRAPED for name, names in (METRICS | FOREIGN).items()}
    for name in HISTOGRAMS:
        own = found.pop(name)
        found |= {f"{name}_bucket": own | {"le"}, f"{name}_count": own, f"{name}_sum": own}
    return found
