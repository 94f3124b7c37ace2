"""Users' commands as a user starts them, on `workty up`."""

from __future__ import annotations

import json
import re
import signal
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import requests

from tests.integration.cli.commands import Command, Ended, Start, one_line
from tests.servers import waiting
from tests.servers.embedded import EmbeddedServer
from tests.servers.stack import ADMIN, REQUEST_SECONDS

#: Seconds that a step may take to get going on a slow and busy machine.
SECONDS = 60
FILE = """
name: nightly
desc: Copies the photos
steps:
  - workty: without-delay
    name: check
  - workty: with-delay
    name: wait
    properties: {delay: 0.2}
"""
FAILING = r"""
name: broken
steps:
  - workty: with-delay
    name: "[b]bad\e[31m"
    properties: {delay: -1}
"""
LONG = "name: long\nsteps: [{workty: with-delay, properties: {delay: 60}}]"

Workty = Callable[..., Ended]


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[EmbeddedServer]:
    """One `workty up` for all tests; each has an account of its own."""
    with EmbeddedServer(tmp_path_factory.mktemp("up")) as running:
        yield running


@pytest.fixture
def account(server: EmbeddedServer, request: pytest.FixtureRequest) -> tuple[str, str]:
    """E-mail and password of a new account."""
    email = f"{abs(hash(request.node.nodeid))}@mail.com"
    body = {"name": "tester", "email": email, "password": "my-password"}
    answer = requests.post(f"{server.url}/api/v1/accounts", json=body, auth=ADMIN, timeout=REQUEST_SECONDS)
    assert answer.status_code == 201, answer.text
    return email, "my-password"


@pytest.fixture
def token(server: EmbeddedServer, account: tuple[str, str]) -> str:
    answer = requests.post(f"{server.url}/api/v1/tokens", json={}, auth=account, timeout=REQUEST_SECONDS)
    return str(answer.json()["token"])


@pytest.fixture
def settings(server: EmbeddedServer, token: str) -> dict[str, str]:
    """The environment of somebody who is logged in."""
    return {"WORKTY_URL": server.url, "WORKTY_TOKEN": token}


@pytest.fixture
def workty(command: Command, settings: dict[str, str]) -> Workty:
    """`workty("run", "nightly")` runs a command to its end, logged in."""

    def run(*arguments: str, **more: str) -> Ended:
        return command(*arguments, **(settings | more))

    return run


@pytest.fixture
def write(tmp_path: Path) -> Callable[[str], str]:
    """Writes a definition; returns the name of its file."""

    def save(text: str, name: str = "file.yml") -> str:
        (tmp_path / name).write_text(text)
        return name

    return save


def document(ended: Ended, code: int = 0) -> Any:
    """The one JSON document that a command printed."""
    assert ended.returncode == code, ended
    return json.loads(ended.stdout)


def json_lines(ended: Ended) -> list[dict[str, Any]]:
    return [json.loads(line) for line in ended.stdout.splitlines()]


def states(workty: Workty, name: str) -> list[str]:
    """The states of the latest run, and of its steps."""
    [run] = document(workty("runs", name, "--limit", "1", "--json"))
    return [run["state"]]


def until_state(workty: Workty, name: str, state: str) -> None:
    waiting.until(lambda: states(workty, name) == [state], seconds=SECONDS, what=f"the run of {name} to be {state}")


# --- login


@pytest.fixture
def logged_in(server: EmbeddedServer, account: tuple[str, str], command: Command, tmp_path: Path) -> Path:
    """Logs in by file; returns the file."""
    typed = tmp_path / "password"
    typed.write_text(account[1] + "\n")
    done = command("login", server.url, "--email", account[0], "--password-stdin", stdin=typed)
    assert done.returncode == 0, done
    assert done.stdout.startswith(f"Logged in at {server.url} until ")
    return tmp_path / ".config" / "workty" / "login.json"


