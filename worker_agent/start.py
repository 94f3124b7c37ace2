"""What a guardian is told to start, as data that travels as one line of JSON: decided by the agent, done by it.

Also what both call the words that they say to each other.
"""

from __future__ import annotations

import json
import resource
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:  # nothing that a forked interpreter would have to carry along
    from workties.messages import Limits

#: Most files a program may have open.
OPEN_FILES = 1024
#: Descriptors of every program, beside the usual three.
EVENTS, CONTROL = 3, 4

#: What the agent sends to the zygote, with the descriptors of a guardian.
REQUEST = b"fork"
#: What the agent says after the line: end the group politely, end everything.
TERMINATE, KILL = b"t", b"k"


@dataclass(frozen=True, slots=True, kw_only=True)
class Start:
    """A program, and what it may do.

    Attributes:
        arguments: the command, with an absolute path.
        entry: the file of a workty in Python, which a guardian that has a warm interpreter runs without the command.
        directory: where it starts.
        environ: its whole environment.
        limits: kind of limit (as in `resource`), soft and hard value.
        account: number of the account, which has a group of the same number; None for that of the guardian.
        own_account: nothing else runs under this account, so that all of it may be killed.
        privileged: it may get further rights, e.g. by `sudo`.
        sandbox: command that makes the sandbox to run it in, empty for none.
    """

    arguments: tuple[str, ...]
    directory: str
    environ: dict[str, str]
    limits: tuple[tuple[int, int, int], ...]
    entry: str | None = None
    account: int | None = None
    own_account: bool = False
    privileged: bool = False
    sandbox: tuple[str, ...] = ()


def encode(start: Start) -> bytes:
    """The line that says it."""
    return json.dumps(asdict(start)).encode() + b"\n"


def decode(line: bytes) -> Start:
    """What the line of an agent says."""
    found: dict[str, Any] = json.loads(line)
    limits = tuple((kind, soft, hard) for kind, soft, hard in found.pop("limits"))
    arguments, sandbox = tuple(found.pop("arguments")), tuple(found.pop("sandbox"))
    return Start(arguments=arguments, sandbox=sandbox, limits=limits, **found)


def system_limits(limits: Limits, tasks_before: int) -> tuple[tuple[int, int, int], ...]:
    """The limits that the system enforces; wall time and output are the supervisor's.

    Memory is bounded by RLIMIT_DATA: RLIMIT_AS also counts what is only reserved, and Node reserves gigabytes.

    Args:
        tasks_before: processes and threads that the account has without the step: the system counts all.
    """
    cpu, processes = max(1, int(limits.cpu)), limits.processes + tasks_before
    return (
        (resource.RLIMIT_CPU, cpu, cpu + max(1, int(limits.grace))),
        (resource.RLIMIT_DATA, limits.memory, limits.memory),
        (resource.RLIMIT_FSIZE, limits.files, limits.files),
        (resource.RLIMIT_NPROC, processes, processes),
        (resource.RLIMIT_NOFILE, OPEN_FILES, OPEN_FILES),
        (resource.RLIMIT_CORE, 0, 0),
    )
