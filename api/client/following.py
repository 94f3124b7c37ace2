"""Follows one run live, over lost connections and restarted servers, until it has ended.

Everything happens in the thread that asks for the next event; the connection's thread only keeps what it hears. After
each connection, and where something is missing, the server is asked for what came since (live API contract, section 6);
a server that does not know this is asked over REST how things are.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterator, Mapping
from dataclasses import dataclass
from threading import Event as Flag
from time import monotonic
from types import TracebackType
from typing import Any

from api.client.errors import NotReachable, Refused
from api.client.events import Connection, Event, LogLines, change_from, log_from, progress_from
from api.client.merging import Merger
from api.client.models import Run, Step, step_from
from api.client.socket import ANSWER, LOST, LiveSocket, Message, refusal_from

#: Seconds in which a server that knows `sv.workflow.follow` answers it.
ANSWER_SECONDS = 3.0
#: Seconds of silence after which the server is asked whether something was missed; and one that must be read.
QUIET_SECONDS, READ_SECONDS = 30.0, 5.0
#: Seconds between tries to connect again: the first, and the longest.
RETRY_SECONDS, LONGEST_RETRY_SECONDS = 0.2, 5.0
#: Seconds of silence after the end of a run in which its last lines may still come.
LAST_LINES_SECONDS = 0.5
#: How often what is missing is asked for in vain before it counts as lost.
TRIES = 3
#: Number of the error "unknown operation" (live API contract, section 3).
UNKNOWN_OPERATION = 19


@dataclass(frozen=True, slots=True)
class Source:
    """What following a run needs of the client: each may raise `NotReachable` and `Refused`.

    Attributes:
        connect: a new connection to the live API.
        latest: the latest run of the workflow, with its steps.
        read: a run by its id, with its steps.
        log: the log messages of a run after a number.
    """

    connect: Callable[[], LiveSocket]
    latest: Callable[[], Run | None]
    read: Callable[[str], Run]
    log: Callable[[str, int], Iterator[LogLines]]


class Following:
    """Iterate over it, inside of `with`, for the events of a run. Not for several threads.

    Args:
        source: the server.
        workflow: id of the workflow.
        run: id of the run; without it the active run, or, if there is none, the next one that starts.
        logs: whether log lines are wanted.

    Attributes:
        run: the run as it was found, None while none is known.
    """

    def __init__(self, source: Source, workflow: str, run: str | None = None, *, logs: bool = False) -> None:
        self.run: Run | None = None
        self._source = source
        self._workflow = workflow
        self._wanted = run
        self._logs = logs
        self._socket: LiveSocket | None = None
        self._before: str | None = None
        self._merger: Merger | None = None
        self._answers: bool | None = None
        self._quiet_until = 0.0
        self._closing = Flag()

    def __enter__(self) -> Following:
        self._socket = self._source.connect()
        try:
            self._look_for_run(first=True)
        except BaseException:
            self.close()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Disconnect; the run goes on."""
        self._closing.set()
        if self._socket is not None:
            self._socket.close()

    def __iter__(self) -> Iterator[Event]:
        """Events until the run has ended. Raises `Refused` (the token ended, the run is gone)."""
        self._not_quiet()
        if self._merger is not None:
            yield from self._catch_up()
        while not self._closing.is_set() and not (self._merger is not None and self._merger.ended):
            socket = self._socket
            if socket is None or not socket.open:
                yield Connection(live=False)
                self._connect_again()
                yield from self._catch_up()
                yield Connection(live=self._connected)
                continue
            message = socket.next(self._quiet_until - monotonic())
            if message is not None:
                yield from self._hear(message)
            if message is None or socket.overflowed or (self._merger is not None and self._merger.gap):
                socket.overflowed = False
                yield from self._catch_up()
        yield from self._last_lines()

    # --- the run

    def _look_for_run(self, *, first: bool = False) -> None:
        """Begin with the wanted run, or with one that started after this began."""
        if self._merger is not None:
            return
        found = self._source.read(self._wanted) if self._wanted else self._source.latest()
        if found is None:
            return
        if first and not self._wanted and found.ended:
            self._before = found.id
        elif found.id != self._before:
            self._begin(found)

    def _begin(self, run: Run) -> None:
        self.run = run
        names = {step.id: step.label for step in run.steps}
        self._merger = Merger(run.id, run.workflow or self._workflow, names, logs=self._logs)

    # --- messages

    @property
    def _connected(self) -> bool:
        return self._socket is not None and self._socket.open

    def _not_quiet(self) -> None:
        self._quiet_until = monotonic() + (QUIET_SECONDS if self._answers else READ_SECONDS)

    def _hear(self, message: Message) -> Iterator[Event]:
        if message.event == "unauthorized":
            told = message.payload.get("message") if isinstance(message.payload, Mapping) else None
            raise Refused(401, None, str(told or "The token has ended"))
        if not isinstance(message.payload, Mapping):
            return
        event = _READERS[message.event](message.payload) if message.event in _READERS else None
        if event is None or isinstance(event, Connection):
            return
        if self._merger is None and not self._wanted:
            if getattr(event, "workflow", None) == self._workflow and event.run != self._before:
                self._begin(self._source.read(event.run))
                yield from self._catch_up(event)
        elif self._merger is not None and event.run == self._merger.run:
            self._not_quiet()
            yield from self._merger.hear(event)

    # --- what was missed

    def _catch_up(self, first: Event | None = None) -> Iterator[Event]:
        """Events that were missed, then those that were held back meanwhile; `first` is what was heard first."""
        self._not_quiet()
        self._look_for_run()
        merger = self._merger
        if merger is None:
            return
        if first is not None:
            yield from merger.hear(first)
            if not self._logs and merger.changes.newest() == 1:
                yield from merger.go_on()  # heard from its very beginning: nothing can have been missed
                return
        for _ in range(TRIES):
            merger.await_replay()
            answered = self._answers is not False and (yield from self._follow(merger))
            if not answered and self._connected:
                yield from self._read(merger)
            elif not answered:
                return  # everything is still held back; after the next connection this begins anew
            yield from merger.go_on()
            if not merger.gap:
                return
        yield from merger.go_on_without()

    def _follow(self, merger: Merger) -> Generator[Event, None, bool]:
        """Ask the server for what came since; returns whether it answered."""
        socket = self._socket
        if socket is None:
            return False
        question = {
            "workflow": {"id": merger.workflow},
            "run": {"id": merger.run},
            "since": merger.changes.seq or 0,
            "logSince": merger.logs.seq or 0,
        }
        number = socket.ask("sv.workflow.follow", question)
        deadline = monotonic() + ANSWER_SECONDS * (1 if self._answers is None else 10)
        while (message := socket.next(deadline - monotonic())) is not None:
            if message.event == LOST:
                return False
            if message.event == ANSWER and message.number == number:
                return self._accepted(message.payload)
            if message.event == "sv.workflow.snapshot":
                yield from self._snapshot(merger, message.payload)
            else:
                yield from self._hear(message)
        if self._answers:
            socket.close()  # it knows the question, so it is the connection that is dead
        self._answers = False
        return False

    def _accepted(self, answer: object) -> bool:
        """Whether an answer is one; raises `Refused` for a refusal other than that nobody knows the operation."""
        if isinstance(answer, Mapping) and answer.get("err"):
            refusal = refusal_from(answer, "The server does not let this run be followed", 500)
            if refusal.code != UNKNOWN_OPERATION:
                raise refusal
            self._answers = False
            return False
        self._answers = True
        return True

    def _snapshot(self, merger: Merger, payload: object) -> Iterator[Event]:
        """The present state in a message of the live API, and the lines that its replay leaves out."""
        told = _SnapshotMessage.of(payload)
        if told is None or told.run != merger.run or self.run is None:
            return
        if told.state is None:  # the workflow has run again since
            run = self._source.read(merger.run)
            yield from merger.snapshot(told.seq, run.state, run.steps)
        else:
            order = [step.id for step in self.run.steps]
            steps = [told.steps[id_] for id_ in order if id_ in told.steps] if order else list(told.steps.values())
            yield from merger.snapshot(told.seq, told.state, steps)
        if self._logs and told.log_seq > (merger.logs.seq or 0):
            yield from self._read_log(merger)
        merger.logs.forget_until(max(told.log_seq, merger.logs.seq or 0))

    def _read(self, merger: Merger) -> Iterator[Event]:
        """The present state over REST, read anew while changes come in, so that it is not older than they are."""
        for _ in range(TRIES):
            heard = merger.changes.newest()
            run = self._source.read(merger.run)
            while self._socket is not None and (message := self._socket.next(0)) is not None:
                yield from self._hear(message)
            if merger.changes.newest() == heard:
                break
        yield from merger.snapshot(heard or None, run.state, run.steps, exact=False)
        if self._logs:
            yield from self._read_log(merger)

    def _read_log(self, merger: Merger) -> Iterator[Event]:
        """Lines over REST. Those without a number cannot be told from others, and are left out."""
        for entry in self._source.log(merger.run, merger.logs.seq or 0):
            merger.logs.hold(entry)
        yield from merger.lines()

    def _last_lines(self) -> Iterator[Event]:
        """Lines that were under way when the run ended."""
        merger, socket = self._merger, self._socket
        if merger is None or socket is None or not self._logs or self._closing.is_set():
            return
        longest = monotonic() + LAST_LINES_SECONDS * 10
        until = monotonic() + LAST_LINES_SECONDS
        while (message := socket.next(until - monotonic())) is not None:
            for event in self._hear(message):
                until = min(monotonic() + LAST_LINES_SECONDS, longest)
                yield event
        yield from self._read_log(merger)

    # --- the connection

    def _connect_again(self) -> None:
        """A new connection, however long it takes. Raises `Refused` when the token is not accepted any more."""
        pause = RETRY_SECONDS
        if self._socket is not None:
            self._socket.close()
        self._answers = None
        while not self._closing.wait(pause):
            try:
                self._socket = self._source.connect()
                return
            except NotReachable:
                pause = min(pause * 2, LONGEST_RETRY_SECONDS)


