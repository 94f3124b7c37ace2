"""A user of Workty as the acceptance tests play one: an account, REST, and an ear for live messages."""

from __future__ import annotations

import secrets
from collections.abc import Callable
from threading import Condition
from typing import Any

import requests

from api.client.socket import OrderedSocket
from tests.servers.stack import ADMIN, REQUEST_SECONDS

#: Seconds that a run may take on a slow and busy machine.
RUN_SECONDS = 180
FINAL = frozenset({"completed", "failed", "stopped"})


class User:
    """A new, regular account that hears everything about its workflows from the start.

    Parameters:
        url: the server.
        live_url: another process of the server that tells what happens.
    """

    def __init__(self, url: str, live_url: str | None = None) -> None:
        self._url = url
        self.email = f"{secrets.token_hex(6)}@mail.com"
        self.login = (self.email, secrets.token_urlsafe(12))
        account = {"name": "tester", "email": self.email, "password": self.login[1]}
        self.account_id = self.ask("POST", "/accounts", account, login=ADMIN)["_id"]
        self.messages: list[tuple[str, dict[str, Any]]] = []
        self._news = Condition()
        token = self.ask("POST", "/tokens", {})["token"]
        namespace = f"/{self.account_id}_workflows"
        self._socket = OrderedSocket()
        for event in ("sv.workflow.changed", "sv.workflow.progress"):
            self._socket.on(event, lambda payload, event=event: self._hear(event, payload), namespace=namespace)
        self._socket.connect(
            live_url or url, namespaces=[namespace], auth={"token": token}, wait_timeout=60, transports=["websocket"]
        )

    def close(self) -> None:
        """Disconnect."""
        self._socket.disconnect()

    def ask(self, method: str, path: str, body: object = None, *, login: tuple[str, str] | None = None) -> Any:
        """A request; the JSON answer. Raises `requests.HTTPError` with the answer's text if it is not 2xx."""
        answer = self.answer(method, path, body, login=login)
        if not answer.ok:
            raise requests.HTTPError(f"{method} {path}: {answer.status_code} {answer.text}", response=answer)
        return answer.json() if answer.content else None

    def answer(
        self, method: str, path: str, body: object = None, *, login: tuple[str, str] | None = None
    ) -> requests.Response:
        """A request; whatever the answer is."""
        return requests.request(
            method, f"{self._url}/api/v1{path}", json=body, auth=login or self.login, timeout=REQUEST_SECONDS
        )

    # --- workflows

    def workflow(self, *steps: str | tuple[str, dict[str, Any]]) -> str:
        """A new workflow with an instance for each workty name, with values for its properties; its id."""
        workflow: str = self.ask("POST", "/workflows", {"name": "a test"})["_id"]
        for step in steps:
            name, values = step if isinstance(step, tuple) else (step, {})
            self.add_step(workflow, self.workty(name), values)
        return workflow

    def workty(self, name: str) -> str:
        """The id of the template of this name."""
        found = self.ask("GET", f"/workties?name={name}&template=true")
        assert found, f"there is no workty {name}"
        return str(found[0]["_id"])

    def run(self, workflow: str) -> None:
        """Run or resume."""
        self.ask("PUT", f"/workflows/{workflow}/running")

    def pause(self, workflow: str) -> None:
        """Pause."""
        self.ask("PUT", f"/workflows/{workflow}/pausing")

    def stop(self, workflow: str) -> None:
        """Stop."""
        self.ask("DELETE", f"/workflows/{workflow}/running")

    def states(self, workflow: str) -> list[str]:
        """The states of the instances over REST, in their order."""
        found = self.ask("GET", f"/workflows/{workflow}?embed=worktiesinstances.state")
        return [instance["stateId"]["name"] for instance in found["worktiesInstancesIds"]]

    # --- live

    def changes(self, workflow: str) -> list[dict[str, Any]]:
        """The changes of state that were heard of a workflow."""
        with self._news:
            heard = [message["workflow"] for event, message in self.messages if event == "sv.workflow.changed"]
        about_runs = (change for change in heard if "run" in change and "worktiesInstances" not in change)
        return [change for change in about_runs if change["id"] == workflow]

    def progress(self, workflow: str) -> list[dict[str, Any]]:
        """The progress that was heard of a workflow."""
        with self._news:
            heard = [message for event, message in self.messages if event == "sv.workflow.progress"]
        return [message for message in heard if message["workflow"]["id"] == workflow]

    def hears(self, workflow: str, wanted: Callable[[dict[str, Any]], bool], what: str = "a change") -> dict[str, Any]:
        """The first change of the workflow that is wanted; waits for it."""

        def found() -> dict[str, Any] | None:
            return next((change for change in self.changes(workflow) if wanted(change)), None)

        with self._news:
            change = self._news.wait_for(found, timeout=RUN_SECONDS)
        heard = [(c["run"]["state"], c["worktyInstance"]["state"]) for c in self.changes(workflow)]
        assert change is not None, f"waited {RUN_SECONDS} s in vain for {what}; heard {heard}"
        return change

    def until_run(self, workflow: str, *states: str) -> dict[str, Any]:
        """Waits until the workflow's run is in one of these states."""
        return self.hears(workflow, lambda change: change["run"]["state"] in states, f"run {states}")

    def until_step(self, workflow: str, index: int, state: str) -> dict[str, Any]:
        """Waits until the instance at `index` is in a state."""
        ids = self.ask("GET", f"/workflows/{workflow}")["worktiesInstancesIds"]
        return self.hears(
            workflow,
            lambda change: (change["worktyInstance"]["id"], change["worktyInstance"]["state"]) == (ids[index], state),
            f"step {index} {state}",
        )

    def add_step(self, workflow: str, workty: str, values: dict[str, Any], name: str = "") -> None:
        """A further instance of a workty (its id), with values for its properties."""
        path = f"/workflows/{workflow}/worktiesInstances"
        instance = self.ask("POST", path, {"worktyId": workty, "name": name})
        for entry in instance["propertiesIds"]:
            if entry["name"] in values:
                value = {"value": values[entry["name"]]}
                self.ask("PUT", f"{path}/{instance['_id']}/properties/{entry['_id']}", value)

    def _hear(self, event: str, payload: dict[str, Any]) -> None:
        with self._news:
            self.messages.append((event, payload))
            self._news.notify_all()


def assert_legal(changes: list[dict[str, Any]]) -> None:
    """Sequence numbers without gap or repetition, legal changes of each instance, one instance at a time."""
    legal = {
        "initial": {"waiting"},
        "waiting": {"running", "paused", "stopped"},
        "running": {"completed", "failed", "waiting", "paused", "stopped"},
        "paused": {"waiting", "stopped"},
        "completed": {"initial"},
        "failed": {"initial"},
        "stopped": {"initial"},
    }
    assert [change["run"]["seq"] for change in changes] == list(range(1, len(changes) + 1))
    states: dict[str, str] = {}
    for change in changes:
        instance, state = change["worktyInstance"]["id"], change["worktyInstance"]["state"]
        before = states.get(instance, "initial")
        assert state == before or state in legal[before], f"{before} -> {state}"
        states[instance] = state
        assert sum(1 for found in states.values() if found in {"waiting", "running", "paused"}) <= 1
