"""Whatever comes, in whatever order, with crashes between any two effects: what must hold of runs holds."""

from __future__ import annotations

import contextlib
from collections import Counter
from typing import Any

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from orchestrator.errors import StateForbids
from orchestrator.runs.documents import run_from
from orchestrator.runs.machine import run_life_cycle, step_life_cycle
from orchestrator.runs.vocabulary import RunState
from tests.unit.orchestrator.runs.world import Crashed, World
from workties import messages as m

picks = st.integers(min_value=0, max_value=1_000)


EVERYTHING = {"retry_on": ["exit", "board-lost", "interrupted"]}
AT_ONCE, LATER = {**EVERYTHING, "retries": 2, "backoff": 0}, {**EVERYTHING, "retries": 1, "backoff": 5}
SKIP, TIDY, CLEANUP = {"on_failure": "skip"}, {"on_failure": "cleanup"}, {"cleanup": True}

#: Workflows, by the last character of their account: as `World.workflow` takes them.
KINDS: list[tuple[str, dict[str, Any]]] = [
    ("1", {"steps": 2}),
    ("1", {"policies": [AT_ONCE, SKIP], "recovery": {"on_interrupt": "fail", "offline_grace": 30}}),
    ("2", {"policies": [LATER, LATER | SKIP], "recovery": {"resumable": False, "offline_grace": 60}, "deadline": 120}),
    ("2", {"steps": 4, "policies": [CLEANUP, SKIP, AT_ONCE | TIDY, LATER | CLEANUP]}),
    ("1", {"steps": 3, "policies": [TIDY, {}, CLEANUP], "recovery": {"on_interrupt": "fail"}, "deadline": 40}),
]


