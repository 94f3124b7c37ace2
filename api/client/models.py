"""What the client hands out: workflows, worktys, runs and boards in the field's own terms, read from REST's records.

Reading is tolerant: what a server of another version leaves out is empty.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from api.client import policies

Record = Mapping[str, Any]

#: States in which nothing of a run changes any more (live API contract, section 5).
FINAL = frozenset({"completed", "failed", "stopped"})


@dataclass(frozen=True, slots=True)
class Property:
    """A property of a workty or of an instance; `value` is any JSON value."""

    id: str
    name: str
    value: Any


@dataclass(frozen=True, slots=True)
class Instance:
    """A workty in a workflow. Its `name` may be empty; `state` is that of the latest run.

    `version` is the one that it runs until it is upgraded; "" means the code that its workty has at that moment.
    `policy` has what it says of failures itself, by the names that definitions have.
    """

    id: str
    name: str
    desc: str
    workty: str
    state: str
    properties: tuple[Property, ...]
    version: str = ""
    policy: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Workflow:
    """A workflow with its instances in running order. `created` is ISO 8601 text, as all times are.

    Its runs fail `deadline` seconds after their begin; None: never.
    """

    id: str
    name: str
    desc: str
    account: str
    created: str
    instances: tuple[Instance, ...]
    deadline: float | None = None


@dataclass(frozen=True, slots=True)
class Workty:
    """A program of the catalogue. `price` is in cents; a template with a price has to be acquired first.

    `version` is the one of its code now, "" for code without manifest.
    """

    id: str
    name: str
    desc: str
    account: str
    template: bool
    price: int
    properties: tuple[Property, ...]
    version: str = ""


@dataclass(frozen=True, slots=True)
class DeclaredProperty:
    """A property that a version declares; `type` is text, number, integer, boolean or any, `default` any JSON value."""

    name: str
    type: str
    default: Any
    description: str


@dataclass(frozen=True, slots=True)
class Version:
    """A version of a workty. `size` is in bytes, `sha256` that of the package."""

    version: str
    created: str
    size: int
    sha256: str
    properties: tuple[DeclaredProperty, ...]
    states: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Reason:
    """Why a step waits, failed or was stopped: a stable code and a sentence."""

    code: str
    message: str
    return_code: int | None = None
    last_output: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Step:
    """A step of a run; `id` is that of its instance. `progress` is 0 to 1, `board` a name, "" before it has one.

    `workty_state` is the last state of its own that the program told, `checkpointed` when its last checkpoint came.
    """

    id: str
    name: str
    state: str
    attempt: int = 0
    progress: float | None = None
    board: str = ""
    reason: Reason | None = None
    workty_state: str | None = None
    checkpointed: str | None = None

    @property
    def label(self) -> str:
        """Its name, or for a step without one the end of its id, for people."""
        return self.name or f"step {self.id[-6:]}"


@dataclass(frozen=True, slots=True)
class Run:
    """A run of a workflow. `steps` is empty in lists; `waits_for` says why it does not go on now."""

    id: str
    workflow: str
    name: str
    number: int
    state: str
    created: str
    started: str | None
    finished: str | None
    board: str
    waits_for: Reason | None
    steps: tuple[Step, ...] = ()

    @property
    def ended(self) -> bool:
        """Whether nothing changes any more."""
        return self.state in FINAL


@dataclass(frozen=True, slots=True)
class Moment:
    """What happened to a step of a run, or ("") to the run; `lines` are what a failed attempt wrote last."""

    at: str
    step: str
    text: str
    lines: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Explanation:
    """The story of a run. `now` says what it does or waits for, `help` what would help ("" for nothing).

    `missing` counts changes of state at the beginning that are no longer kept.
    """

    id: str
    workflow: str
    name: str
    number: int
    state: str
    missing: int
    story: tuple[Moment, ...]
    now: str
    help: str


@dataclass(frozen=True, slots=True)
class Board:
    """A board of the installation, for admins."""

    id: str
    name: str
    state: str
    slots: int
    slots_busy: int
    disabled: bool
    draining: bool
    labels: tuple[str, ...]
    last_seen: str | None


def workflow_from(record: Record) -> Workflow:
    """A workflow that was read with `embed=worktiesinstances.state,worktiesinstances.properties`, or less."""
    entries = [entry for entry in record.get("worktiesInstancesIds") or () if isinstance(entry, Mapping)]
    return Workflow(
        id=str(record["_id"]),
        name=str(record.get("name", "")),
        desc=str(record.get("desc", "")),
        account=str(record.get("accountId", "")),
        created=str(record.get("created", "")),
        instances=tuple(instance_from(entry) for entry in entries),
        deadline=record.get("deadline"),
    )


def instance_from(record: Record) -> Instance:
    """An instance, with its state and properties if they are embedded."""
    state = record.get("stateId")
    return Instance(
        id=str(record["_id"]),
        name=str(record.get("name", "")),
        desc=str(record.get("desc", "")),
        workty=str(record.get("worktyId", "")),
        state=str(state.get("name", "")) if isinstance(state, Mapping) else "",
        properties=properties_from(record),
        version=str(record.get("version", "")),
        policy=policies.from_rest(record.get("policy")),
    )


def properties_from(record: Record) -> tuple[Property, ...]:
    """The embedded properties of a workty or an instance."""
    entries = [entry for entry in record.get("propertiesIds") or () if isinstance(entry, Mapping)]
    return tuple(Property(str(p["_id"]), str(p.get("name", "")), p.get("value")) for p in entries)


def workty_from(record: Record) -> Workty:
    """A workty, with its properties if they are embedded."""
    return Workty(
        id=str(record["_id"]),
        name=str(record.get("name", "")),
        desc=str(record.get("desc", "")),
        account=str(record.get("accountId", "")),
        template=bool(record.get("template")),
        price=int(record.get("price") or 0),
        properties=properties_from(record),
        version=str(record.get("version", "")),
    )


def version_from(record: Record) -> Version:
    """A version, as REST's list of them has it."""
    return Version(
        version=str(record.get("version", "")),
        created=str(record.get("created", "")),
        size=int(record.get("size") or 0),
        sha256=str(record.get("sha256", "")),
        properties=tuple(
            DeclaredProperty(str(p["name"]), str(p.get("type", "any")), p.get("default"), str(p.get("description", "")))
            for p in record.get("properties") or ()
        ),
        states=tuple(str(state) for state in record.get("states") or ()),
    )


