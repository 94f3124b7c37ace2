"""`Client`: what an account can do with its workflows, as a class for users' own programs."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import TracebackType
from typing import Any

from api.client import carrying_out, pushing
from api.client.applying import LATEST, find_workty, plan, wanted_steps
from api.client.carrying_out import Applied
from api.client.definition import Definition, read_definition
from api.client.errors import BadUse, Refused
from api.client.events import LogLines, log_entry_from
from api.client.following import Following, Source
from api.client.models import (
    Board,
    Explanation,
    Run,
    Version,
    Workflow,
    Workty,
    board_from,
    explanation_from,
    run_from,
    workflow_from,
    workty_from,
)
from api.client.pushing import Pushed, Upgraded
from api.client.rest import TIMEOUT, Rest
from api.client.socket import LiveSocket

#: Entries of one page of a log.
PAGE = 250
_ID = re.compile(r"[0-9a-f]{24}")
_INSTANCES = "worktiesinstances.state,worktiesinstances.properties"


class Client:
    """Speaks to one server as one account; `with` closes its connections.

        with Client.login("http://127.0.0.1:9999", "me@mail.com", "my-password") as client:
            client.run("nightly")

    Workflows are given by name or id, or as a `Workflow`. Every method may raise `NotReachable` and `Refused`, and
    `BadUse` for a workflow that does not exist or whose name means several. Not for several threads.

    Args:
        url: the server, e.g. `http://127.0.0.1:9999`.
        token: a bearer token; it lives 24 hours at most.
        account_id: the account that the token belongs to; found out when it is needed, if it can be.
        ca_file: certificates (PEM) to trust instead of the system's.
        timeout: seconds until a request that is not answered fails.

    Attributes:
        expires: when the token ends (UTC), None if unknown.
        rest: for requests that this class has no method for.
    """

    def __init__(
        self,
        url: str,
        token: str | None = None,
        *,
        account_id: str | None = None,
        ca_file: str | None = None,
        timeout: float = TIMEOUT,
    ) -> None:
        self.rest = Rest(url, token, ca_file=ca_file, timeout=timeout)
        self.expires: datetime | None = None
        self._account_id = account_id

    @classmethod
    def login(cls, url: str, email: str, password: str, *, ca_file: str | None = None) -> Client:
        """A client with a new token. Raises `NotReachable`, and `Refused` with status 401 for wrong credentials."""
        client = cls(url, ca_file=ca_file)
        try:
            answer = client.rest.log_in(email, password)
        except BaseException:
            client.close()
            raise
        client._account_id = str(answer["accountId"])
        client.expires = datetime.now(UTC) + timedelta(seconds=float(answer["expiresIn"]))
        return client

    def __enter__(self) -> Client:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Give up the connections. The token stays valid."""
        self.rest.close()

    def logout(self) -> None:
        """Revoke the token."""
        self.rest.delete("/tokens/current")

    @property
    def url(self) -> str:
        """The server."""
        return self.rest.url

    @property
    def token(self) -> str:
        """The bearer token."""
        return self.rest.token

    @property
    def account_id(self) -> str:
        """The account that the token belongs to. Raises `BadUse` if it cannot be found out."""
        if self._account_id is None:
            # A regular account sees only itself, an admin all.
            seen = self.rest.get("/accounts", fields="aclRoleNames")
            own = seen if len(seen) == 1 else [entry for entry in seen if "admin" in entry.get("aclRoleNames", ())]
            if len(own) != 1:
                raise BadUse("The token does not say whose it is: give the id of its account too")
            self._account_id = str(own[0]["_id"])
        return self._account_id

    # --- what there is

    def workflows(self) -> list[Workflow]:
        """The account's workflows with their instances; for admins all."""
        return [workflow_from(record) for record in self.rest.get("/workflows", embed=_INSTANCES)]

    def workflow(self, workflow: str | Workflow) -> Workflow:
        """One workflow as it is now."""
        return workflow_from(self.rest.get(f"/workflows/{self._find(workflow)[0]}", embed=_INSTANCES))

    def workties(self) -> list[Workty]:
        """The worktys that the account sees, with their properties."""
        fields = "name,desc,accountId,template,price,propertiesIds,version"
        return [workty_from(record) for record in self.rest.get("/workties", fields=fields, embed="properties")]

    def versions(self, workty: str | Workty) -> list[Version]:
        """Versions of a workty, newest first. Raises `BadUse` for one that does not exist or means several."""
        found = workty if isinstance(workty, Workty) else find_workty(workty, self.workties(), self._owner())
        if isinstance(found, str):
            raise BadUse(f"{found[0].upper()}{found[1:]}")
        return pushing.versions(self.rest, found.id)

    def runs(self, workflow: str | Workflow | None = None, *, limit: int = 50) -> list[Run]:
        """Runs, newest first, without their steps: of one workflow or of all. At most 250."""
        own = None if workflow is None else self._find(workflow)[0]
        return [run_from(record) for record in self.rest.get("/runs", workflowId=own, per_page=limit)]

    def read_run(self, run: str) -> Run:
        """One run by its id, with its steps."""
        return run_from(self.rest.get(f"/runs/{_path_part(run)}"))

    def latest_run(self, workflow: str | Workflow) -> Run | None:
        """The latest run of a workflow with its steps, None if it never ran."""
        return self._latest(self._find(workflow)[0])

    def explain(self, run: str | Run) -> Explanation:
        """The story of a run, what it does or waits for now, and what would help."""
        run_id = run.id if isinstance(run, Run) else run
        return explanation_from(self.rest.get(f"/runs/{_path_part(run_id)}/explanation"))

    def boards(self) -> list[Board]:
        """The boards of the installation. For admins."""
        return [board_from(record) for record in self.rest.get("/devices")]

    def log(self, run: str | Run, *, since: int = 0) -> Iterator[LogLines]:
        """What the steps of a run wrote so far: messages with a number above `since`, in order, page by page."""
        run_id = run.id if isinstance(run, Run) else run
        while True:
            page = self.rest.get(f"/runs/{_path_part(run_id)}/log", since=since, per_page=PAGE)
            entries = [log_entry_from(run_id, record) for record in page]
            yield from (entry for entry in entries if entry.lines or entry.dropped)
            newest = max((entry.seq for entry in entries if entry.seq is not None), default=since)
            if newest <= since:
                return
            since = newest

    # --- commands

    def run(self, workflow: str | Workflow) -> Run:
        """Start a run, or go on with a paused one; if one is under way, that one. Returns the run as it is then."""
        found = self._find(workflow)[0]
        self.rest.put(f"/workflows/{found}/running")
        return self._commanded(found)

    def resume(self, workflow: str | Workflow) -> Run:
        """Go on with a paused run. Raises `BadUse` if there is none."""
        found, name = self._find(workflow)
        latest = self._latest(found)
        if latest is None or latest.ended:
            raise BadUse(f"Workflow '{name}' has no run to go on with. Start one with run")
        self.rest.put(f"/workflows/{found}/running")
        return self._commanded(found)

    def pause(self, workflow: str | Workflow) -> Run | None:
        """Pause the run at its next checkpoint; no effect where nothing runs. Returns the latest run."""
        found = self._find(workflow)[0]
        self.rest.put(f"/workflows/{found}/pausing")
        return self._latest(found)

    def stop(self, workflow: str | Workflow) -> Run | None:
        """Stop the run; no effect where nothing runs. Returns the latest run."""
        found = self._find(workflow)[0]
        self.rest.delete(f"/workflows/{found}/running")
        return self._latest(found)

    def apply(self, definition: Definition | str | Path) -> Applied:
        """Create the workflow of a definition (or of the file with it), or change the one of that name.

        Instances that stay keep their ids; applying twice changes nothing. While a run is under way, what it has not
        begun gets new values of properties; steps that are added or moved, policies and the deadline count from the
        next run; a step that the run still needs cannot be removed. Raises `BadDefinition`.
        """
        wanted = definition if isinstance(definition, Definition) else read_definition(definition)
        own = self.account_id
        steps = wanted_steps(wanted, self.workties(), own, self.versions)
        found = [record for record in self._named(wanted.name) if record["accountId"] == own]
        if len(found) > 1:
            raise _ambiguous(wanted.name, found)
        if not found:
            return carrying_out.create(self.rest, wanted, steps)
        present = self.workflow(found[0]["_id"])
        planned = plan(wanted, steps, present)
        latest = self._latest(present.id) if planned.removed else None
        return carrying_out.update(self.rest, present, planned, latest if latest and not latest.ended else None)

    def push(
        self, data: bytes, name: str, *, desc: str = "", template: bool | None = None, price: int | None = None
    ) -> Pushed:
        """Create the workty of this name from a package (a zip), or give it to the one that the account owns.

        Pushing the same package twice changes nothing. For admins, as all that adds to the catalogue.

        Args:
            name: as the package's manifest says.
            desc: of a new workty; one that exists keeps its own.
            template: whether others may use it; None leaves it as it is, or no.
            price: in cents; None leaves it as it is, or free.

        Raises:
            Refused: the package is no good, or its version is there with other code (409).
        """
        fields = {"desc": desc, "template": template, "price": price}
        asked = {"name": name, "accountId": self.account_id, "fields": "name,accountId,version"}
        own = [workty_from(record) for record in self.rest.get("/workties", **asked)]
        return pushing.push(self.rest, own, data, name, {k: v for k, v in fields.items() if v is not None})

    def upgrade(self, workflow: str | Workflow, step: str | None = None, to: str = LATEST) -> list[Upgraded]:
        """Give the instances of a workflow the newest version of their worktys. A run under way goes on as it is.

        Args:
            step: only those of this name or id.
            to: another version than the newest.

        Raises:
            BadUse: there is no such step or version; nothing was changed.
        """
        return pushing.upgrade(self.rest, self.workflow(workflow), step, to)

    # --- live

    def follow(self, workflow: str | Workflow | Run, *, logs: bool = False) -> Following:
        """A context manager over whose events one iterates until the run has ended.

            with client.follow("nightly") as events:
                client.run("nightly")
                for event in events:
                    print(event)

        Given a `Run`, that run; else the active run of the workflow or, if there is none, the next one that starts.
        It reconnects by itself, and tells so by `Connection`. Progress may be lost, other events are not.
        """
        run = workflow.id if isinstance(workflow, Run) else None
        found = workflow.workflow if isinstance(workflow, Run) else self._find(workflow)[0]
        account = self.account_id
        source = Source(
            connect=lambda: LiveSocket(self.url, account, self.token, self.rest.ca_file),
            latest=lambda: self._latest(found),
            read=self.read_run,
            log=lambda id_, since: self.log(id_, since=since),
        )
        return Following(source, found, run, logs=logs)

    # --- names

    def _find(self, workflow: str | Workflow) -> tuple[str, str]:
        """Id and name of a workflow."""
        if isinstance(workflow, Workflow):
            return workflow.id, workflow.name
        if _ID.fullmatch(workflow.lower()):
            try:
                record = self.rest.get(f"/workflows/{workflow}", fields="name")
                return str(record["_id"]), str(record["name"])
            except Refused as error:
                if error.status != 404:  # a name may look like an id
                    raise
        found = self._named(workflow)
        if len(found) > 1:
            raise _ambiguous(workflow, found)
        if not found:
            raise BadUse(f"There is no workflow '{workflow}'")
        return str(found[0]["_id"]), str(found[0]["name"])

    def _owner(self) -> str:
        """The account, "" if it cannot be found out: then no workty is preferred."""
        try:
            return self.account_id
        except BadUse:
            return ""

    def _named(self, name: str) -> list[Mapping[str, Any]]:
        found: list[Mapping[str, Any]] = self.rest.get("/workflows", name=name, fields="name,accountId")
        return found

    def _latest(self, workflow_id: str) -> Run | None:
        found = self.rest.get("/runs", workflowId=workflow_id, per_page=1, fields="_id")
        return self.read_run(found[0]["_id"]) if found else None

    def _commanded(self, workflow_id: str) -> Run:
        run = self._latest(workflow_id)
        if run is None:
            raise Refused(404, None, "The run cannot be found. Is the server of an older version?")
        return run


def _ambiguous(name: str, found: list[Mapping[str, Any]]) -> BadUse:
    return BadUse(f"Several workflows have the name '{name}'. Use an id: {', '.join(str(r['_id']) for r in found)}")


def _path_part(id_: str) -> str:
    """An id as a part of a path. Raises `BadUse` for what cannot be one."""
    if not _ID.fullmatch(id_.lower()):
        raise BadUse(f"'{id_}' is no id of a run: 24 digits and letters a to f")
    return id_
