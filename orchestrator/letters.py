"""What a dead letter says: where it came from, why it is one, and what it would be when it is replayed. No I/O.

There are two kinds. The orchestrator wraps events that it cannot use, and adds the reason. The broker moves what a
reader rejects, or what comes back too often, and adds `x-death`; the reason is found by checking the message again.
`x-death` is written by the broker alone, and counts more than anything else: whoever sent a message chose its headers.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from orchestrator.broker import AT_HEADER, EVENTS_QUEUE, LOGS_QUEUE, REASON_HEADER
from orchestrator.deliveries import KEY_HEADER, SENDER_HEADER, believed
from workties.errors import BadMessage
from workties.messages import EXECUTE_TASK, Log
from workties.parsing import parse_assignment, parse_control, parse_event

#: Headers by which a queue counts; they belong to the delivery and not to the message.
_COUNTED = frozenset({"x-death", "x-first-death-exchange", "x-first-death-queue", "x-first-death-reason"}) | {
    "x-delivery-count"
}


@dataclass(frozen=True, slots=True)
class Replay:
    """The message that a letter becomes again. `by_server`: whether the broker is to vouch for the server's account."""

    queue: str
    body: bytes
    content_type: str
    content_encoding: str
    headers: Mapping[str, Any] = field(default_factory=dict)
    by_server: bool = False


@dataclass(frozen=True, slots=True)
class Letter:
    """A dead letter.

    Attributes:
        id: stays the same however often the letter is read.
        at: since when it is one, ISO 8601; None if nobody noted it.
        origin: the routing key of an event, else the queue of a board.
        sender: the account that the broker vouched for; None if it did not.
        size: bytes of the message.
        body: the message: decoded JSON, else text.
        replay: what to publish to have it read again.
        obstacle: why that would be in vain; None if it would not.
    """

    id: str
    at: str | None
    origin: str
    sender: str | None
    reason: str
    size: int
    body: Any
    replay: Replay
    obstacle: str | None


def letter_of(body: bytes, properties: Mapping[str, Any]) -> Letter:
    """The letter in a message of the queue of dead letters, from its body and its AMQP properties."""
    headers = properties.get("application_headers") or {}
    deaths = headers.get("x-death")
    if not deaths and REASON_HEADER in headers:
        return _wrapped(body, properties, headers)
    return _moved(body, properties, headers, deaths[0] if deaths else {})


def _wrapped(body: bytes, properties: Mapping[str, Any], headers: Mapping[str, Any]) -> Letter:
    """A letter of the orchestrator."""
    message = _decoded(body)
    message = message.get("message") if isinstance(message, Mapping) else message
    key, sender = str(headers.get(KEY_HEADER)), headers.get(SENDER_HEADER)
    again = json.dumps(message).encode()
    return Letter(
        id=_id(body, properties, headers.get(AT_HEADER)),
        at=headers.get(AT_HEADER),
        origin=key,
        sender=sender,
        reason=str(headers[REASON_HEADER]),
        size=len(again),
        body=message,
        replay=_event_again(again, sender, key),
        obstacle=_event_problem(message, sender, key),
    )


def _moved(body: bytes, properties: Mapping[str, Any], headers: Mapping[str, Any], death: Mapping[str, Any]) -> Letter:
    """A letter that the broker moved out of a queue."""
    queue, message, sender = str(death.get("queue")), _decoded(body), properties.get("user_id")
    key = str((death.get("routing-keys") or [queue])[0])
    from_board = queue in {EVENTS_QUEUE, LOGS_QUEUE}
    problem = _event_problem(message, sender, key) if from_board else _order_problem(queue, message, headers)
    content = str(properties.get("content_type", "")), str(properties.get("content_encoding", ""))
    kept = {name: value for name, value in headers.items() if name not in _COUNTED}
    return Letter(
        id=_id(body, properties, death.get("time"), death.get("count"), queue),
        at=_moment(death.get("time")),
        origin=key if from_board else queue,
        sender=sender,
        reason=_reason(death, problem),
        size=len(body),
        body=message,
        replay=_event_again(body, sender, key) if from_board else Replay(queue, body, *content, kept),
        obstacle=problem,
    )


def _event_again(body: bytes, sender: str | None, key: str) -> Replay:
    """An event for the queue that it came from, past the exchange, under which only its board may send it."""
    headers = {KEY_HEADER: key} if sender is None else {KEY_HEADER: key, SENDER_HEADER: sender}
    queue = LOGS_QUEUE if key.endswith(f".{Log.kind}") else EVENTS_QUEUE
    return Replay(queue, body, "application/json", "utf-8", headers, by_server=True)


def _reason(death: Mapping[str, Any], problem: str | None) -> str:
    if not death:
        return "Nobody noted why it is here"
    if death.get("reason") != "rejected":
        return f"The broker took it out of queue {death.get('queue')}: {death.get('reason')}"
    return problem or "Its reader rejected it, and its log says why. It makes sense to this version of Workty"


def _event_problem(message: Any, sender: str | None, key: str) -> str | None:
    """Why an event would be refused; None if it would be applied."""
    return _problem(lambda: believed(parse_event(message), sender, key))


def _order_problem(queue: str, message: Any, headers: Mapping[str, Any]) -> str | None:
    """Why a board would reject a message of its queues; None if it makes sense."""
    if queue.endswith(".control"):
        return _problem(lambda: parse_control(message))
    if headers.get("task") != EXECUTE_TASK:
        return f"task: expected {EXECUTE_TASK}, got {headers.get('task')!r}"
    arguments = message[0] if isinstance(message, list) and message else None
    if not isinstance(arguments, list) or len(arguments) != 1:
        return "expected a Celery task with one argument"
    return _problem(lambda: parse_assignment(arguments[0]))


def _problem(check: Callable[[], object]) -> str | None:
    try:
        found = check()
    except BadMessage as error:
        return str(error)
    return found if isinstance(found, str) else None


def _decoded(body: bytes) -> Any:
    try:
        return json.loads(body)
    except (ValueError, RecursionError):
        return body.decode(errors="backslashreplace")


def _id(body: bytes, properties: Mapping[str, Any], *further: object) -> str:
    """Twelve digits that two letters share only if they are the same in everything."""
    digest = hashlib.sha256(body)
    for part in (properties.get("message_id"), properties.get("correlation_id"), *further):
        digest.update(f"\0{part}".encode())
    return digest.hexdigest()[:12]


def _moment(found: object) -> str | None:
    """A time as amqp reads it, UTC without saying so."""
    return found.replace(tzinfo=UTC).isoformat() if isinstance(found, datetime) else None
