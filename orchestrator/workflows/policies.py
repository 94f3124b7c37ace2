"""What clients say of failures: policies of instances, and deadlines of workflows. Both count from the next run."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from orchestrator.values import Values
from workties import checks
from workties.errors import BadMessage
from workties.messages import camel
from workties.policy import parse_policy, policy_view

#: Shortest and longest time from a run's begin to its deadline, seconds.
MIN_DEADLINE, MAX_DEADLINE = 0.001, 30 * 86400.0


def wanted_policy(values: Values) -> dict[str, Any]:
    """The `policy` that a client sent, as it is stored: the fields that it has, and no others; null is none."""
    sent = values.raw("policy")
    if sent is None:
        return {}
    if not isinstance(sent, Mapping):
        values.wrong("Path `policy` is not an object.")
        return {}
    try:
        return parse_policy(sent, camel)
    except BadMessage as error:
        key, _, problem = error.reason.partition(": ")
        values.wrong(f"Path `policy.{key}` is not usable: {problem}.")
        return {}


def shown_policy(instance: Mapping[str, Any]) -> dict[str, Any]:
    """The policy of a stored instance as clients see it; empty if it has none of its own."""
    return policy_view(instance.get("policy") or {})


def wanted_deadline(values: Values) -> float | None:
    """The `deadline` that a client sent, seconds from the begin of a run; null is none."""
    sent = values.raw("deadline")
    if sent is None:
        return None
    try:
        return checks.number({"deadline": sent}, "deadline", least=MIN_DEADLINE, most=MAX_DEADLINE)
    except BadMessage as error:
        values.wrong(f"Path `deadline` is not usable: {error.reason.partition(': ')[2]}.")
        return None