def test_a_login_is_kept_without_the_password_and_used_until_logout(
    server: EmbeddedServer, account: tuple[str, str], command: Command, logged_in: Path
) -> None:
    kept = json.loads(logged_in.read_text())
    assert kept.keys() == {"url", "token", "account_id", "expires"}
    assert account[1] not in logged_in.read_text()
    assert "without-delay" in [entry["name"] for entry in document(command("workties", "--json"))]
    assert one_line(command("workflows", WORKTY_URL="http://127.0.0.1:1"), 2).startswith("workty: Not logged in at")
    assert command("logout").stdout == f"Logged out at {server.url}.\n"
    assert not logged_in.exists()
    bearer = {"Authorization": f"Bearer {kept['token']}"}
    assert requests.get(f"{server.url}/api/v1/workflows", headers=bearer, timeout=REQUEST_SECONDS).status_code == 401
    assert one_line(command("workflows", WORKTY_URL=server.url), 2) == (
        f"workty: Not logged in at {server.url}. Log in: workty login {server.url}"
    )
    assert command("logout").stdout == "Nobody is logged in.\n"


def test_wrong_credentials_and_no_terminal_to_ask_on_are_one_line(
    server: EmbeddedServer, command: Command, tmp_path: Path
) -> None:
    typed = tmp_path / "password"
    typed.write_text("wrong")
    done = command("login", server.url, "--email", "nobody@mail.com", "--password-stdin", stdin=typed)
    assert one_line(done, 2) == f"workty: E-mail or password are wrong at {server.url}"
    assert "Use --email and --password-stdin" in one_line(command("login", server.url), 2)
    assert "--password-stdin needs --email" in one_line(command("login", server.url, "--password-stdin"), 2)
    assert not (tmp_path / ".config").exists()


def test_a_token_that_has_ended_says_how_to_log_in_again(server: EmbeddedServer, workty: Workty, token: str) -> None:
    bearer = {"Authorization": f"Bearer {token}"}
    requests.delete(f"{server.url}/api/v1/tokens/current", headers=bearer, timeout=REQUEST_SECONDS)
    assert one_line(workty("workflows"), 2) == (
        f"workty: {server.url} does not accept the login, or not any more. Log in again: workty login {server.url}"
    )


def test_a_server_that_is_away_is_one_line(workty: Workty) -> None:
    line = one_line(workty("runs", WORKTY_URL="http://127.0.0.1:1"), 3)
    assert line == "workty: http://127.0.0.1:1 cannot be reached: nothing answers at this address"


# --- run


def test_a_file_is_made_a_workflow_run_and_followed_to_its_end(workty: Workty, write: Callable[[str], str]) -> None:
    done = workty("run", write(FILE), "--follow")
    assert done.returncode == 0, done
    lines = done.stdout.splitlines()
    assert (lines[0], lines[-1]) == ("Workflow 'nightly' is new.", "Workflow 'nightly': completed")
    assert "wait: completed" in lines
    assert "\x1b" not in done.stdout
    [listed] = document(workty("workflows", "--json"))
    assert [(entry["name"], entry["state"]) for entry in listed["instances"]] == [
        ("check", "completed"),
        ("wait", "completed"),
    ]
    assert re.search(r"nightly +2 +2 completed", workty("workflows").stdout)
    [run] = document(workty("runs", "--json"))
    assert (run["name"], run["state"], run["workflow"]) == ("nightly", "completed", listed["id"])