def run_from(record: Record) -> Run:
    """A run from a list of runs, or a single one with its steps."""
    return Run(
        id=str(record["_id"]),
        workflow=str(record.get("workflowId", "")),
        name=str(record.get("name", "")),
        number=int(record.get("number") or 0),
        state=str(record.get("state", "")),
        created=str(record.get("created", "")),
        started=record.get("started"),
        finished=record.get("finished"),
        board=_name(record.get("board")),
        waits_for=reason_from(record.get("waitsFor")),
        steps=tuple(step_from(step) for step in record.get("steps") or ()),
    )


def explanation_from(record: Record) -> Explanation:
    """The explanation of a run."""
    return Explanation(
        id=str(record["_id"]),
        workflow=str(record.get("workflowId", "")),
        name=str(record.get("name", "")),
        number=int(record.get("number") or 0),
        state=str(record.get("state", "")),
        missing=int(record.get("missing") or 0),
        story=tuple(
            Moment(
                at=str(moment.get("at", "")),
                step=str(moment.get("step", "")),
                text=str(moment.get("text", "")),
                lines=tuple(str(line) for line in moment.get("lines") or ()),
            )
            for moment in record.get("story") or ()
        ),
        now=str(record.get("now", "")),
        help=str(record.get("help", "")),
    )


def step_from(record: Record) -> Step:
    """A step, from a run over REST (`_id`, `board`) or a live message about an instance (`id`, `device`)."""
    return Step(
        id=str(record.get("_id") or record.get("id") or ""),
        name=str(record.get("name", "")),
        state=str(record.get("state", "")),
        attempt=int(record.get("attempt") or 0),
        progress=record.get("progress"),
        board=_name(record.get("board") or record.get("device")),
        reason=reason_from(record.get("reason")),
        workty_state=record.get("worktyState"),
        checkpointed=record.get("checkpointed"),
    )


def reason_from(record: Record | None) -> Reason | None:
    """A reason, None for none."""
    if not record:
        return None
    return Reason(
        code=str(record.get("code", "")),
        message=str(record.get("message", "")),
        return_code=record.get("returnCode"),
        last_output=tuple(str(line) for line in record.get("lastOutput") or ()),
    )


def board_from(record: Record) -> Board:
    """A board, as REST's `devices` has it."""
    return Board(
        id=str(record["_id"]),
        name=str(record.get("name", "")),
        state=str(record.get("state", "")),
        slots=int(record.get("slots") or 0),
        slots_busy=int(record.get("slotsBusy") or 0),
        disabled=bool(record.get("disabled")),
        draining=bool(record.get("draining")),
        labels=tuple(str(label) for label in record.get("labels") or ()),
        last_seen=record.get("lastSeen"),
    )


def _name(record: Record | None) -> str:
    return str(record.get("name", "")) if record else ""
