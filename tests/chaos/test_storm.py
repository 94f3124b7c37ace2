"""Workflows run through a storm of faults; afterwards records, ledger and what clients heard tell the same story."""

from __future__ import annotations

import os
import secrets
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack, closing, suppress
from pathlib import Path
from random import Random
from typing import Any

import pytest
from pymongo.database import Database

from orchestrator.database import connect
from tests.chaos import ledger, oracle
from tests.chaos.aftermath import leftovers, records
from tests.chaos.faults import faults
from tests.chaos.records import RunRecord
from tests.chaos.stack import ChaosStack
from tests.chaos.storm import schedule, strike_all
from tests.chaos.workload import Workload, plans
from tests.servers import waiting
from tests.servers.mongod import own_server
from tests.servers.rabbitmq import RabbitNode

pytestmark = [pytest.mark.real, pytest.mark.slow]

#: How long a storm lasts and how many runs there are, at least, in `make test`.
SECONDS, RUNS = 100.0, 300
#: Runs a second of a longer storm.
RUNS_A_SECOND = 2.0
#: Seconds that a slow and busy machine may need until everything has ended, and has been tidied up.
END_SECONDS, TIDY_SECONDS = 900, 180


class Diary:
    """Says what happens, with the time since it began."""

    def __init__(self) -> None:
        self._begun = time.monotonic()

    def begin(self) -> None:
        """Time counts from now."""
        self._begun = time.monotonic()

    def say(self, line: str) -> None:
        print(f"{time.monotonic() - self._begun:7.1f} s  {line}", flush=True)


@pytest.fixture
def diary() -> Diary:
    return Diary()


@pytest.fixture
def stack(diary: Diary, tmp_path: Path, shared_folder: Path) -> Iterator[ChaosStack]:
    with ExitStack() as on:
        rabbitmq, mongod = on.enter_context(RabbitNode()), on.enter_context(own_server(os.environ))
        directory = tmp_path / "stack"
        directory.mkdir()
        yield on.enter_context(ChaosStack(rabbitmq, mongod, directory, shared_folder, diary.say))


@pytest.fixture
def shared_folder(tmp_path: Path) -> Path:
    """A folder that boards may share with steps, whatever account these have."""
    folder = tmp_path / "shared"
    folder.mkdir()
    folder.chmod(0o777)
    return folder


@pytest.mark.timeout(3600)
def test_a_storm_costs_time_and_nothing_else(stack: ChaosStack, diary: Diary, shared_folder: Path) -> None:
    seed = os.environ.get("WORKTY_CHAOS_SEED") or secrets.token_hex(4)
    seconds = float(os.environ.get("WORKTY_CHAOS_SECONDS") or SECONDS)
    runs = int(os.environ.get("WORKTY_CHAOS_RUNS") or max(RUNS, seconds * RUNS_A_SECOND))
    print(f"\nWORKTY_CHAOS_SEED={seed} WORKTY_CHAOS_SECONDS={seconds:g} WORKTY_CHAOS_RUNS={runs}")
    planned = plans(Random(f"{seed} runs"), runs, seconds)
    with Workload(stack, shared_folder, planned) as workload:
        time.sleep(5)  # a quorum queue declared less than 2 s before its broker is killed may be lost
        diary.begin()
        workload.start()
        struck = strike_all(schedule(seed, faults(stack), seconds), diary.say)
        diary.say("the storm is over")
        workload.join()
        _until_all_is_told(stack, workload)
        diary.say("every run has ended, and its owner has heard so")
        database = connect(stack.database_url)
        with closing(database.client):
            wrong = _judge(stack, database, workload, struck)
    assert not wrong, f"WORKTY_CHAOS_SEED={seed}\n" + "\n".join(wrong)


def _until_all_is_told(stack: ChaosStack, workload: Workload) -> None:
    """Wait for the end of all runs; what has not ended then is for the oracle to say."""
    try:
        waiting.until(lambda: not workload.unended(), seconds=END_SECONDS, what="every run to end")
    except TimeoutError as error:
        print(error, workload.unended(), stack.real.tails())


def _judge(
    stack: ChaosStack, database: Database[dict[str, Any]], workload: Workload, struck: Counter[str]
) -> list[str]:
    """Sentences about what is wrong, when everything is tidy or nothing more will be."""
    with suppress(TimeoutError):  # the oracle says what is left

        def tidy() -> bool:
            return not list(oracle.nothing_is_left(leftovers(stack, database)))

        waiting.until(tidy, seconds=TIDY_SECONDS, what="all to be tidy")
    found, lines, heard = records(database), ledger.read(workload.ledger), workload.heard()
    wrong = [
        *workload.wrong,
        *oracle.every_run_ended(workload.asked, found),
        *oracle.steps_are_completed_once(found),
        *oracle.events_have_no_gaps(found, heard),
        *oracle.ledger_agrees(found, lines),
        *oracle.nothing_is_left(leftovers(stack, database)),
    ]
    _summarize(found, len(lines), workload, struck, wrong)
    return wrong


def _summarize(found: list[RunRecord], lines: int, workload: Workload, struck: Counter[str], wrong: list[str]) -> None:
    attempts = sum(step.attempt for run in found for step in run.steps)
    completed = sum(step.state == "completed" for run in found for step in run.steps)
    reasons = Counter(
        change.reason for run in found for change in run.history if change.state == "waiting" and change.attempt > 1
    )
    rows: dict[str, object] = {
        "runs": f"{len(found)}: {dict(Counter(run.state for run in found))}",
        "steps completed": completed,
        "attempts": attempts,
        "interruptions": dict(reasons),
        "states entered": lines,
        "changes heard": sum(run.seq for run in found),
        "connections of clients": workload.connections,
        "faults": f"{struck.total()} of {len(struck)} kinds",
        **{f"  {kind}": count for kind, count in sorted(struck.items())},
        "wrong": len(wrong),
    }
    print("\n".join(f"{name:28}{value}" for name, value in rows.items()))