@dataclass(frozen=True, slots=True)
class _SnapshotMessage:
    """What `sv.workflow.snapshot` tells; `state` is None if the workflow has run again since."""

    run: str
    seq: int
    log_seq: int
    state: str | None
    steps: Mapping[str, Step]

    @classmethod
    def of(cls, payload: object) -> _SnapshotMessage | None:
        """Read from a payload; None if it is none."""
        told = payload if isinstance(payload, Mapping) else {}
        run, workflow = told.get("run"), told.get("workflow")
        if not isinstance(run, Mapping) or not isinstance(workflow, Mapping):
            return None
        latest = workflow.get("run")
        same = isinstance(latest, Mapping) and latest.get("id") == run.get("id")
        steps = [step_from(entry) for entry in workflow.get("worktiesInstances") or ()]
        return cls(
            run=str(run.get("id", "")),
            seq=int(run.get("seq") or 0),
            log_seq=int(run.get("logSeq") or 0),
            state=str(latest.get("state", "")) if same and isinstance(latest, Mapping) else None,
            steps={step.id: step for step in steps},
        )


_READERS: Mapping[str, Callable[[Mapping[str, Any]], Event | None]] = {
    "sv.workflow.changed": change_from,
    "sv.workflow.progress": progress_from,
    "sv.workflow.log": log_from,
}
