"""What a request is refused with when the store's answer is not the one it asked for."""

import math

from gateway import problems
from gateway.execution import telemetry
from stores.redis.limits import Limited
from stores.redis.reservations import Run

# Seconds. A run lasts milliseconds as a rule: who comes back finds it settled.
RETRY_AFTER = "1"


def limited(limited: Limited) -> problems.Problem:
    telemetry.limited(limited.bound)
    seconds = math.ceil(limited.retry_in.total_seconds())
    detail = {
        "key": "This API key has asked too often.",
        "workspace": "The keys of this workspace have together asked too often.",
        "runs": "As many runs of this workspace are in flight as may be.",
        "target": "As many runs for this target are in flight as may be.",
    }[limited.bound]
    return problems.RateLimited(
        f"{detail} Nothing was done; ask again in {seconds} s.",
        safe_to_retry=True,
        headers={"Retry-After": str(max(1, seconds))},
    )


def no_preview() -> problems.Problem:
    return problems.PreviewNotFound("Invalid or expired preview_id; ask for a new preview.")


def already_executed(run_id: str) -> problems.Problem:
    return problems.PreviewAlreadyExecuted(
        "This preview was executed; see its run.",
        run_id=run_id,
        headers={"Location": f"/runs/{run_id}"},
    )


def expired(run_id: str) -> problems.Problem:
    return problems.RunExpired("This was executed; its answer is no longer kept.", run_id=run_id)


def other_preview(run: Run) -> problems.Problem:
    return problems.IdempotencyKeyReused(
        "This key executed another preview; take a new key for a new action.", run_id=run.id
    )


def in_progress(run: Run) -> problems.Problem:
    return problems.RunInProgress(
        "The run of this key has no answer yet; ask again, or look at the run.",
        run_id=run.id,
        headers={"Retry-After": RETRY_AFTER, "Location": f"/runs/{run.id}"},
    )
