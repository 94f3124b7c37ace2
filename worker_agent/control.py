"""What stop, pause and forget mean for one board. How it is carried out is the runner's affair."""

from __future__ import annotations

import logging

from worker_agent.orders import Stop
from worker_agent.records import key_of
from worker_agent.runner import Runner
from workties.messages import Control, Reason

logger = logging.getLogger(__name__)


def follow(message: Control, runner: Runner) -> None:
    """Carry out `message`. An attempt that does not run here is answered at once, so that nobody waits for it."""
    key = key_of(message)
    logger.info("Asked to %s (%s)", message.command, message.reason or "no reason given")
    match message.command:
        case "stop":
            runner.stop(key, Stop(Reason("stopped", message.reason or "stopped"), message.grace))
        case "pause":
            runner.pause(key)
        case "forget":
            runner.forget(key)
