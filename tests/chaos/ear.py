"""A client that follows all runs of its account on the live API, over whatever happens to its connection."""

from __future__ import annotations

from dataclasses import dataclass, field
from itertools import count, cycle
from threading import Condition, Event, Thread
from time import monotonic
from typing import Any

from api.client.errors import NotReachable
from api.client.socket import ANSWER, LOST, LiveSocket, Message
from tests.chaos.records import FINAL, Change, heard_change

#: Seconds between two looks at what has to be asked.
LOOK = 0.2
#: Seconds in which a question is answered, else the connection is dead; and of silence after which it is asked again.
ANSWER_SECONDS, QUIET_SECONDS = 20.0, 20.0
#: Seconds after which a lost connection is tried again.
RETRY_SECONDS = 0.5


@dataclass
class _Followed:
    """A workflow that is followed: its run, its changes by number, and how many a snapshot told of."""

    run: str | None = None
    told: int = 0
    changes: dict[int, Change] = field(default_factory=dict)
    asked: float | None = None
    heard: float = field(default_factory=monotonic)
    following: bool = False

    @property
    def known(self) -> int:
        """The number up to which no change is missing."""
        return next(number for number in count() if number + 1 not in self.changes)

    @property
    def ended(self) -> bool:
        """Whether the last change is here, and all before it."""
        known = self.known
        return known > 0 and known == max(self.changes) and self.changes[known].run_state in FINAL


class Ear:
    """Use as a context manager, from any thread.

    Parameters:
        urls: servers, of which it connects to the next one each time.
        account, token: whose runs.

    Attributes:
        wrong: what it heard and may not have heard.
        connections: how often it connected.
    """

    def __init__(self, urls: list[str], account: str, token: str) -> None:
        self._urls, self._account, self._token = cycle(urls), account, token
        self._followed: dict[str, _Followed] = {}
        self._news = Condition()
        self._over = Event()
        self._thread = Thread(target=self._listen, name=f"ear of {account}")
        self.wrong: list[str] = []
        self.connections = 0

    def __enter__(self) -> Ear:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._thread.join()

    def expect(self, workflow: str) -> None:
        """Follow a workflow, which will run once."""
        with self._news:
            self._followed[workflow] = _Followed()

    def heard(self) -> dict[str, dict[int, Change]]:
        """Changes by their numbers, of each run."""
        with self._news:
            return {each.run: dict(each.changes) for each in self._followed.values() if each.run is not None}

    def unended(self) -> list[str]:
        """Workflows of which the end was not heard, or something before it."""
        with self._news:
            return [workflow for workflow, each in self._followed.items() if not each.ended]

    def until(self, workflow: str, *states: str, seconds: float) -> str | None:
        """Wait, at most `seconds`, until the run of a workflow is in one of these states; its state then."""

        def state() -> str | None:
            changes = self._followed[workflow].changes
            return changes[max(changes)].run_state if changes else None

        with self._news:
            self._news.wait_for(lambda: state() in states, timeout=seconds)
            return state()

    def _listen(self) -> None:
        while not self._over.is_set():
            try:
                socket = LiveSocket(next(self._urls), self._account, self._token)
            except NotReachable:
                self._over.wait(RETRY_SECONDS)
                continue
            self.connections += 1
            try:
                self._attend(socket)
            finally:
                socket.close()

    def _attend(self, socket: LiveSocket) -> None:
        """Hear over one connection until it is lost."""
        questions: dict[int, str] = {}
        with self._news:
            for each in self._followed.values():
                each.asked, each.following = None, False
        while not self._over.is_set() and socket.open:
            if not self._ask(socket, questions):
                return
            message = socket.next(LOOK)
            while message is not None:
                if message.event == LOST:
                    return
                self._hear(message, questions)
                message = socket.next(0)

    def _ask(self, socket: LiveSocket, questions: dict[int, str]) -> bool:
        """Follow what is not followed; False if the connection does not answer."""
        now = monotonic()
        with self._news:
            for workflow, each in self._followed.items():
                if each.asked is not None and now - each.asked > ANSWER_SECONDS:
                    return False
                quiet = each.following and now - each.heard > QUIET_SECONDS
                if each.ended or each.asked is not None or (each.following and not quiet):
                    continue
                question: dict[str, Any] = {"workflow": {"id": workflow}, "since": each.known, "logSince": 0}
                if each.run is not None:
                    question["run"] = {"id": each.run}
                each.asked, each.following = now, False
                questions[socket.ask("sv.workflow.follow", question)] = workflow
        return True

    def _hear(self, message: Message, questions: dict[int, str]) -> None:
        with self._news:
            if message.event == ANSWER:
                self._hear_answer(self._followed[questions.pop(message.number or 0)], message.payload)
            elif message.event == "sv.workflow.changed":
                self._hear_change(message.payload)
            elif message.event == "sv.workflow.snapshot":
                self._hear_snapshot(message.payload)
            elif message.event == "unauthorized":
                self.wrong.append(f"account {self._account} was told {message.payload}")
            self._news.notify_all()

    def _hear_answer(self, followed: _Followed, answer: Any) -> None:
        followed.asked, followed.heard = None, monotonic()
        followed.following = not (answer or {}).get("err") and followed.known >= followed.told

    def _hear_snapshot(self, payload: Any) -> None:
        """Where a run is that had no id when it was asked about; what came before is asked for then."""
        followed, run = self._followed.get(payload["workflow"]["id"]), payload["run"]
        if followed is not None and run is not None:
            followed.run, followed.told = run["id"], run["seq"]

    def _hear_change(self, payload: Any) -> None:
        workflow = payload.get("workflow") or {}
        followed = self._followed.get(workflow.get("id", ""))
        if followed is None or "run" not in workflow or "worktiesInstances" in workflow:
            return
        run, change = workflow["run"]["id"], heard_change(workflow)
        followed.run, followed.heard = followed.run or run, monotonic()
        if followed.run != run:
            self.wrong.append(f"workflow {workflow['id']} was told of run {run} beside {followed.run}")
            return
        before = followed.changes.setdefault(change.seq, change)
        if before != change:
            self.wrong.append(f"run {run}: change {change.seq} was told as {before}, and then as {change}")
        elif followed.following and change.seq != followed.known:
            self.wrong.append(f"run {run}: a follower heard change {change.seq} after change {followed.known}")
