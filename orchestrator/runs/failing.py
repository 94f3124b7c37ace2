"""What a step's policy makes of a failure: whether it is tried again, when, and from where. Pure, as `decide`.

A retry goes on from the last checkpoint where the workty can (`resumable`), as an attempt does that was cut short: what
was done before is not done twice. Only a step without a checkpoint, or that cannot use it, begins again.
"""

from __future__ import annotations

import hashlib
from dataclasses import replace
from datetime import datetime, timedelta

from orchestrator.durations import clock_text
from orchestrator.runs.vocabulary import Run, Step, StepReason


def tries_again(step: Step, reason: StepReason) -> bool:
    """Whether a failure counts, and retries are left."""
    policy = step.policy
    exit_counts = reason.code != "exit" or not policy.exit_codes or reason.return_code in policy.exit_codes
    return reason.code in policy.retry_on and exit_counts and step.failures < policy.retries


def retry_moment(run: Run, now: datetime) -> datetime | None:
    """When the current step, which has just failed, is tried again; None: at once."""
    step, policy = run.step, run.step.policy
    wait = min(policy.backoff * policy.backoff_factor**step.failures, policy.backoff_most)
    wait *= 1 + policy.jitter * (2 * _share(run.id, step.instance, str(step.attempt)) - 1)
    return now + timedelta(seconds=wait) if wait > 0 else None


def retry_reason(step: Step, failure: StepReason, moment: datetime | None) -> StepReason:
    """Why a step that failed waits: what happened, and which retry begins when and from where."""
    begins = "begins at once" if moment is None else f"begins at {clock_text(moment)}"
    start = "from its last checkpoint" if goes_on(step) else "from the beginning"
    told = f"{failure.message}. Retry {step.failures + 1} of {step.policy.retries} {begins}, {start}"
    return replace(failure, code="retry", message=told)


def goes_on(step: Step) -> bool:
    """Whether there is a checkpoint from which the next attempt can go on."""
    return step.recovery.resumable and step.checkpoint is not None


def _share(*names: str) -> float:
    """A number from 0 to 1 that is always the same for these names, and unlike for others."""
    digest = hashlib.sha256(".".join(names).encode()).digest()
    return int.from_bytes(digest[:8]) / 2**64
