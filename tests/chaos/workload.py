"""What goes on during a storm: accounts with workflows, which are run, paused, resumed and stopped as a seed says."""

from __future__ import annotations

import secrets
import time
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from random import Random
from typing import Any

from bson import ObjectId
from pymongo.database import Database

from orchestrator.database import connect
from tests.acceptance.catalogue import add_workty
from tests.chaos import ledger
from tests.chaos.caller import Caller
from tests.chaos.ear import Ear
from tests.chaos.ledger import KINDS
from tests.chaos.records import Asked, Change
from tests.chaos.stack import ChaosStack

ACCOUNTS = 5
STEPS = 5
#: Runs that are being asked for, paused or stopped at a time.
THREADS = 48
#: Weight of each kind of workty; and the share of runs that are paused and resumed, and that are stopped.
WEIGHTS = (5, 5, 5, 5, 3, 3, 1)
PAUSED, STOPPED = 0.06, 0.03
#: Seconds that a step rests at the longest, and for which a pause is waited before the run is told to go on.
LONGEST_REST, PAUSE_SECONDS = 2.0, 15.0


@dataclass(frozen=True, slots=True)
class Plan:
    """One run: when it starts (seconds from the beginning), its steps, and what else is asked of it, and when."""

    at: float
    account: int
    steps: tuple[tuple[str, float], ...]
    command: str
    after: float


def plans(random: Random, runs: int, seconds: float) -> list[Plan]:
    """So many runs, spread over `seconds`, in the order in which they start."""
    times = sorted(random.uniform(0, seconds) for _ in range(runs))
    return [_plan(random, at) for at in times]


def _plan(random: Random, at: float) -> Plan:
    names = random.choices([kind.name for kind in KINDS], WEIGHTS, k=STEPS)
    rests = [round(random.uniform(0, LONGEST_REST), 2) if random.random() < 0.6 else 0.0 for _ in names]
    drawn = random.random()
    command = "pause" if drawn < PAUSED else "stop" if drawn < PAUSED + STOPPED else ""
    return Plan(at, random.randrange(ACCOUNTS), tuple(zip(names, rests, strict=True)), command, random.uniform(0, 4))