def test_applying_a_file_again_changes_nothing_and_a_changed_one_changes_what_differs(
    workty: Workty, write: Callable[[str], str]
) -> None:
    def instances() -> list[tuple[str, str, list[Any]]]:
        [listed] = document(workty("workflows", "--json"))
        entries = listed["instances"]
        return [(e["id"], e["name"], [p["value"] for p in e["properties"]]) for e in entries]

    workty("run", write(FILE), "--follow")
    (check, _, _), (wait, _, _) = first = instances()
    assert workty("run", write(FILE), "--follow").stdout.startswith("Workflow 'nightly' is as described.")
    assert instances() == first
    changed = "name: nightly\nsteps:\n- {workty: with-delay, name: wait, properties: {delay: 0}}\n"
    changed += "- {workty: without-delay, name: new}\n- {workty: without-delay, name: check}\n"
    assert workty("run", write(changed), "--follow").stdout.startswith("Workflow 'nightly' was changed.")
    (first_id, *_), (new, *_), (third_id, *_) = instances()
    assert (first_id, third_id) == (wait, check)
    assert [entry[1:] for entry in instances()] == [("wait", [0]), ("new", []), ("check", [])]
    assert new not in {wait, check}
    assert workty("run", write(changed), "--follow").stdout.startswith("Workflow 'nightly' is as described.")


def test_policies_and_a_deadline_of_a_file_are_applied_and_a_value_that_cannot_be_is_told_with_its_step(
    workty: Workty, write: Callable[[str], str]
) -> None:
    text = (
        "name: careful\ndeadline: 600\nsteps:\n- {workty: without-delay, name: try, policy: {retries: 2, timeout: 9}}\n"
    )
    assert workty("run", write(text), "--follow").returncode == 0
    assert workty("run", write(text), "--follow").stdout.startswith("Workflow 'careful' is as described.")
    [listed] = document(workty("workflows", "--json"))
    assert (listed["deadline"], listed["instances"][0]["policy"]) == (600, {"retries": 2, "timeout": 9})
    assert re.search(r"careful +1 +1 completed +600 s", workty("workflows").stdout)
    for name in ("new", "careful"):
        wrong = one_line(workty("run", write(text.replace("9", "0").replace("careful", name))), 1)
    assert [listed["name"] for listed in document(workty("workflows", "--json"))] == ["careful"]
    assert wrong.startswith(
        "workty: Step 'try': Validation Error Path `policy.timeout` is not usable: expected a number"
    )
    assert (
        workty("run", write("name: careful\nsteps: [{workty: without-delay, name: try}]"), "--follow").returncode == 0
    )
    [listed] = document(workty("workflows", "--json"))
    assert (listed["deadline"], listed["instances"][0]["policy"]) == (None, {})


def test_a_workflow_that_fails_is_exit_code_1_and_its_names_and_lines_cannot_control_the_terminal(
    workty: Workty, write: Callable[[str], str]
) -> None:
    done = workty("run", write(FAILING), "--follow")
    assert done.returncode == 1
    assert r"[b]bad\x1b[31m: failed: " in done.stdout
    assert "ValueError: property 'delay'" in done.stdout
    assert done.stdout.endswith("Workflow 'broken': failed\n")
    assert "\x1b" not in done.stdout
    problem = "ValueError: property 'delay'"
    waiting.until(lambda: problem in workty("logs", "broken").stdout, seconds=SECONDS, what="the log of the step")
    entries = document(workty("logs", "broken", "--json"))
    assert any("ValueError" in line["text"] for entry in entries for line in entry["lines"])


def test_with_json_every_event_is_a_line(workty: Workty, write: Callable[[str], str]) -> None:
    done = workty("run", write(FILE), "--logs", "--json")
    assert done.returncode == 0, done
    events = json_lines(done)
    assert [events[0]["event"], events[-1]["event"]] == ["run", "end"]
    assert {event["event"] for event in events[1:-1]} <= {"step", "progress", "log", "connection"}
    assert events[-1]["run"]["state"] == "completed"
    changes = [event for event in events if event["event"] == "step"]
    assert [change["seq"] for change in changes] == list(range(1, len(changes) + 1))
    assert [c["step"]["name"] for c in changes if c["step"]["state"] == "completed"] == ["check", "wait"]


def test_without_following_it_says_what_was_started(workty: Workty, write: Callable[[str], str]) -> None:
    started = document(workty("run", write(LONG), "--json"))
    assert started["state"] in {"waiting", "running"}
    again = workty("run", write(LONG))
    assert again.returncode == 0
    _, under_way, run, _ = again.stdout.splitlines()
    assert under_way == "A run of it is under way: this one goes on, and no other is started."
    assert run.startswith(f"Run {started['id']} of 'long' is ")
    assert workty("stop", started["workflow"]).returncode == 0
    until_state(workty, "long", "stopped")


