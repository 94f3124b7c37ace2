"""Measures 200 workflows of 3 steps that do nothing, on 4 slots of real agents with a real broker and database.

Run: python -m tests.benchmarks.bench_smoke [workflows]
"""

from __future__ import annotations

import os
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path
from threading import Condition
from typing import Any

import socketio

from tests.servers.broker import create_vhost
from tests.servers.mongod import own_server
from tests.servers.rabbitmq import RabbitNode
from tests.servers.stack import RealStack
from tests.servers.waiting import Deadline

STEPS = 3
BOARDS, SLOTS_A_BOARD = 2, 2
#: Requests sent at the same time while workflows are created and started.
CLIENTS = 8
FINAL = frozenset({"completed", "failed", "stopped"})
RUN_SECONDS = 600


class Finished:
    """Follows an account's workflows over the live API and knows which ones have ended."""

    def __init__(self, stack: RealStack) -> None:
        token = stack.rest("POST", "/tokens", {})
        namespace = f"/{token['accountId']}_workflows"
        self._ended: set[str] = set()
        self._news = Condition()
        self._client = socketio.Client()
        self._client.on("sv.workflow.changed", self._changed, namespace=namespace)
        self._client.connect(stack.url, namespaces=[namespace], auth={"token": token["token"]}, wait_timeout=30)

    def wait(self, workflows: Iterable[str]) -> None:
        """Return when all of them have ended; TimeoutError after `RUN_SECONDS`."""
        wanted, deadline = set(workflows), Deadline(RUN_SECONDS)
        with self._news:
            if not self._news.wait_for(lambda: wanted <= self._ended, timeout=deadline.left()):
                raise TimeoutError(f"{len(wanted - self._ended)} of {len(wanted)} workflows did not end")

    def close(self) -> None:
        """Disconnect."""
        self._client.disconnect()

    def _changed(self, message: dict[str, Any]) -> None:
        workflow = message.get("workflow") or {}
        if (workflow.get("run") or {}).get("state") in FINAL:
            with self._news:
                self._ended.add(workflow["id"])
                self._news.notify_all()


def create(stack: RealStack, workty_id: str, number: int) -> str:
    """A new workflow of `STEPS` steps; returns its id."""
    workflow: str = stack.rest("POST", "/workflows", {"name": f"bench {number}"})["_id"]
    for _ in range(STEPS):
        stack.rest("POST", f"/workflows/{workflow}/worktiesInstances", {"worktyId": workty_id})
    return workflow


def seconds_of(action: Callable[[], object]) -> float:
    """How long `action` takes."""
    begin = time.perf_counter()
    action()
    return time.perf_counter() - begin


def measure(stack: RealStack, count: int) -> None:
    """Create and run `count` workflows, check that every step completed, and print the figures."""
    [workty] = stack.rest("GET", "/workties?name=without-delay&template=true")
    finished = Finished(stack)
    with ThreadPoolExecutor(CLIENTS) as clients:
        workflows: list[str] = []
        creating = seconds_of(
            lambda: workflows.extend(clients.map(lambda number: create(stack, workty["_id"], number), range(count)))
        )

        def run() -> None:
            list(clients.map(lambda workflow: stack.rest("PUT", f"/workflows/{workflow}/running"), workflows))
            finished.wait(workflows)

        running = seconds_of(run)
    finished.close()
    found = stack.rest("GET", "/workflows?embed=worktiesinstances.state&fields=worktiesInstancesIds")
    states = Counter(step["stateId"]["name"] for workflow in found for step in workflow["worktiesInstancesIds"])
    if states != {"completed": count * STEPS}:
        raise RuntimeError(f"not all steps completed: {dict(states)}\n{stack.tails()}")
    print(f"{count} workflows of {STEPS} steps created in {creating:.1f} s")
    print(
        f"run on {BOARDS * SLOTS_A_BOARD} slots in {running:.1f} s: {count * STEPS / running:.1f} steps/s, "
        f"all {count * STEPS} completed"
    )


def main(count: int) -> None:
    """Start everything, measure, end everything."""
    with ExitStack() as on:
        mongo = on.enter_context(own_server(os.environ))
        vhost = create_vhost(on.enter_context(RabbitNode()))
        directory = on.enter_context(tempfile.TemporaryDirectory(prefix="workty-bench-"))
        stack = on.enter_context(RealStack(vhost, mongo.url("workty"), Path(directory)))
        for number in range(BOARDS):
            stack.add_board(f"bench-{number}", slots=SLOTS_A_BOARD)
        measure(stack, count)


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 200)
