"""`workty agent`: one real board, with a place of its own to keep its state."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

from worker_agent.agent import serve
from worker_agent.errors import BadSettings
from worker_agent.settings import load
from workties.errors import TracingMissing
from workties.tracing import tracing_from


def serve_agent(environ: Mapping[str, str]) -> int:
    """Run the board until SIGTERM or SIGINT; returns an exit code. Raises the agent's `BadSettings`."""
    settings = load(environ)
    try:
        tracing = tracing_from(environ, "workty-agent")
    except TracingMissing as error:
        raise BadSettings([str(error)]) from error
    return serve(replace(settings, state_dir=_usable(settings.state_dir)), tracing)


def _usable(directory: Path) -> Path:
    """The absolute path of a directory that can be written to; steps run in directories of their own below it."""
    try:
        directory.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise _unusable(directory, str(error.strerror)) from error
    if not os.access(directory, os.W_OK | os.X_OK):
        raise _unusable(directory, "Permission denied")
    return directory.absolute()


def _unusable(directory: Path, why: str) -> BadSettings:
    hint = "Set it to a directory that this user may write to"
    return BadSettings([f"WORKTY_STATE_DIR: {directory} cannot be used: {why}. {hint}"])