def test_what_is_unknown_or_ambiguous_or_no_definition_is_wrong_use(
    server: EmbeddedServer, workty: Workty, write: Callable[[str], str], token: str
) -> None:
    assert one_line(workty("run", "nope"), 2) == "workty: There is no workflow 'nope'"
    assert one_line(workty("logs", "nope"), 2) == "workty: There is no run and no workflow 'nope'"
    assert one_line(workty("logs", "0" * 24), 2) == f"workty: There is no run and no workflow '{'0' * 24}'"
    bearer = {"Authorization": f"Bearer {token}"}
    for _ in range(2):
        requests.post(f"{server.url}/api/v1/workflows", json={"name": "two"}, headers=bearer, timeout=REQUEST_SECONDS)
    ids = ", ".join(entry["id"] for entry in document(workty("workflows", "--json")))
    assert one_line(workty("run", "two"), 2) == f"workty: Several workflows have the name 'two'. Use an id: {ids}"
    assert one_line(workty("run", "none.yml"), 2) == "workty: none.yml: cannot be read: No such file or directory"
    bad = write("name: x\nsteps: [{workty: nope}]", "bad.yml")
    assert one_line(workty("run", bad), 2).startswith("workty: bad.yml: step 1 (nope): there is no workty 'nope'")
    assert len(document(workty("workflows", "--json"))) == 2


def test_a_workflow_without_steps_is_refused_with_exit_code_1(
    server: EmbeddedServer, workty: Workty, token: str
) -> None:
    bearer = {"Authorization": f"Bearer {token}"}
    requests.post(f"{server.url}/api/v1/workflows", json={"name": "empty"}, headers=bearer, timeout=REQUEST_SECONDS)
    assert "no workty instances" in one_line(workty("run", "empty", "--follow"), 1)


# --- commands


def test_a_run_is_paused_resumed_and_stopped(workty: Workty, write: Callable[[str], str]) -> None:
    workty("run", write(LONG))
    until_state(workty, "long", "running")
    assert document(workty("pause", "long", "--json"))["state"] in {"pausing", "paused"}
    until_state(workty, "long", "paused")
    assert document(workty("resume", "long", "--json"))["state"] in {"waiting", "running"}
    until_state(workty, "long", "running")
    assert workty("stop", "long").stdout.startswith("Run ")
    until_state(workty, "long", "stopped")
    assert one_line(workty("resume", "long"), 2) == (
        "workty: Workflow 'long' has no run to go on with. Start one with run"
    )


def test_following_a_run_that_is_stopped_is_exit_code_1(
    start: Start, settings: dict[str, str], workty: Workty, write: Callable[[str], str]
) -> None:
    following = start("run", write(LONG), "--follow", **settings)
    waiting.until(lambda: "running on" in following.log.read_text(), seconds=SECONDS, what="the step to run")
    workty("stop", "long")
    assert following.wait(seconds=SECONDS) == 1
    assert following.log.read_text().endswith("Workflow 'long': stopped\n")


def test_ctrl_c_ends_the_following_and_not_the_run(
    start: Start, settings: dict[str, str], workty: Workty, write: Callable[[str], str]
) -> None:
    following = start("run", write(LONG), "--follow", **settings)
    waiting.until(lambda: "running on" in following.log.read_text(), seconds=SECONDS, what="the step to run")
    following.signal(signal.SIGINT)
    assert following.wait(seconds=SECONDS) == 130
    said = following.log.read_text()
    [run] = document(workty("runs", "long", "--json"))
    assert said.endswith(f"The run goes on. Stop it: workty stop {run['workflow']}\n")
    assert "Traceback" not in said
    assert run["state"] == "running"
    workty("stop", "long")


