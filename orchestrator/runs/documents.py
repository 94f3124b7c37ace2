"""Runs and effects as plain documents, and back. No database here: only the shapes.

Field names are those of the collection `runs`; a step's view is what live clients and REST answers are made from.
What users and programs choose freely (values of properties, memory, output) is stored as JSON text: JSON knows names
and numbers that BSON does not.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping
from dataclasses import asdict, fields
from datetime import datetime
from typing import Any

from bson import ObjectId

from orchestrator.runs.decision import (
    Announce,
    Dispatch,
    Effect,
    Instruct,
    LinkWorkflow,
    NoteLeaving,
    ReleaseSlot,
    SeekSlot,
    TellState,
)
from orchestrator.runs.vocabulary import (
    BoardRef,
    Run,
    RunState,
    Step,
    StepReason,
    StepState,
    StoredPackage,
    Wanted,
)
from workties.manifest import DeclaredProperty, Recovery
from workties.messages import Access, Checkpoint, Limits, Program, Property, encode
from workties.policy import policy_document, policy_of

Document = dict[str, Any]

#: What the history of a run keeps of a step's view.
_TOLD = ("state", "attempt", "progress", "worktyState", "checkpointed", "reason", "board")

_EFFECTS: dict[str, type[Effect]] = {
    kind.__name__: kind
    for kind in (Announce, Dispatch, Instruct, LinkWorkflow, NoteLeaving, ReleaseSlot, SeekSlot, TellState)
}


def board_of(run: Run, step: Step) -> BoardRef | None:
    """The board that has a step of the run, or on which it ended; None for one that waits for a slot or is paused."""
    if step.state in {StepState.INITIAL, StepState.PAUSED}:
        return None
    return run.board if step.state in {StepState.WAITING, StepState.RUNNING} else step.board


def step_view(step: Step, board: BoardRef | None) -> Document:
    """A step as clients may see it: plain data, in the words of the core."""
    reason = step.reason
    return {
        "instance": step.instance,
        "workty": step.program.id,
        "name": step.name,
        "desc": step.desc,
        "state": step.state.value,
        "properties": [encode(entry) for entry in step.properties],
        "attempt": step.attempt,
        "progress": step.progress,
        "worktyState": step.workty_state,
        "checkpointed": None if step.checkpointed is None else moment_text(step.checkpointed),
        "reason": None if reason is None else encode(reason),
        "board": _board_document(board),
    }


def moment_text(moment: datetime) -> str:
    """A moment as messages have it: ISO 8601 in UTC, to the millisecond."""
    return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")


def step_document(step: Step) -> Document:
    """A step as it is stored inside its run."""
    reason, point, package = step.reason, step.checkpoint, step.package
    return {
        "instance": step.instance,
        "name": step.name,
        "desc": step.desc,
        "program": encode(step.program),
        "package": None if package is None else {"sha256": package.sha256, "size": package.size},
        "limits": encode(step.limits),
        "access": encode(step.access),
        "recovery": asdict(step.recovery),
        "policy": policy_document(step.policy),
        "labels": list(step.labels),
        "declared": [asdict(found) | {"default": json.dumps(found.default)} for found in step.declared],
        "properties": [{"id": p.id, "name": p.name, "value": json.dumps(p.value)} for p in step.properties],
        "former": list(step.former),
        "state": step.state.value,
        "attempt": step.attempt,
        "seq": step.seq,
        "board": _board_document(step.board),
        "dispatched": step.dispatched,
        "accepted": step.accepted,
        "asked": step.asked,
        "failures": step.failures,
        "retryAt": step.retry_at,
        "unanswered": step.unanswered,
        "stops": step.stops,
        "checkpoint": None if point is None else {"state": point.state, "memory": json.dumps(point.memory)},
        "checkpointed": step.checkpointed,
        "worktyState": step.workty_state,
        "progress": step.progress,
        "output": None if step.output is None else json.dumps(step.output),
        "reason": None if reason is None else encode(reason),
        "started": step.started,
        "finished": step.finished,
    }


def step_from(document: Mapping[str, Any]) -> Step:
    """The step that `step_document` stored."""
    plain = {name: document[name] for name in ("instance", "name", "desc", "attempt", "seq", "progress")}
    times = {name: document[name] for name in ("dispatched", "accepted", "asked", "started", "finished")}
    package, point, output = document["package"], document["checkpoint"], document["output"]
    return Step(
        **plain,
        **times,
        program=Program(**document["program"]),
        package=None if package is None else StoredPackage(**package),
        limits=Limits(**document["limits"]),
        access=Access(**document.get("access", {})),
        recovery=Recovery(**document.get("recovery", {})),
        policy=policy_of(document.get("policy", {})),
        failures=document.get("failures", 0),
        retry_at=document.get("retryAt"),
        labels=tuple(document["labels"]),
        declared=declared_from(document.get("declared") or ()),
        properties=tuple(Property(p["id"], p["name"], json.loads(p["value"])) for p in document["properties"]),
        former=tuple(document.get("former") or ()),
        checkpointed=document.get("checkpointed"),
        workty_state=document.get("worktyState"),
        unanswered=document.get("unanswered", 0),
        stops=document.get("stops", 0),
        state=StepState(document["state"]),
        board=_board_from(document.get("board")),
        checkpoint=None if point is None else Checkpoint(point["state"], json.loads(point["memory"])),
        output=None if output is None else json.loads(output),
        reason=_reason_from(document["reason"]),
    )


def declared_from(documents: Iterable[Mapping[str, Any]]) -> tuple[DeclaredProperty, ...]:
    """Declared properties as a package's document has them, and a step's: the default is JSON text."""
    return tuple(
        DeclaredProperty(found["name"], found["type"], json.loads(found["default"]), found["description"])
        for found in documents
    )


def head_document(run: Run) -> Document:
    """Everything of a run but its steps, as it is stored."""
    return {
        "workflowId": ObjectId(run.workflow),
        "workflow": {"name": run.workflow_name, "desc": run.workflow_desc},
        "accountId": ObjectId(run.account),
        "number": run.number,
        "state": run.state.value,
        "wanted": run.wanted.value,
        "seq": run.seq,
        "current": run.current,
        "failed": run.failed,
        "due": run.due,
        "timed": run.due is not None,
        "board": _board_document(run.board),
        "need": {"languages": sorted(run.languages), "labels": sorted(run.labels)},
        "queued": run.queued,
        "ticket": run.ticket,
        "waitingSince": run.waiting_since,
        "losses": run.losses,
        "deadline": run.deadline,
        "trace": run.trace,
        "created": run.created,
        "started": run.started,
        "finished": run.finished,
    }


def run_document(run: Run) -> Document:
    """A whole run as it is stored, but for its version and outbox."""
    return {"_id": ObjectId(run.id), **head_document(run), "steps": [step_document(step) for step in run.steps]}


def run_from(document: Mapping[str, Any]) -> Run:
    """The run that `run_document` stored."""
    plain = {
        name: document[name]
        for name in ("number", "seq", "current", "queued", "ticket", "losses", "created", "started", "finished")
    }
    return Run(
        **plain,
        id=str(document["_id"]),
        workflow=str(document["workflowId"]),
        workflow_name=document["workflow"]["name"],
        workflow_desc=document["workflow"]["desc"],
        account=str(document["accountId"]),
        steps=tuple(step_from(step) for step in document["steps"]),
        failed=document.get("failed"),
        state=RunState(document["state"]),
        wanted=Wanted(document["wanted"]),
        board=_board_from(document["board"]),
        waiting_since=document["waitingSince"],
        deadline=document.get("deadline"),
        trace=document.get("trace"),
    )


def changes(before: Run, after: Run) -> Document:
    """What a `$set` must write to turn the stored `before` into `after`: changed fields, whole changed steps."""
    old, new = head_document(before), head_document(after)
    # A rename of the workflow is written beside the engine, see RunStore.rename; the engine never changes it.
    changed = {name: value for name, value in new.items() if value != old[name]}
    for index, (was, now) in enumerate(zip(before.steps, after.steps, strict=True)):
        if was != now:
            changed[f"steps.{index}"] = step_document(now)
    return changed


def effect_document(effect: Effect) -> Document:
    """An effect as it waits in the outbox."""
    values = {f.name: getattr(effect, f.name) for f in fields(effect)}
    if isinstance(effect, Announce):
        values["step"] = json.dumps(effect.step)
    return {"kind": type(effect).__name__, **values}


def effect_from(document: Mapping[str, Any]) -> Effect:
    """The effect that `effect_document` stored."""
    build: Callable[..., Effect] = _EFFECTS[document["kind"]]
    values = {name: value for name, value in document.items() if name not in {"kind", "n"}}
    if build is Announce:
        values["step"] = json.loads(values["step"])
    return build(**values)


def history_entry(announced: Announce, place: int, now: datetime) -> Document:
    """A change of state as it is kept in the history of its run; `place` is that of the step among the steps."""
    told = {name: announced.step[name] for name in _TOLD}
    return {
        "seq": announced.seq,
        "at": now,
        "runState": announced.run_state,
        "step": place,
        **told,
        "started": announced.started,
        "finished": announced.finished,
    }


def announced_from(entry: Mapping[str, Any], run: Run) -> Announce:
    """The announcement that became an entry of the run's history. What never changes is taken from the run."""
    step = step_view(run.steps[entry["step"]], None)
    step |= {name: entry.get(name) for name in _TOLD}
    return Announce(
        seq=entry["seq"],
        run_state=entry["runState"],
        step=step,
        completed=entry["runState"] == RunState.COMPLETED.value,
        started=entry["started"],
        finished=entry["finished"],
    )


def _board_document(board: BoardRef | None) -> Document | None:
    return None if board is None else {"id": board.id, "name": board.name}


def _board_from(document: Mapping[str, Any] | None) -> BoardRef | None:
    return None if document is None else BoardRef(document["id"], document["name"])


def _reason_from(document: Mapping[str, Any] | None) -> StepReason | None:
    if document is None:
        return None
    return StepReason(
        document["code"], document["message"], document.get("returnCode"), tuple(document.get("lastOutput") or ())
    )
