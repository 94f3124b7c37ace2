"""A small world for tests of the run engine: a real core over the embedded database, with boards that tests play.

Time is a number that tests move. Boards hold what was sent to them until a test lets them act; what they say waits in
`events` until a test delivers it. `crash_after` lets the next process die between two effects.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import Any

from bson import ObjectId
from pymongo.database import Database

from orchestrator.core import build_core
from orchestrator.embedded import embedded_database
from orchestrator.live import NOBODY, Audience, EntityChange, LogWritten, ProgressMade, StepChange
from orchestrator.runs.store import INDEXES, RunStore
from orchestrator.runs.vocabulary import Run
from workties import messages as m
from workties.parsing import parse_assignment, parse_control, parse_event

ACCOUNT = "0" * 23 + "1"


class Crashed(BaseException):
    """The process died here. Not an Exception, so that no error handling sees it."""


@dataclass
class BoardModel:
    """A board as a test plays it: what it was sent, and what it has in its journal."""

    id: str
    slots: int = 2
    boot: int = 1
    beats: int = 0
    assignments: list[m.Assignment] = field(default_factory=list)
    controls: list[m.Control] = field(default_factory=list)
    journal: dict[tuple[str, str, int], int] = field(default_factory=dict)
    known: set[tuple[str, str, int]] = field(default_factory=set)
    finals: dict[tuple[str, str, int], m.StepEvent] = field(default_factory=dict)
    away: bool = False
    begun: list[tuple[str, str, int]] = field(default_factory=list)


class World:
    """One server and its boards.

    Args:
        database: where it keeps what it knows; one of its own unless given.
        clients: are told what `changes`, `progress` and so on keep.
    """

    def __init__(self, database: Database[dict[str, Any]] | None = None, clients: Audience = NOBODY) -> None:
        self.now = datetime(2026, 1, 1, tzinfo=UTC)
        self.database = embedded_database() if database is None else database
        self.clients = clients
        self.database["runs"].create_indexes(list(INDEXES["runs"]))
        self.boards: dict[str, BoardModel] = {}
        self.events: list[m.BoardEvent] = []
        self.sent: list[m.Assignment] = []
        self.changes: list[StepChange] = []
        self.progress: list[ProgressMade] = []
        self.logs: list[LogWritten] = []
        self.entities: list[EntityChange] = []
        self.crash_after: int | None = None
        self.crashed = False
        self.broker_away = False
        self.core = build_core(self.database, self, self, self.link, clock=self.clock)
        self.store = RunStore(self.database)

    def clock(self) -> datetime:
        return self.now

    # --- what the core sees: boards, live clients, links

    def assign(self, assignment: m.Assignment) -> None:
        self._edge()
        self.sent.append(parse_assignment(m.encode(assignment)))
        self.boards[assignment.board].assignments.append(self.sent[-1])

    def control(self, control: m.Control) -> None:
        self._edge()
        if control.board in self.boards:
            self.boards[control.board].controls.append(parse_control(m.encode(control)))

    def step_changed(self, change: StepChange) -> None:
        self._edge()
        self.changes.append(change)
        self.clients.step_changed(change)

    def progressed(self, progress: ProgressMade) -> None:
        self.progress.append(progress)
        self.clients.progressed(progress)

    def logged(self, written: LogWritten) -> None:
        self.logs.append(written)
        self.clients.logged(written)

    def entity_changed(self, change: EntityChange) -> None:
        self.entities.append(change)
        self.clients.entity_changed(change)

    def link(self, package: Any) -> m.Package:
        return m.Package(package.sha256, package.size, "http://server/package", "2026-01-01T00:00:00Z")

    def _edge(self) -> None:
        if self.crash_after is not None:
            if self.crash_after == 0:
                self.crash_after, self.crashed = None, True
                raise Crashed
            self.crash_after -= 1

    # --- what clients do

    def workflow(
        self,
        steps: int = 2,
        account: str = ACCOUNT,
        language: str = "python",
        *,
        policies: Sequence[Mapping[str, Any]] = (),
        deadline: float | None = None,
        **package_fields: Any,
    ) -> ObjectId:
        """A workflow of so many steps, of a workty whose stored package has these further fields.

        Args:
            policies: of the first instances, one each.
            deadline: seconds that a run may take.
        """
        workty = ObjectId()
        package = {
            "sha256": "a" * 64, "size": 1, "entry": "main.py", "language": language,
            "version": "1", "labels": [], "limits": {}, **package_fields,
        }  # fmt: skip
        self.database["workties"].insert_one(
            {"_id": workty, "name": "w", "package": package, "entryPointModuleFileName": "main.py"}
        )
        instances = [ObjectId() for _ in range(steps)]
        workflow = ObjectId()
        for number, instance in enumerate(instances):
            self.database["workty_instances"].insert_one(
                {
                    "_id": instance, "workflowId": workflow, "worktyId": workty, "name": "", "propertiesIds": [],
                    "policy": dict(policies[number]) if number < len(policies) else {},
                }
            )  # fmt: skip
        self.database["workflows"].insert_one(
            {
                "_id": workflow, "name": "wf", "accountId": ObjectId(account), "worktiesInstancesIds": instances,
                "deadline": deadline,
            }
        )  # fmt: skip
        return workflow

    def run(self, workflow: ObjectId) -> Run:
        latest = self.store.latest(str(workflow))
        assert latest is not None
        return latest.run

    def states(self, workflow: ObjectId) -> list[str]:
        return [step.state.value for step in self.run(workflow).steps]

    # --- what boards do

    def board(self, slots: int = 2) -> BoardModel:
        record = self.core.boards.add(f"board-{len(self.boards)}", self.now)
        model = self.boards[record.id] = BoardModel(record.id, slots)
        self.heartbeat(model)
        return model

    def heartbeat(self, board: BoardModel) -> None:
        self.core.fleet.heard(m.Heartbeat(**self.vitals(board)))

    def bye(self, board: BoardModel) -> m.Bye:
        return m.Bye(**self.vitals(board), reason="The agent stops")

    def vitals(self, board: BoardModel) -> dict[str, Any]:
        board.beats += 1
        active = tuple(m.ActiveAttempt(run, inst, no, seq, "running") for (run, inst, no), seq in board.journal.items())
        return {
            "id": f"hb{board.beats}",
            "at": "2026-01-01T00:00:00Z",
            "board": board.id,
            "boot": f"boot{board.boot}",
            "seq": board.beats,
            "active": active,
            "slots": board.slots,
            "runtimes": ("python", "nodejs"),
        }

    def take(self, board: BoardModel) -> None:
        """The oldest assignment goes to the journal, as the agent does it."""
        assignment = board.assignments.pop(0)
        key = (assignment.run, assignment.instance, assignment.attempt)
        newest = max((attempt for *step, attempt in board.known if (*step,) == key[:2]), default=0)
        if key in board.finals:
            self.events.append(board.finals[key])
        elif key in board.journal:
            return
        elif key in board.known or newest > assignment.attempt:
            self._tell(board, key, 1, m.Refused, reason=m.Reason("old-attempt", ""))
        else:
            board.known.add(key)
            board.begun.append(key)
            board.journal[key] = 0
            self.say(board, key, m.Accepted)

    def say(self, board: BoardModel, key: tuple[str, str, int], kind: type, **fields: Any) -> None:
        """The board says something about an attempt; it waits in `events`."""
        board.journal[key] += 1
        event = self._tell(board, key, board.journal[key], kind, **fields)
        if event.final:
            del board.journal[key]
            board.finals[key] = event

    def _tell(self, board: BoardModel, key: tuple[str, str, int], seq: int, kind: type, **fields: Any) -> m.StepEvent:
        run, instance, attempt = key
        common = {"run": run, "instance": instance, "attempt": attempt, "seq": seq, "board": board.id}
        event = kind(id=f"{run}{instance}{attempt}{seq}", at="2026-01-01T00:00:00Z", **common, **fields)
        event = parse_event(m.encode(event))
        self.events.append(event)
        return event

    def obey(self, board: BoardModel) -> None:
        """The oldest control is carried out, as the agent does it."""
        control = board.controls.pop(0)
        key = (control.run, control.instance, control.attempt)
        if control.command == "forget":
            board.journal.pop(key, None)
            board.known.add(key)
        elif key in board.finals:
            self.events.append(board.finals[key])
        elif key in board.journal or key not in board.known:
            code = "stopped" if control.command == "stop" else "paused"
            board.known.add(key)
            board.journal.setdefault(key, 0)
            self.say(board, key, m.Interrupted, reason=m.Reason(code, ""), checkpoint=m.Checkpoint("s", {"n": 1}))

    def reboot(self, board: BoardModel) -> None:
        board.boot, board.beats = board.boot + 1, 0
        for key in list(board.journal):
            self.say(board, key, m.Interrupted, reason=m.Reason("reboot", "power cut"))
        self.heartbeat(board)

    def deliver(self, index: int = 0, *, keep: bool = False) -> None:
        """One event reaches the server; `keep` leaves it to be delivered again."""
        event = self.events[index] if keep else self.events.pop(index)
        assert not isinstance(event, m.Heartbeat)
        self.core.engine.handle(event.run, [event])

    def deliver_all(self) -> None:
        while self.events:
            self.deliver()

    # --- time

    def sweep(self, seconds: float = 0.0, *, hears: bool = True) -> None:
        self.now += timedelta(seconds=seconds)
        self.core.reconciler.sweep(datetime(2026, 1, 1, tzinfo=UTC) if hears else None)

    def beat(self, seconds: float = 3.0) -> None:
        """Time passes while every board that is not away lives: heartbeats, then a sweep."""
        self.now += timedelta(seconds=seconds)
        for board in self.boards.values():
            if not board.away:
                self.heartbeat(board)
        self.sweep()

    # --- short cuts

    def drive(self, board: BoardModel, *kinds: str, **fields: Any) -> None:
        """Let the board take its next assignment and say these kinds of events about it, all delivered."""
        assignment = board.assignments[0]
        key = (assignment.run, assignment.instance, assignment.attempt)
        self.take(board)
        for kind in kinds:
            self.say(board, key, KINDS[kind], **DETAILS[kind] | fields.get(kind, {}))
        self.deliver_all()

    def key(self, workflow: ObjectId) -> tuple[str, str, int]:
        run = self.run(workflow)
        return (run.id, run.step.instance, run.step.attempt)


def forged(event: m.StepEvent, **fields: Any) -> m.StepEvent:
    """The event with other fields."""
    return replace(event, **fields)


KINDS: Mapping[str, type] = {
    "state": m.StateReported, "progress": m.Progress, "completed": m.Completed, "failed": m.Failed,
    "interrupted": m.Interrupted, "refused": m.Refused,
}  # fmt: skip
DETAILS: Mapping[str, dict[str, Any]] = {
    "state": {"state": "running"},
    "progress": {"progress": 0.5},
    "completed": {"output": {"answer": 42}},
    "failed": {"reason": m.Reason("exit", "Exit code 3"), "return_code": 3, "last_output": ("boom",)},
    "interrupted": {"reason": m.Reason("reboot", "power cut")},
    "refused": {"reason": m.Reason("bad-package", "no such entry")},
}


def finish(world: World, board: BoardModel, workflow: ObjectId) -> None:
    """Let the board complete every step that is left."""
    while not world.run(workflow).state.final:
        world.drive(board, "state", "completed")