def test_a_step_that_a_run_still_needs_cannot_be_removed_and_then_nothing_is_changed(
    workty: Workty, write: Callable[[str], str]
) -> None:
    steps = "[{workty: with-delay, name: a, properties: {delay: 60}}, {workty: without-delay, name: b}]"
    workty("run", write(f"name: long\nsteps: {steps}"))
    before = document(workty("workflows", "--json"))
    line = one_line(workty("run", write("name: long\ndesc: new\nsteps: [{workty: with-delay, name: a}]")), 1)
    assert line == (
        "workty: Step 'b' cannot be removed: the run under way still needs it. Wait for its end, or stop it first"
    )
    after = document(workty("workflows", "--json"))
    for listed in (*before, *after):
        for instance in listed["instances"]:
            instance.pop("state")
    assert before == after
    workty("stop", "long")


def test_logs_are_followed_until_the_run_ends(workty: Workty, write: Callable[[str], str]) -> None:
    started = document(workty("run", write(FILE), "--json"))
    done = workty("logs", started["id"], "--follow")
    assert (done.returncode, done.stderr) == (0, "")
    assert states(workty, "nightly") == ["completed"]


def test_what_a_step_writes_is_shown_while_it_runs_and_harmless(workty: Workty, write: Callable[[str], str]) -> None:
    for arguments in (["run", write(FAILING), "--logs"], ["logs", "broken", "--follow"], ["logs", "broken"]):
        printed = workty(*arguments).stdout
        lines = [line for line in printed.splitlines() if "ValueError: property 'delay'" in line]
        assert len(lines) == 1, printed
        assert lines[0].startswith(r"[b]bad\x1b[31m | ")
        assert "\x1b" not in printed
    assert workty("logs", "broken").stderr == "[b]bad\\x1b[31m: failed: the program ended with exit code 1\n"


def test_a_run_is_explained_from_its_beginning_to_what_is_so_now(workty: Workty, write: Callable[[str], str]) -> None:
    workty("run", write(FAILING), "--follow")
    told = workty("explain", "broken")
    [run] = document(workty("runs", "broken", "--json"))
    head, begun, *between, now = told.stdout.splitlines()
    assert (told.returncode, told.stderr) == (0, "")
    assert head == f"Run {run['id']} of 'broken', number 1: failed (times in UTC)"
    assert begun.endswith("  Run 1 was asked for: 1 step")
    assert any(r"  [b]bad\x1b[31m: failed: the program ended with exit code 1" in line for line in between), between
    assert "  | ValueError: property 'delay'" in told.stdout
    assert now.startswith("now: failed ")
    assert now.endswith(f"workty logs {run['id']}. Run it again: workty run {run['workflow']}")
    explained = document(workty("explain", run["id"], "--json"))
    assert (explained["id"], explained["missing"], explained["story"][0]["step"]) == (run["id"], 0, "")
    assert one_line(workty("explain", "5f" * 12), 2) == f"workty: There is no run and no workflow '{'5f' * 12}'"


def test_boards_are_for_admins(server: EmbeddedServer, workty: Workty, command: Command) -> None:
    assert one_line(workty("boards"), 1) == "workty: The operation is forbidden"
    admin = requests.post(f"{server.url}/api/v1/tokens", json={}, auth=ADMIN, timeout=REQUEST_SECONDS).json()["token"]
    found = document(command("boards", "--json", WORKTY_URL=server.url, WORKTY_TOKEN=admin))
    assert [(board["name"], board["slots"]) for board in found] == [("board-1", 2), ("board-2", 2)]


def test_names_of_workflows_are_completed(workty: Workty, write: Callable[[str], str]) -> None:
    workty("run", write(FILE), "--follow")
    words = {"_WORKTY_COMPLETE": "bash_complete", "COMP_WORDS": "workty run n", "COMP_CWORD": "2"}
    assert workty(**words).stdout == "plain,nightly\n"
    away = {"WORKTY_URL": "http://127.0.0.1:1", **words}
    assert workty(**away).stdout == "file,n\n"
