"""What the oracle judges: runs as they are stored, what clients heard of them, and what was asked. Frozen data.

Reads documents of the database into it; judges nothing.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

FINAL = frozenset({"completed", "failed", "stopped"})


@dataclass(frozen=True, slots=True)
class Change:
    """A change of state as the run's history keeps it, or as a client heard it. `step` is the instance's id."""

    seq: int
    run_state: str
    step: str
    state: str
    attempt: int
    reason: str | None = None


@dataclass(frozen=True, slots=True)
class StepRecord:
    """A step as it is stored; `token` is what its ledger lines begin with, `kind` the name of its workty."""

    instance: str
    token: str
    kind: str
    state: str
    attempt: int
    active: bool
    output: Mapping[str, Any] | None


@dataclass(frozen=True, slots=True)
class RunRecord:
    """A run as it is stored; `unsent` counts effects that wait in its outbox."""

    id: str
    workflow: str
    state: str
    seq: int
    losses: int
    reason: str | None
    holds_slot: bool
    queued: bool
    unsent: int
    steps: tuple[StepRecord, ...]
    history: tuple[Change, ...]


@dataclass(frozen=True, slots=True)
class Asked:
    """What was asked of a workflow: it was run once, perhaps stopped."""

    workflow: str
    stopped: bool = False


def run_record(document: Mapping[str, Any]) -> RunRecord:
    """The record of a document of the collection `runs`."""
    steps = tuple(_step(found) for found in document["steps"])
    reason = document["steps"][document["current"]]["reason"]
    return RunRecord(
        id=str(document["_id"]),
        workflow=str(document["workflowId"]),
        state=document["state"],
        seq=document["seq"],
        losses=document["losses"],
        reason=None if reason is None else reason["code"],
        holds_slot=document["board"] is not None,
        queued=document["queued"],
        unsent=len(document["outbox"]),
        steps=steps,
        history=tuple(_change(found, steps) for found in document["history"]),
    )


def heard_change(workflow: Mapping[str, Any]) -> Change:
    """The change that a message `sv.workflow.changed` tells."""
    step, run = workflow["worktyInstance"], workflow["run"]
    return Change(run["seq"], run["state"], step["id"], step["state"], step["attempt"], _code(step["reason"]))


def _step(found: Mapping[str, Any]) -> StepRecord:
    tokens = [json.loads(each["value"]) for each in found["properties"] if each["name"] == "token"]
    return StepRecord(
        instance=found["instance"],
        token=tokens[0],
        kind=found["program"]["name"],
        state=found["state"],
        attempt=found["attempt"],
        active=found["dispatched"] is not None,
        output=None if found["output"] is None else json.loads(found["output"]),
    )


def _change(found: Mapping[str, Any], steps: tuple[StepRecord, ...]) -> Change:
    step = steps[found["step"]].instance
    return Change(found["seq"], found["runState"], step, found["state"], found["attempt"], _code(found["reason"]))


def _code(reason: Mapping[str, Any] | None) -> str | None:
    return None if reason is None else str(reason["code"])
