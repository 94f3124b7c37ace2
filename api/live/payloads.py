"""Records of the core in the words of the live API contract, sections 4 and 6. Pure: nothing is read here."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from api.rest.answers import plain
from orchestrator.live import LogWritten, ProgressMade, StepChange
from orchestrator.runs.documents import board_of, step_view
from orchestrator.runs.vocabulary import Run, RunState, Step
from orchestrator.selection import Record
from orchestrator.workflows.service import Overview

Payload = dict[str, Any]

_ACCOUNT = ("name", "email", "oauthID", "aclRoleNames", "amount", "removed", "removedDate", "created")
_WORKTY = ("name", "desc", "entryPointModuleFileName", "price", "discountPercent", "template")
_DICTIONARIES = ("typeId", "categoryId", "languageTypeId", "validationStateId")
_DEVICE = ("name", "desc", "state", "port", "protocol", "disabled", "draining", "platform", "slots", "slotsBusy")
_DEVICE_MORE = ("labels", "lastSeen", "agentVersion")
_PAYMENT = ("worktyId", "msg", "created", "accountId")
#: What a step adds to its instance; null without a step.
_OF_STEP = ("progress", "worktyState", "checkpointed", "reason", "device")


def account(record: Record) -> Payload:
    """An account as its owner and admins see it."""
    return _with_id(record, _ACCOUNT)


def payment(record: Record) -> Payload:
    """A payment."""
    return _with_id(record, _PAYMENT)


def entry(record: Record) -> Payload:
    """An entry of a dictionary; `parentId` where it has one."""
    found = _with_id(record, ("name", "parentId"))
    return {name: value for name, value in found.items() if name != "parentId" or value is not None}


def drawing(record: Record) -> Payload:
    """How an account's clients draw a workflow."""
    return {"workflowId": str(record["workflowId"]), "json": record["json"]}


def workty(record: Record) -> Payload:
    """A workty whose dictionary entries and properties are embedded; never its code."""
    names = {field: _with_id(record[field], ("name",)) for field in _DICTIONARIES}
    return (
        _with_id(record, _WORKTY) | names | {"propertiesIds": [_property(found) for found in record["propertiesIds"]]}
    )


def device(record: Record) -> Payload:
    """A board."""
    address = record.get("ip4Address") or record.get("ip6Address") or ""
    return _with_id(record, (*_DEVICE, *_DEVICE_MORE)) | {"ipAddress": address}


def workflow(overview: Overview) -> Payload:
    """A workflow with its instances and its latest run; `deadline` only if it has one."""
    record, run = overview.workflow, overview.run
    deadline = {"deadline": record["deadline"]} if "deadline" in record else {}
    steps = {} if run is None else {step.instance: step for step in run.steps}
    return _with_id(record, ("name", "desc", "created", "accountId")) | {
        **deadline,
        "run": None if run is None else _run(run),
        "worktiesInstances": [
            _instance(found, steps.get(str(found["_id"])), run) for found in record["worktiesInstancesIds"]
        ],
    }


def changed(change: StepChange) -> Payload:
    """The message about a change of state of a run."""
    reason = change.step["reason"]
    about: Payload = {
        "id": change.workflow,
        "name": change.name,
        "desc": change.desc,
        "run": {
            "id": change.run,
            "state": change.run_state,
            "seq": change.seq,
            "reason": None if change.completed else reason,
            "started": _leaf(change.started),
            "finished": _leaf(change.finished),
        },
        "worktyInstance": _step(change.step),
    }
    if change.completed:
        about["workflowCompleted"] = True
    return {"err": None, "workflow": about}


def progressed(progress: ProgressMade) -> Payload:
    """The message about progress, or about a state of the program's own: then it names the state.

    Only such a message does: progress and states do not wait for each other, and an old state must not follow a new.
    """
    named: Payload = {} if progress.workty_state is None else {"worktyState": progress.workty_state}
    if progress.checkpoint:
        named["checkpoint"] = True
    return {
        "workflow": {"id": progress.workflow},
        "run": {"id": progress.run, "seq": progress.seq},
        "worktyInstance": {
            "id": progress.instance,
            "state": progress.state,
            "attempt": progress.attempt,
            "progress": progress.progress,
            "message": progress.message,
            **named,
        },
    }


def tells_state(payload: Mapping[str, Any]) -> bool:
    """Whether a message about progress names a state of the program's own, and so may not be left out."""
    return "worktyState" in payload["worktyInstance"]


def logged(written: LogWritten) -> Payload:
    """The message about lines of output."""
    return {
        "workflow": {"id": written.workflow},
        "run": {"id": written.run},
        "worktyInstance": {"id": written.instance, "attempt": written.attempt},
        "logSeq": written.seq,
        "lines": [dict(line) for line in written.lines],
    }


def _run(run: Run) -> Payload:
    reason = None if run.state is RunState.COMPLETED else step_view(run.step, None)["reason"]
    return {
        "id": run.id,
        "state": run.state.value,
        "seq": run.seq,
        "reason": reason,
        "started": _leaf(run.started),
        "finished": _leaf(run.finished),
    }


def _instance(record: Record, step: Step | None, run: Run | None) -> Payload:
    """An instance as it is stored, with what its step of the run adds; `policy` only if it has one."""
    found = _with_id(record, ("worktyId", "name", "desc")) | {
        "state": record["stateId"]["name"],
        "propertiesIds": [_property(entry) for entry in record["propertiesIds"]],
    }
    found |= {"policy": record["policy"]} if record["policy"] else {}
    if step is None or run is None:
        return found | {"attempt": 0} | dict.fromkeys(_OF_STEP)
    told = _step(step_view(step, board_of(run, step)))
    return found | {name: told[name] for name in ("state", "attempt", *_OF_STEP)}


def _step(step: Mapping[str, Any]) -> Payload:
    """A step's view (`orchestrator.runs.documents.step_view`) as an instance."""
    return {
        "id": step["instance"],
        "worktyId": step["workty"],
        "name": step["name"],
        "desc": step["desc"],
        "state": step["state"],
        "propertiesIds": step["properties"],
        "attempt": step["attempt"],
        "progress": step["progress"],
        "worktyState": step.get("worktyState"),
        "checkpointed": step.get("checkpointed"),
        "reason": step["reason"],
        "device": step["board"],
    }


def _property(record: Record) -> Payload:
    return _with_id(record, ("name", "value"))


def _with_id(record: Mapping[str, Any], names: tuple[str, ...]) -> Payload:
    return {"id": str(record["_id"])} | {name: _leaf(record.get(name)) for name in names}


def _leaf(value: Any) -> Any:
    """Ids and dates as texts; other values are plain already."""
    return value if value is None or isinstance(value, str | int | float | list | dict) else plain(value)