class Workload:
    """Use as a context manager: `start` the runs, then wait with `join`.

    Parameters:
        folder: where packages are made, and (`ledger`) what steps write is found; shared with steps.

    Attributes:
        asked: what was asked of each workflow.
        wrong: answers and messages that may not be.
    """

    def __init__(self, stack: ChaosStack, folder: Path, planned: Sequence[Plan]) -> None:
        self._stack, self._planned = stack, planned
        self._folder = folder
        self._on = ExitStack()
        self.ledger = folder / "ledger"
        self.asked: list[Asked] = []
        self._wrong: list[str] = []
        self._running: list[Future[None]] = []

    def __enter__(self) -> Workload:
        self.ledger.touch()
        self.ledger.chmod(0o666)
        self._accounts = [self._account(number) for number in range(ACCOUNTS)]
        self._ears = [self._on.enter_context(Ear(self._turned(i), *who)) for i, who in enumerate(self._accounts)]
        database = connect(self._stack.database_url)
        self._workflows = self._store(database)
        database.client.close()
        return self

    def __exit__(self, *_: object) -> None:
        self._on.close()

    @property
    def wrong(self) -> list[str]:
        """Answers and messages that may not be."""
        return [*self._wrong, *(sentence for ear in self._ears for sentence in ear.wrong)]

    @property
    def connections(self) -> int:
        """How often clients of the live API connected."""
        return sum(ear.connections for ear in self._ears)

    def start(self) -> None:
        """Begin to start runs, each in a thread of its own: what asks for one may have to ask for long."""
        self._threads = self._on.enter_context(ThreadPoolExecutor(THREADS))
        self._starting = self._threads.submit(self._start_all, time.monotonic())

    def join(self) -> None:
        """Return when everything has been asked; raises what a thread raised."""
        self._starting.result()
        for each in self._running:
            each.result()

    def heard(self) -> dict[str, dict[int, Change]]:
        """Changes by their numbers, of each run."""
        return {run: changes for ear in self._ears for run, changes in ear.heard().items()}

    def unended(self) -> list[str]:
        """Workflows of which a client has not heard all."""
        return [workflow for ear in self._ears for workflow in ear.unended()]

    def _start_all(self, begun: float) -> None:
        for plan, workflow in zip(self._planned, self._workflows, strict=True):
            time.sleep(max(0.0, begun + plan.at - time.monotonic()))
            self._ears[plan.account].expect(workflow)
            self.asked.append(Asked(workflow, stopped=plan.command == "stop"))
            self._running.append(self._threads.submit(self._run, workflow, plan))

    def _run(self, workflow: str, plan: Plan) -> None:
        ear = self._ears[plan.account]
        caller = Caller(self._turned(plan.account), *self._accounts[plan.account], self._wrong)
        caller.run(workflow)
        if not plan.command:
            return
        time.sleep(plan.after)
        if plan.command == "stop":
            caller.stop(workflow)
        else:
            caller.pause(workflow)
            ear.until(workflow, "paused", "completed", "failed", seconds=PAUSE_SECONDS)
            caller.resume(workflow)

    def _turned(self, number: int) -> list[str]:
        """The servers, beginning with another one for every other account."""
        urls = self._stack.clients
        return urls if number % 2 else urls[::-1]

    # --- what is there before the storm

    def _account(self, number: int) -> tuple[str, str]:
        """Id and token of a new account."""
        login = (f"account-{number}@mail.com", secrets.token_urlsafe(12))
        rest: Callable[..., Any] = self._stack.real.rest
        rest("POST", "/accounts", {"name": f"account {number}", "email": login[0], "password": login[1]})
        issued = rest("POST", "/tokens", {}, login=login)
        return issued["accountId"], issued["token"]

    def _store(self, database: Database[dict[str, Any]]) -> list[str]:
        """Put worktys and workflows there, as REST would; ids of the workflows."""
        for kind in KINDS:
            names = {"token": "", "rest": 0.0}
            add_workty(
                self._stack.database_url,
                self._folder,
                kind.name,
                ledger.code(self.ledger),
                more=kind.manifest,
                access="shared = true",
                properties=names,
            )
        worktys = {found["name"]: found["_id"] for found in database["workties"].find({}, {"name": 1})}
        documents: dict[str, list[dict[str, Any]]] = {"workflows": [], "workty_instances": [], "workty_properties": []}
        for number, plan in enumerate(self._planned):
            _add_workflow(documents, number, plan, ObjectId(self._accounts[plan.account][0]), worktys)
        for name, found in documents.items():
            database[name].insert_many(found)
        return [str(found["_id"]) for found in documents["workflows"]]


def _add_workflow(
    documents: dict[str, list[dict[str, Any]]], number: int, plan: Plan, account: ObjectId, worktys: dict[str, ObjectId]
) -> None:
    workflow, now = ObjectId(), datetime.now(UTC)
    instances = []
    for place, (name, rest) in enumerate(plan.steps):
        values = {"token": f"{number}.{place}", "rest": rest}
        rows = [{"_id": ObjectId(), "name": key, "value": value} for key, value in values.items()]
        documents["workty_properties"] += rows
        instance = {"_id": ObjectId(), "workflowId": workflow, "worktyId": worktys[name], "name": "", "desc": ""}
        instances.append({**instance, "created": now, "propertiesIds": [row["_id"] for row in rows]})
    documents["workty_instances"] += instances
    documents["workflows"].append(
        {
            "_id": workflow,
            "name": f"workflow {number}",
            "desc": "",
            "accountId": account,
            "created": now,
            "worktiesInstancesIds": [found["_id"] for found in instances],
        }
    )