class Storm(RuleBasedStateMachine):
    """Two boards, five workflows of two accounts with all kinds of policies, and everything that can happen to them."""

    def __init__(self) -> None:
        super().__init__()
        self.world = World()
        self.models = [self.world.board(slots=1), self.world.board(slots=2)]
        self.workflows = [self.world.workflow(account="0" * 23 + account, **kind) for account, kind in KINDS]
        self.told = 0
        self.seen: dict[tuple[str, int], Any] = {}

    def attempt(self, action: Any, *arguments: Any) -> None:
        """Do something; the process may die in the middle, or refuse."""
        with contextlib.suppress(Crashed, StateForbids):
            action(*arguments)

    # --- commands

    @rule(pick=picks)
    def start(self, pick: int) -> None:
        self.attempt(self.world.core.runs.start, self.pick(self.workflows, pick))

    @rule(pick=picks)
    def pause(self, pick: int) -> None:
        self.attempt(self.world.core.runs.pause, self.pick(self.workflows, pick))

    @rule(pick=picks)
    def stop(self, pick: int) -> None:
        self.attempt(self.world.core.runs.stop, self.pick(self.workflows, pick), "enough")

    # --- boards

    @precondition(lambda self: any(board.assignments for board in self.models))
    @rule(pick=picks)
    def take(self, pick: int) -> None:
        self.world.take(self.pick([board for board in self.models if board.assignments], pick))

    @precondition(lambda self: any(board.controls for board in self.models))
    @rule(pick=picks)
    def obey(self, pick: int) -> None:
        self.world.obey(self.pick([board for board in self.models if board.controls], pick))

    @precondition(lambda self: any(board.journal for board in self.models))
    @rule(pick=picks, kind=st.sampled_from(["state", "state", "progress", "completed", "completed", "failed", "stop"]))
    def say(self, pick: int, kind: str) -> None:
        board = self.pick([board for board in self.models if board.journal], pick)
        key = self.pick(sorted(board.journal), pick)
        match kind:
            case "state":
                self.world.say(board, key, m.StateReported, state="s", checkpoint=m.Checkpoint("s", {}))
            case "progress":
                self.world.say(board, key, m.Progress, progress=0.5)
            case "completed":
                self.world.say(board, key, m.Completed)
            case "failed":
                self.world.say(board, key, m.Failed, reason=m.Reason("exit", ""), return_code=1)
            case "stop":
                self.world.say(board, key, m.Interrupted, reason=m.Reason("agent-stop", ""))

    @rule(pick=picks, kind=st.sampled_from(["completed", "failed", "failed"]))
    def work(self, pick: int, kind: str) -> None:
        """A board takes all that it was sent and one attempt ends, without anything in between."""
        board = self.models[pick % 2]
        while board.assignments:
            self.world.take(board)
        if board.journal:
            self.say(pick, kind)
        for _ in range(len(self.world.events)):
            self.deliver(0, again=False)

    @rule(pick=picks)
    def reboot(self, pick: int) -> None:
        self.attempt(self.world.reboot, self.models[pick % 2])

    @rule(pick=picks)
    def leave(self, pick: int) -> None:
        """The agent stops by itself: all that it runs is interrupted, and the events may be late or overtaken."""
        board = self.models[pick % 2]
        for key in list(board.journal):
            self.world.say(board, key, m.Interrupted, reason=m.Reason("agent-stop", ""))
        self.attempt(lambda: self.world.core.fleet.heard(self.world.bye(board)))

    # --- the wire: any order, any number of times

    @precondition(lambda self: self.world.events)
    @rule(pick=picks, again=st.booleans())
    def deliver(self, pick: int, again: bool) -> None:
        index = pick % len(self.world.events)
        event = self.world.events[index]
        try:
            self.world.deliver(index, keep=again)
        except Crashed:
            if event not in self.world.events:
                self.world.events.append(event)  # it was not acknowledged: the broker delivers it again

    # --- time and crashes

    @rule(seconds=st.integers(min_value=0, max_value=12))
    def beat(self, seconds: int) -> None:
        self.attempt(self.world.beat, float(seconds))

    @rule(seconds=st.integers(min_value=0, max_value=20))
    def silence(self, seconds: int) -> None:
        self.attempt(self.world.sweep, float(seconds))

    @rule(effects=st.integers(min_value=0, max_value=4))
    def crash_soon(self, effects: int) -> None:
        self.world.crash_after = effects

    # --- what must hold

    @invariant()
    def clients_are_told_a_legal_story(self) -> None:
        for change in self.world.changes[self.told :]:
            key = (change.run, change.seq)
            assert self.seen.setdefault(key, change) == change, "one sequence number, two different changes"
        self.told = len(self.world.changes)

    @invariant()
    def steps_go_in_order(self) -> None:
        """Before the current step all are done, or may be passed over; after it, none has begun."""
        for document in self.world.database["runs"].find({}):
            run = run_from(document)
            cleans = [step for step in run.steps if step.policy.cleanup]
            others = [step for step in run.steps if not step.policy.cleanup]
            reached = run.current if run.failed is None or not run.step.policy.cleanup else run.failed
            for index, step in enumerate(run.steps):
                if step in others and index < reached:
                    assert step.state == "completed" or (step.state == "failed" and step.policy.on_failure == "skip")
                assert index in {run.current, run.failed} or step.state in {"initial", "completed", "failed"}
                assert step in cleans or index <= reached or step.state == "initial"
                assert step.failures <= step.policy.retries
            asked = run.failed is not None and run.steps[run.failed].policy.on_failure == "cleanup"
            assert asked or {step.state.value for step in cleans} <= {"initial"}

    @invariant()
    def the_end_of_a_run_follows_from_its_steps(self) -> None:
        for document in self.world.database["runs"].find({}):
            run = run_from(document)
            if run.state is RunState.COMPLETED:
                assert run.failed is None
                assert all(step.state.final for step in run.steps if not step.policy.cleanup)
            if run.state is RunState.FAILED:
                assert run.failed is not None
                assert run.steps[run.failed].reason is not None
            assert not run.state.final or (run.due, run.board, run.queued) == (None, None, False)

    @invariant()
    def no_slot_is_leased_twice(self) -> None:
        for board in self.world.core.boards.all():
            assert len(board.leases) <= board.slots
            assert len({lease.run for lease in board.leases}) == len(board.leases)

    def teardown(self) -> None:
        """The storm is over: boards answer again. Then every run ends, and nothing is left over."""
        self.world.crash_after = None
        for _ in range(80):
            self.calm()
            if self.quiet():
                break
        runs = list(self.world.database["runs"].find({}))
        assert [run["state"] for run in runs if not RunState(run["state"]).final] == []
        assert [board.leases for board in self.world.core.boards.all()] == [(), ()]
        assert [run["_id"] for run in runs if run["outbox"] or run["draining"]] == []
        self.stories_are_whole()

    def calm(self) -> None:
        world = self.world
        for workflow in self.workflows:
            latest = world.store.latest(str(workflow))
            if latest is not None and latest.run.state in {RunState.PAUSED, RunState.PAUSING}:
                world.core.runs.start(workflow)
        for board in self.models:
            while board.assignments:
                world.take(board)
            while board.controls:
                world.obey(board)
            for key in list(board.journal):
                world.say(board, key, m.Completed)
        world.deliver_all()
        world.beat(3)

    def quiet(self) -> bool:
        idle = self.world.database["runs"].count_documents({"draining": True}) == 0
        active = {"state": {"$nin": ["completed", "failed", "stopped"]}}
        leases = any(board.leases for board in self.world.core.boards.all())
        return idle and not leases and self.world.database["runs"].count_documents(active) == 0

    def stories_are_whole(self) -> None:
        """Every change was told, each a legal one, no step completed twice; and clients know how it ended."""
        self.clients_are_told_a_legal_story()
        for document in self.world.database["runs"].find({}):
            run_id = str(document["_id"])
            story = [self.seen[run_id, seq] for seq in range(1, document["seq"] + 1)]
            states: dict[str, str] = {}
            run_state = "waiting"
            for change in story:
                instance, state = change.step["instance"], change.step["state"]
                before = states.get(instance, "initial")
                assert before == state or step_life_cycle().allows(before, state)
                assert run_state == change.run_state or run_life_cycle().allows(run_state, change.run_state)
                states[instance], run_state = state, change.run_state
            completed = Counter(change.step["instance"] for change in story if change.step["state"] == "completed")
            assert all(count == 1 for count in completed.values())
            assert {s["instance"]: s["state"] for s in document["steps"]} == {
                step["instance"]: states.get(step["instance"], "initial") for step in document["steps"]
            }
            assert run_state == document["state"]

    @staticmethod
    def pick(choices: list[Any], number: int) -> Any:
        return choices[number % len(choices)]


TestStorm = Storm.TestCase
TestStorm.settings = settings(
    max_examples=25, stateful_step_count=40, deadline=None, suppress_health_check=list(HealthCheck), derandomize=True
)
