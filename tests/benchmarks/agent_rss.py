"""Measures the memory of an idle agent beside a bare Celery worker, on a real broker with a board's account.

Run: python -m tests.benchmarks.agent_rss [samples]
"""

from __future__ import annotations

import os
import statistics
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

from kombu import Connection

from orchestrator import broker
from tests.servers import waiting
from tests.servers.broker import Vhost, create_vhost
from tests.servers.process import ServerProcess
from tests.servers.rabbitmq import RabbitNode
from tests.servers.stack import WORKTY
from workties.messages import board_queue

SLOTS = 4
CELERY = [str(Path(sys.executable).with_name("celery")), "-A", "tests.benchmarks.bare_worker", "worker"]
COMMANDS = {
    "bare worker": [
        *CELERY,
        *["-P", "threads", "-c", str(SLOTS), "-n", "bare@%h"],
        *["--without-gossip", "--without-mingle", "--without-heartbeat"],
    ],
    "agent": [WORKTY, "agent"],
}
ROOT = Path(__file__).parents[2]
#: Looks at the memory, a waiting.PAUSE apart, during which it must not change: four seconds, longer than a heartbeat.
STEADY_LOOKS = 80
#: What counts as no change, kB.
STEADY_KB = 64


@dataclass(frozen=True)
class Memory:
    """Resident and proportional memory of a process, kB."""

    rss: int
    pss: int


def memory(pid: int) -> Memory:
    """What a process uses now."""
    lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()[1:]
    values = {name: int(value.split()[0]) for name, _, value in (line.partition(":") for line in lines)}
    return Memory(values["Rss"], values["Pss"])


def steady_memory(process: ServerProcess) -> Memory:
    """What a process uses when it has settled."""
    looks: list[Memory] = []

    def steady() -> bool:
        looks.append(memory(process.pid))
        last = [look.rss for look in looks[-STEADY_LOOKS:]]
        return len(last) == STEADY_LOOKS and max(last) - min(last) <= STEADY_KB

    waiting.until(steady, seconds=120, what=f"the memory of {process.name} to settle", tail=process.tail)
    return looks[-1]


def sample(vhost: Vhost, board_id: str, command: list[str]) -> Memory:
    """Start a command as a board, wait until it is idle, and end it; returns what it used."""
    with tempfile.TemporaryDirectory(prefix="workty-rss-") as name:
        environ = {
            "PATH": os.environ["PATH"],
            "LANG": "C.UTF-8",
            "HOME": name,
            "PYTHONPATH": str(ROOT),
            "WORKTY_AMQP_URL": vhost.add_board_account(board_id, "secret"),
            "WORKTY_BOARD_ID": board_id,
            "WORKTY_SERVER_URL": "http://127.0.0.1:9999",
            "WORKTY_STATE_DIR": str(Path(name) / "state"),
            "WORKTY_SLOTS": str(SLOTS),
        }
        process = ServerProcess(command, directory=Path(name), environ=environ, name=board_id)
        try:
            waiting.until(
                lambda: not process.alive or vhost.consumers(board_queue(board_id)),
                seconds=60,
                what=f"{' '.join(command)} to take work",
                tail=process.tail,
            )
            if not process.alive:
                raise RuntimeError(f"{' '.join(command)} ended with {process.exit_code}\n{process.tail()}")
            return steady_memory(process)
        finally:
            process.end()


def main(samples: int) -> None:
    """Print every sample, and the ratios of the medians."""
    found: dict[str, list[Memory]] = {name: [] for name in COMMANDS}
    with RabbitNode() as node:
        vhost = create_vhost(node)
        with Connection(vhost.amqp_url) as connection:
            broker.declare(connection)
            for number in range(samples):
                for name, command in COMMANDS.items():
                    board_id = f"{name.replace(' ', '-')}-{number}"
                    broker.declare_board(connection, board_id)
                    found[name].append(sample(vhost, board_id, command))
                    print(
                        f"{name:12} RSS {found[name][-1].rss / 1024:6.1f} MB  PSS {found[name][-1].pss / 1024:6.1f} MB"
                    )
    for kind in ("rss", "pss"):
        bare, agent = (statistics.median(getattr(entry, kind) for entry in entries) for entries in found.values())
        print(
            f"{kind.upper()}: agent {agent / 1024:.1f} MB, bare worker {bare / 1024:.1f} MB, ratio {agent / bare:.2f}"
        )


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 3)
