"""What happens when a step fails: its policy, from the manifest's table `[policy]` and from the instance.

Fields, what they may hold, and their defaults. What follows from a policy is decided by the run engine.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, fields, replace
from typing import Any

from workties import checks
from workties.checks import Body
from workties.errors import BadMessage
from workties.messages import FAILURE_CODES, camel

#: Failures that may be tried again: those of programs, a run's third lost board, and an attempt that was cut short and
#: may not simply start again.
RETRIED = FAILURE_CODES | {"board-lost", "interrupted"}
ON_FAILURE = frozenset({"fail", "skip", "cleanup"})
#: Fields that only an instance has: a manifest says the first two as `[limits]`, and knows nothing of other steps.
OF_INSTANCES = frozenset({"timeout", "grace", "cleanup"})

MAX_RETRIES = 100
#: Longest time from a failure to the next attempt, seconds.
MAX_BACKOFF = 86400.0
MAX_TIMEOUT = 30 * 86400.0
MAX_GRACE = 3600.0


@dataclass(frozen=True, slots=True)
class Policy:
    """What happens when a step fails.

    Attributes:
        retries: further attempts after failures that count.
        retry_on: codes of the failures that count, of `RETRIED`.
        exit_codes: exit codes that count where `exit` does; none means all.
        backoff: seconds from the first failure to the next attempt; each further one waits `backoff_factor` times as
            long as the one before.
        backoff_most: longest wait, seconds, before jitter; where nobody says it at least `backoff`.
        jitter: by which part of itself a wait may be shorter or longer, 0 to 1, so that steps which failed together do
            not come back together.
        on_failure: what follows when no attempt is left: `fail` ends the run, `skip` goes on with the next step,
            `cleanup` runs the steps that are marked `cleanup`, and then ends the run as failed.
        cleanup: this step runs only after a failure with `on_failure = "cleanup"`.
        timeout: wall time of one attempt, seconds; None: the limit of its workty.
        grace: seconds from SIGTERM to SIGKILL; None: the limit of its workty.
    """

    retries: int = 0
    retry_on: tuple[str, ...] = tuple(sorted(FAILURE_CODES))
    exit_codes: tuple[int, ...] = ()
    backoff: float = 1.0
    backoff_factor: float = 2.0
    backoff_most: float = 300.0
    jitter: float = 0.1
    on_failure: str = "fail"
    cleanup: bool = False
    timeout: float | None = None
    grace: float | None = None


def parse_policy(body: Body, spell: Callable[[str], str] = lambda name: name) -> dict[str, Any]:
    """The fields of a policy that `body` has, checked, by their names in `Policy`.

    Args:
        spell: how a name is spelled in `body`: as it is in TOML and in the database, `camel` in JSON.

    Raises:
        BadMessage: an unknown key, or a value that does not fit; the message names the key.
    """
    names = {spell(found.name): found.name for found in fields(Policy)}
    for key in body:
        if key not in names:
            raise BadMessage(f"{key[:64]}: unknown key; known are " + ", ".join(sorted(names)))
    return {name: _CHECKS[name](body, key) for key, name in names.items() if key in body}


def policy_of(*given: Mapping[str, Any]) -> Policy:
    """The policy that the fields say, later ones before earlier ones, and defaults for the rest."""
    merged: dict[str, Any] = {}
    for one in given:
        merged |= {name: tuple(value) if isinstance(value, list) else value for name, value in one.items()}
    policy = Policy(**merged)
    least = 0.0 if "backoff_most" in merged else policy.backoff
    return replace(policy, backoff_most=max(policy.backoff_most, least))


def policy_document(policy: Policy) -> dict[str, Any]:
    """A policy as plain data, from which `policy_of` makes it again."""
    return {name: list(value) if isinstance(value, tuple) else value for name, value in asdict(policy).items()}


def policy_view(given: Mapping[str, Any]) -> dict[str, Any]:
    """Fields of a policy as clients see them: JSON with names in camelCase."""
    return {camel(name): list(value) if isinstance(value, tuple) else value for name, value in given.items()}


def _codes(body: Body, key: str) -> tuple[str, ...]:
    if body[key] is None:
        raise checks.wrong(key, f"a list of up to {len(RETRIED)} texts", None)
    found = checks.texts(body, key, limit=len(RETRIED))
    for code in found:
        checks.choice({key: code}, key, RETRIED)
    return found


def _exit_codes(body: Body, key: str) -> tuple[int, ...]:
    value = body[key]
    if not isinstance(value, list | tuple) or len(value) > 256:
        raise checks.wrong(key, "a list of up to 256 exit codes", value)
    return tuple(checks.whole({key: code}, key, most=255) for code in value)


def _seconds(most: float, least: float = 0.0) -> Callable[[Body, str], float]:
    return lambda body, key: checks.number(body, key, least=least, most=most)


_CHECKS: Mapping[str, Callable[[Body, str], Any]] = {
    "retries": lambda body, key: checks.whole(body, key, most=MAX_RETRIES),
    "retry_on": _codes,
    "exit_codes": _exit_codes,
    "backoff": _seconds(MAX_BACKOFF),
    "backoff_factor": lambda body, key: checks.number(body, key, least=1.0, most=100.0),
    "backoff_most": _seconds(MAX_BACKOFF),
    "jitter": lambda body, key: checks.number(body, key, most=1.0),
    "on_failure": lambda body, key: checks.choice(body, key, ON_FAILURE),
    "cleanup": checks.flag,
    "timeout": _seconds(MAX_TIMEOUT, least=0.001),
    "grace": _seconds(MAX_GRACE),
}
