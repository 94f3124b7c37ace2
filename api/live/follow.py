"""Following: a client gets what it missed of a run, in order and nothing twice, and then what happens.

A session that follows a workflow has a place in its run: the last change of state and the last message of output that
it was given. Live messages at the next place pass; those before it were given already; those beyond it wait until what
is between has been read again. So a client misses nothing, whichever process it is connected to. A message about a
state of the program's own passes while the change that it names is the last one.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from threading import RLock
from typing import TYPE_CHECKING, Any, Protocol

from api.live import payloads
from api.live.outbox import LivePacket
from orchestrator.live import LogWritten
from orchestrator.runs.replay import Replay

if TYPE_CHECKING:
    from api.live.sessions import Session

CHANGED, PROGRESS, LOG, SNAPSHOT = (f"sv.workflow.{name}" for name in ("changed", "progress", "log", "snapshot"))

#: Messages that may wait while a session catches up; more are read again instead.
MOST_HELD = 500
#: Messages of output that are read at once.
LOG_PAGE = 100
#: Workflows that one session may follow.
MOST_FOLLOWED = 100
#: How often what is missing is looked for before it counts as gone.
MOST_TURNS = 20
#: Runs before the present one of a workflow that are remembered.
PAST = 16


#: Carries out a function beside what happens, for a session that has to catch up.
Beside = Callable[["Session", Callable[[], None]], object]


class History(Protocol):
    """Where a session reads what it missed."""

    def changes(self, run: str, since: int | None) -> Replay | None:
        """Changes of state after the one numbered `since`; None if there is no such run."""

    def log(self, run: str, since: int, limit: int) -> Sequence[LogWritten]:
        """At most `limit` messages of output after the one numbered `since`."""

    def log_range(self, run: str) -> tuple[int, int]:
        """Numbers of the first message of output that is kept (1 without any), and of the last one (0)."""

    def snapshot(self, workflow: str) -> payloads.Payload | None:
        """The workflow with its run, as a refresh tells it; None if it is gone."""


@dataclass(slots=True)
class _Place:
    """How far a session is in the runs of a workflow; `held` waits while it catches up."""

    workflow: str
    run: str | None
    named: bool
    seq: int = 0
    log_seq: int = 0
    catching_up: bool = True
    again: bool = False
    held: list[tuple[str, Mapping[str, Any], LivePacket]] = field(default_factory=list)
    past: deque[str] = field(default_factory=lambda: deque(maxlen=PAST))

    def turn_to(self, run: str) -> bool:
        """Whether a message about `run` counts here; a newer run of the workflow takes the place of the older one."""
        if run == self.run:
            return True
        if self.named or run in self.past:
            return False
        if self.run is not None:
            self.past.append(self.run)
        self.run, self.seq, self.log_seq = run, 0, 0
        return True


class Follows:
    """What one session follows."""

    def __init__(self, session: Session, history: History, beside: Beside) -> None:
        self._session = session
        self._history = history
        self._beside = beside
        self._lock = RLock()
        self._places: dict[str, _Place] = {}

    def __bool__(self) -> bool:
        return bool(self._places)

    def __contains__(self, workflow: object) -> bool:
        return workflow in self._places

    def begin(
        self,
        workflow: str,
        run: str | None,
        *,
        named: bool,
        since: int | None,
        log_since: int | None,
    ) -> None:
        """Follow a workflow: send what was missed, or a snapshot and what came after it, then what happens.

        Args:
            run: its latest run, or the one that the client `named`.
            since, log_since: the last change and message of output that the client has; None if it has none.

        Raises `TooSlow` if the client does not read.
        """
        place = _Place(workflow, run, named, seq=since or 0, log_seq=log_since or 0)
        with self._lock:
            if workflow not in self._places and len(self._places) >= MOST_FOLLOWED:
                del self._places[next(iter(self._places))]
            self._places[workflow] = place
        try:
            if run is None or self._too_old(place, since, log_since):
                self._send_snapshot(place, keep_log=log_since is not None)
            self._catch_up(place)
        except Exception:  # else the session would hear no more of the run
            self.end(workflow)
            raise

    def end(self, workflow: str) -> None:
        """Follow a workflow no more."""
        with self._lock:
            self._places.pop(workflow, None)

    def recheck(self) -> None:
        """Look for what was missed, e.g. after this process heard nothing from the others for a while."""
        with self._lock:
            for place in self._places.values():
                self._fall_behind(place)

    def hear(self, event: str, payload: Mapping[str, Any], packet: LivePacket) -> None:
        """Take a message about a run."""
        about = payload["workflow"]
        with self._lock:
            place = self._places.get(about["id"])
            if "worktiesInstances" in about or (event == CHANGED and not about.get("run")):
                self._session.put(packet)
            elif place is None:
                if event != LOG:
                    self._session.put(packet)
            else:
                self._hear(place, event, payload, packet)

    def _hear(self, place: _Place, event: str, payload: Mapping[str, Any], packet: LivePacket) -> None:
        run = _run_of(event, payload)
        if event == PROGRESS and not payloads.tells_state(payload):
            if not place.catching_up:
                self._session.put(packet)
        elif not place.turn_to(run):
            if event != LOG and place.named:
                self._session.put(packet)
        elif place.catching_up:
            self._hold(place, event, payload, packet)
        elif not self._pass(place, event, payload, packet):
            self._hold(place, event, payload, packet)
            self._fall_behind(place)

    def _pass(self, place: _Place, event: str, payload: Mapping[str, Any], packet: LivePacket) -> bool:
        """Send a message if it is the next one, leave out what was sent; False if something before it is missing."""
        if event == PROGRESS:
            change = payload["run"]["seq"]
            if change == place.seq:
                self._session.put(packet)
            return bool(change <= place.seq)
        number = payload["logSeq"] if event == LOG else payload["workflow"]["run"]["seq"]
        known = place.log_seq if event == LOG else place.seq
        if number > known + 1:
            return False
        if number == known + 1:
            self._session.put(packet)
            if event == LOG:
                place.log_seq = number
            else:
                place.seq = number
        return True

    def _hold(self, place: _Place, event: str, payload: Mapping[str, Any], packet: LivePacket) -> None:
        if len(place.held) < MOST_HELD:
            place.held.append((event, payload, packet))
        else:
            place.again = True

    def _fall_behind(self, place: _Place) -> None:
        if not place.catching_up:
            place.catching_up = True
            self._beside(self._session, lambda: self._catch_up(place))

    def _too_old(self, place: _Place, since: int | None, log_since: int | None) -> bool:
        if since is None or log_since is None or place.run is None:
            return True
        replay = self._history.changes(place.run, since)
        first, last = self._history.log_range(place.run)
        return replay is None or replay.changes is None or not first - 1 <= log_since <= last

    def _send_snapshot(self, place: _Place, *, keep_log: bool) -> None:
        workflow = self._history.snapshot(place.workflow)
        if workflow is None:
            return
        run = workflow["run"]
        if place.named and (run is None or run["id"] != place.run):
            self._send_past_run(place, workflow, keep_log=keep_log)
            return
        first, last = self._history.log_range(run["id"]) if run is not None else (1, 0)
        with self._lock:
            place.run, place.seq = (None, 0) if run is None else (run["id"], run["seq"])
            place.log_seq = place.log_seq if keep_log and first - 1 <= place.log_seq <= last else last
        told = None if run is None else {"id": run["id"], "seq": run["seq"], "logSeq": last}
        self._session.answer(SNAPSHOT, {"workflow": workflow, "run": told})

    def _send_past_run(self, place: _Place, workflow: payloads.Payload, *, keep_log: bool) -> None:
        """A run that is not the workflow's latest has ended: only where it stands is told, and its output replayed."""
        run = place.run or ""
        replay, (first, last) = self._history.changes(run, None), self._history.log_range(run)
        with self._lock:
            place.seq = 0 if replay is None else replay.seq
            place.log_seq = place.log_seq if keep_log and first - 1 <= place.log_seq <= last else last
        told = {"id": run, "seq": place.seq, "logSeq": last}
        self._session.answer(SNAPSHOT, {"workflow": workflow, "run": told})

    def _catch_up(self, place: _Place) -> None:
        """Send what is between the place and what was held; then let live messages pass. Raises `TooSlow`."""
        for _ in range(MOST_TURNS):
            if not self._is_followed(place):
                return
            if place.run is not None:
                self._send_missed(place, place.run)
            with self._lock:
                if self._pass_held(place):
                    place.catching_up = False
                    return
        with self._lock:  # what is between is not there to be read: rather a gap than silence
            for _, _, packet in place.held:
                self._session.put(packet)
            place.held, place.catching_up = [], False

    def _is_followed(self, place: _Place) -> bool:
        """Whether the client is still there, and did not begin anew meanwhile."""
        return not self._session.closed and self._places.get(place.workflow) is place

    def _pass_held(self, place: _Place) -> bool:
        """Send what was held, as far as nothing is missing; whether that was all."""
        again, held = place.again, [message for message in place.held if self._of_present(place, message)]
        while held and self._pass(place, *held[0]):
            held.pop(0)
        place.again, place.held = False, held
        return not held and not again

    def _of_present(self, place: _Place, message: tuple[str, Mapping[str, Any], LivePacket]) -> bool:
        event, payload, _ = message
        return bool(_run_of(event, payload) == place.run)

    def _send_missed(self, place: _Place, run: str) -> None:
        replay = self._history.changes(run, place.seq)
        if replay is not None and replay.changes is None:
            self._send_snapshot(place, keep_log=True)
        for change in (replay.changes if replay is not None else None) or ():
            if self._is_followed(place):
                self._session.answer(CHANGED, payloads.changed(change))
            place.seq = change.seq
        while self._is_followed(place) and (page := self._history.log(run, place.log_seq, LOG_PAGE)):
            for written in page:
                self._session.answer(LOG, payloads.logged(written))
                place.log_seq = written.seq


def _run_of(event: str, payload: Mapping[str, Any]) -> str:
    return str(payload["workflow"]["run"]["id"] if event == CHANGED else payload["run"]["id"])
