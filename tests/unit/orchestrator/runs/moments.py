"""The moments of a run at which commands are given, and what a board may do meanwhile: the rows of docs/commands.md.

A `Scene` is one workflow on a `World`. Its moment comes about, a command follows, and `settle` lets the boards act as
boards do until nothing happens any more.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping
from typing import Any

import pytest
from bson import ObjectId
from pymongo.database import Database

from orchestrator.errors import StateForbids
from orchestrator.runs.vocabulary import BoardRef, Run, RunState, SlotGranted
from tests.unit.orchestrator.runs.world import BoardModel, Crashed, World
from workties import messages as m

Key = tuple[str, str, int]
POINT = m.Checkpoint("copying", {"done": 7})
ASKED = frozenset({RunState.PAUSING, RunState.STOPPING})


class Scene:
    """A workflow of so many steps, and a board with one slot; `later` is what happens after the command."""

    def __init__(self, steps: int = 2, database: Database[dict[str, Any]] | None = None, **package: Any) -> None:
        self.world = World(database)
        self.board = self.world.board(slots=1)
        self.workflow = self.world.workflow(steps, **package)
        self.completions: Counter[tuple[str, str]] = Counter()
        self.later: Callable[[], object] = lambda: None

    @property
    def run(self) -> Run:
        return self.world.run(self.workflow)

    @property
    def has_run(self) -> bool:
        return self.world.store.latest(str(self.workflow)) is not None

    @property
    def key(self) -> Key:
        return self.world.key(self.workflow)

    # --- how the moments come about

    def start(self) -> None:
        self.world.core.runs.start(self.workflow)

    def begin(self, point: m.Checkpoint | None = POINT) -> None:
        self.start()
        self.world.drive(self.board, "state", state={"checkpoint": point} if point else {})

    def occupy(self) -> None:
        """Another run has the only slot."""
        self.world.core.runs.start(self.world.workflow(1))

    def complete(self, key: Key, board: BoardModel) -> None:
        self.completions[key[:2]] += 1
        self.world.say(board, key, m.Completed)

    def silence(self, seconds: float) -> None:
        self.board.away = True
        self.world.sweep(seconds)

    def add_board(self) -> None:
        self.world.board(slots=1)

    def lose(self) -> None:
        self.silence(11)
        self.world.sweep(5)

    def leave(self) -> None:
        """The agent of the board is stopped."""
        for key in list(self.board.journal):
            self.world.say(self.board, key, m.Interrupted, reason=m.Reason("agent-stop", "the agent was stopped"))
        self.world.deliver_all()
        self.world.core.fleet.heard(self.world.bye(self.board))
        self.board.away = True

    def come_back(self) -> None:
        self.board.away = False
        self.world.heartbeat(self.board)

    def restart(self) -> None:
        self.board.away = False
        self.world.reboot(self.board)

    # --- how it goes on

    def settle(self) -> None:
        """What happens after the command, and then what boards do until the run has ended or is paused."""
        later, self.later = self.later, lambda: None
        later()
        for _ in range(50):
            self._act()
            if self.run.state.final or self.run.state is RunState.PAUSED:
                self.world.deliver_all()
                return
            if self.run.state in ASKED or not self._work():
                self.world.beat(3)
        raise AssertionError(f"the run is {self.run.state.value} for ever")

    def _present(self) -> list[BoardModel]:
        return [board for board in self.world.boards.values() if not board.away]

    def _act(self) -> None:
        """Boards get what was sent to them, orders first; what they say is heard."""
        for board in self._present():
            while board.controls:
                self.world.obey(board)
            while board.assignments:
                self.world.take(board)
        self.world.deliver_all()

    def _work(self) -> bool:
        """Every step that a board has comes to its end; whether there was one."""
        found = [(board, key) for board in self._present() for key in list(board.journal)]
        for board, key in found:
            self.world.say(board, key, m.StateReported, state="running")
            self.complete(key, board)
        self.world.deliver_all()
        return bool(found)

    def end(self) -> None:
        """All boards are back, and time goes by."""
        for board in self.world.boards.values():
            board.away = False
        for _ in range(4):
            self.world.beat(3)
            self._act()


# --- moments


def _ended(trigger: str) -> Callable[[Scene], None]:
    def arrange(scene: Scene) -> None:
        scene.begin()
        if trigger == "stop":
            scene.world.core.runs.stop(scene.workflow, "enough")
            scene.settle()
        elif trigger == "fail":
            scene.world.say(scene.board, scene.key, m.Failed, reason=m.Reason("exit", "Exit code 3"))
            scene.world.deliver_all()
        else:
            scene.settle()

    return arrange


def _leased(scene: Scene) -> None:
    """A process has leased a slot, and has not told the run."""
    scene.occupy()
    scene.start()
    scene.board.slots = 2
    scene.world.core.boards.heard(m.Heartbeat(**scene.world.vitals(scene.board)), scene.world.now)
    [record] = scene.world.core.boards.all()
    assert scene.world.core.boards.lease(record, scene.run.id, scene.world.now)
    granted = SlotGranted(BoardRef(record.id, record.name))
    run_id = scene.run.id
    scene.later = lambda: scene.world.core.engine.handle(run_id, [granted])


def _waits(scene: Scene) -> None:
    scene.occupy()
    scene.start()


def _accepted(scene: Scene) -> None:
    scene.start()
    scene.world.drive(scene.board)


def _end_untold(scene: Scene) -> None:
    scene.begin()
    scene.complete(scene.key, scene.board)


def _between(scene: Scene) -> None:
    """The process that decided on the next step died before it carried out anything."""
    _end_untold(scene)
    scene.world.crash_after = 0
    with pytest.raises(Crashed):
        scene.world.deliver_all()


def _asked(command: str, begun: bool = True) -> Callable[[Scene], None]:
    def arrange(scene: Scene) -> None:
        scene.begin() if begun else scene.start()
        give(scene, command)

    return arrange


def _paused_untold(scene: Scene) -> None:
    _asked("pause")(scene)
    scene.world.obey(scene.board)


def _paused(scene: Scene) -> None:
    _paused_untold(scene)
    scene.world.deliver_all()


def _retries(scene: Scene) -> None:
    scene.begin()
    _fails(scene)


def _overruns(scene: Scene) -> None:
    scene.begin()
    scene.world.beat(61)


def _silent(then: str, seconds: float = 0.0) -> Callable[[Scene], None]:
    def arrange(scene: Scene) -> None:
        scene.begin()
        scene.silence(11)
        scene.world.sweep(seconds)
        scene.later = scene.come_back if then == "back" else scene.add_board

    return arrange


def _lost(scene: Scene) -> None:
    scene.begin()
    scene.lose()
    scene.later = scene.add_board


def _left(scene: Scene) -> None:
    scene.begin()
    scene.leave()
    scene.later = scene.add_board


def _awaits_board(scene: Scene) -> None:
    scene.begin()
    scene.leave()
    scene.later = scene.restart


Arrange = Callable[[Scene], object]
#: By row of the first table: what the scene is made of, and how the moment comes about.
MOMENTS: Mapping[str, tuple[dict[str, Any], Arrange]] = {
    "was never started": ({}, lambda scene: None),
    "has `completed`": ({}, _ended("complete")),
    "has `failed`": ({}, _ended("fail")),
    "was `stopped`": ({}, _ended("stop")),
    "waits for a slot": ({}, _waits),
    "has a slot, and does not know yet": ({}, _leased),
    "is sent to a board, which has not accepted it": ({}, Scene.start),
    "is accepted, and has not begun": ({}, _accepted),
    "runs a step": ({}, lambda scene: scene.begin(None)),
    "runs a step that has a checkpoint": ({}, Scene.begin),
    "runs a step whose end is on its way here, and another follows": ({}, _end_untold),
    "runs its last step, whose end is on its way here": ({"steps": 1}, _end_untold),
    "is between two steps, and the next one is not sent yet": ({}, _between),
    "is `pausing`": ({}, _asked("pause")),
    "is `pausing`, and the board's answer is on its way here": ({}, _paused_untold),
    "is `pausing` before its step has begun": ({}, _asked("pause", begun=False)),
    "is `paused`": ({}, _paused),
    "is `stopping`": ({}, _asked("stop")),
    "waits to try a step again (`retry`)": ({"policies": [{"retries": 1, "backoff": 60}]}, _retries),
    "is `stopping` because its deadline has passed": ({"deadline": 60}, _overruns),
    "has a board that is silent, and comes back in time": ({}, _silent("back")),
    "has a board that is silent, and stays so": ({}, _silent("lost")),
    "has a board that is silent, and whose step may be for long (`offline_grace`)": (
        {"recovery": {"offline_grace": 600}},
        _silent("back", 300),
    ),
    "has lost its board, and waits for another one": ({}, _lost),
    "had a board whose agent was stopped, and waits for another one": ({}, _left),
    "waits for its board, whose agent was stopped (`offline_grace`)": (
        {"recovery": {"offline_grace": 600}},
        _awaits_board,
    ),
}


# --- what a board may do when it was given a command


def _misses_the_order(scene: Scene) -> None:
    scene.board.controls.clear()


def _says_all_twice(scene: Scene) -> None:
    while scene.board.controls:
        scene.world.obey(scene.board)
    while scene.world.events:
        scene.world.deliver(keep=True)
        scene.world.deliver()


def _ends_before(scene: Scene) -> None:
    scene.complete(scene.key, scene.board)
    scene.world.deliver_all()


def _fails(scene: Scene) -> None:
    scene.world.say(scene.board, scene.key, m.Failed, reason=m.Reason("exit", "Exit code 3"))
    scene.world.deliver_all()


def _knows_no_pause(scene: Scene) -> None:
    scene.board.controls = [order for order in scene.board.controls if order.command != "pause"]
    if not scene.board.controls:
        _ends_before(scene)


def _leaves(scene: Scene) -> None:
    scene.leave()
    scene.add_board()


def _is_lost(scene: Scene) -> None:
    scene.lose()
    scene.add_board()


def _is_removed(scene: Scene) -> None:
    del scene.world.boards[scene.board.id]
    scene.world.core.boards.remove(ObjectId(scene.board.id))
    scene.world.core.fleet.lose(scene.board.id)
    scene.add_board()


def _loses_its_journal(scene: Scene) -> None:
    for kept in (scene.board.journal, scene.board.known, scene.board.finals):
        kept.clear()


#: By row of the second table: what the scene is made of, and what the board does.
ACTS: Mapping[str, tuple[dict[str, Any], Arrange]] = {
    "obeys": ({}, lambda scene: None),
    "does not get the order": ({}, _misses_the_order),
    "gets the order, and answers only when it was asked again": ({}, lambda scene: scene.world.beat(11)),
    "says everything twice": ({}, _says_all_twice),
    "has ended the step before, and another follows": ({}, _ends_before),
    "has ended the last step before": ({"steps": 1}, _ends_before),
    "says that the step has failed": ({}, _fails),
    "says that the step has failed, and it has tries left": ({"policies": [{"retries": 1}]}, _fails),
    "runs a program that knows no pause, and another step follows": ({}, _knows_no_pause),
    "runs a program that knows no pause as the last step": ({"steps": 1}, _knows_no_pause),
    "restarts after a power cut": ({}, Scene.restart),
    "restarts after a power cut, and the step may not start again": (
        {"recovery": {"on_interrupt": "fail", "resumable": False}},
        Scene.restart,
    ),
    "has its agent stopped": ({}, _leaves),
    "is silent until it is lost": ({}, _is_lost),
    "is removed": ({}, _is_removed),
    "has lost its journal": ({}, _loses_its_journal),
}


def give(scene: Scene, command: str) -> str:
    """Give a command, as its owner does; what its owner sees at once: a state, or an error."""
    try:
        _give(scene, command)
    except StateForbids as refused:
        return f"error {refused.code}"
    return f"`{scene.run.state}`" if scene.has_run else "-"


def _give(scene: Scene, command: str) -> None:
    runs = scene.world.core.runs
    match command:
        case "run":
            runs.start(scene.workflow)
        case "resume":
            runs.resume(scene.workflow)
        case "pause":
            runs.pause(scene.workflow)
        case "stop":
            runs.stop(scene.workflow, "enough")
