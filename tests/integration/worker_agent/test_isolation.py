"""Programs that do what they should not: the agent, the board and the step beside them come to no harm.

Each runs on four boards: the agent as root, whose slots have accounts of their own, and as a plain account that all
share; both with bubblewrap and without.
"""

from __future__ import annotations

import http.server
import json
import os
import shutil
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest

from tests.servers import waiting
from worker_agent.accounts import barrier

STEPPING = Path(__file__).with_name("stepping.py")
#: The account of agents that are not root; of this test process alone, so that its processes can be counted.
PLAIN = 60000 + os.getpid() % 997
SECRET = "amqp://board:a-secret@broker"
SPEAK = """
import json, os, signal, subprocess, sys, time
up = int(os.environ["WORKTY_EVENTS_FD"])
def say(**line):
    data = json.dumps(line).encode() + b"\\n"
    while data:
        data = data[os.write(up, data):]
def tell(**output):
    say(type="output", output=output)
def try_to(do):
    try:
        return do()
    except OSError as error:
        return type(error).__name__
"""


class Board:
    """Steps on a board with such an agent, which is a process of its own."""

    def __init__(self, name: str, library: Path, interpreter: str, **settings: Any) -> None:
        account, self.sandbox = name.split(", ")
        self.root, self.sandboxed = account == "root", self.sandbox == "bwrap"
        self.directory = Path(tempfile.mkdtemp(prefix="workty-test-", dir="/tmp"))
        self.directory.chmod(0o711)
        (self.directory / "journal.db").write_text("of the agent")
        (self.directory / "journal.db").chmod(0o600)
        options: dict[str, Any] = {}
        if os.getuid() == 0 and not self.root:
            options = {"user": PLAIN, "group": PLAIN, "extra_groups": []}
            for path in (self.directory, self.directory / "journal.db"):
                os.chown(path, PLAIN, PLAIN)
        self.process = subprocess.Popen(
            [interpreter, str(STEPPING.name), str(self.directory), json.dumps({"sandbox": self.sandbox, **settings})],
            cwd=library,
            env={"PATH": "/usr/bin:/bin", "PYTHONPATH": str(library), "LANG": "C.UTF-8", "WORKTY_AMQP_URL": SECRET},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            **options,
        )
        assert self._hear() == "ready"

    def run(self, script: str, **request: Any) -> dict[str, Any]:
        """Run a script as a step; what became of it. The step beside it is well."""
        assert self.process.stdin
        self.process.stdin.write(json.dumps({"script": SPEAK + script, **request}) + "\n")
        self.process.stdin.flush()
        found: dict[str, Any] = self._hear()
        assert found["unharmed"], found
        return found

    def close(self) -> None:
        assert self.process.stdin
        assert self.process.stdout
        self.process.stdin.close()
        self.process.wait(60)
        self.process.stdout.close()
        shutil.rmtree(self.directory)

    def _hear(self) -> Any:
        assert self.process.stdout
        line = self.process.stdout.readline()
        assert line, "the agent is gone"
        return json.loads(line)


@pytest.fixture(scope="module")
def library() -> Iterator[Path]:
    """A copy of what a board needs, where every account can read it."""
    folder = Path(tempfile.mkdtemp(prefix="workty-test-library-", dir="/tmp"))
    folder.chmod(0o755)
    for name in ("worker_agent", "workties", "transitions", "six"):
        spec = find_spec(name)
        assert spec
        assert spec.origin
        origin = Path(spec.origin)
        if origin.name == "__init__.py":
            shutil.copytree(origin.parent, folder / name, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            shutil.copy(origin, folder)
    shutil.copy(STEPPING, folder)
    yield folder
    shutil.rmtree(folder)


@pytest.fixture(scope="module")
def interpreter() -> str:
    """An interpreter that every account can run: this one, or else the system's."""
    own = Path(sys.executable).resolve()
    if barrier(PLAIN, [own.parent, Path(sys.base_prefix)]) is None:
        return str(own)
    assert Path("/usr/bin/python3").exists(), f"accounts of steps may not run {own}, and there is no /usr/bin/python3"
    return "/usr/bin/python3"


SETUPS = [
    f"{account}, {sandbox}"
    for account in (("root", "plain") if os.getuid() == 0 else ("plain",))
    for sandbox in ("bwrap", "none")
]
#: Where steps share the agent's account, and nothing else keeps them apart: docs/isolation.md warns of it.
SHARING = "plain, none"


@pytest.fixture(scope="module", params=SETUPS)
def board(request: pytest.FixtureRequest, library: Path, interpreter: str) -> Iterator[Board]:
    found = Board(request.param, library, interpreter)
    yield found
    found.close()


@pytest.fixture
def port() -> Iterator[int]:
    """A port of this machine where somebody answers."""

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(204)
            self.end_headers()

        def log_message(self, *args: object) -> None:
            pass

    with http.server.HTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield server.server_port
        server.shutdown()
        thread.join()


def test_a_flood_of_progress_is_read_to_its_end(board: Board) -> None:
    found = board.run("for n in range(20_000): say(type='progress', progress=n / 20_000)")
    assert (found["code"], found["told"]) == (None, 20_000)


def test_a_flood_of_output_ends_the_step(board: Board) -> None:
    found = board.run("while True: print('x' * 1000)", limits={"output": 1_000_000})
    assert (found["code"], found["left"]) == ("output", 0)


BOMB = """
while True:
    try:
        os.fork()
    except OSError:
        pass
"""
RUNAWAY = """
def run_away():
    while True:
        if os.fork():
            os._exit(0)
        os.setsid()
if not os.fork():
    run_away()
time.sleep(0.2)
"""


@pytest.mark.parametrize("plain", [False, True], ids=["warm", "plain start"])
def test_a_fork_bomb_is_bounded_and_ends_with_its_step(board: Board, plain: bool) -> None:
    found = board.run(BOMB, limits={"wall": 0.5, "grace": 0.0, "processes": 24}, plain=plain)
    assert (found["code"], found["left"]) == ("timeout", 0)


def test_processes_that_run_away_from_their_parents_end_with_their_step(board: Board) -> None:
    found = board.run(RUNAWAY, limits={"processes": 24})
    assert (found["code"], found["left"]) == (None, 0)


def test_a_shell_may_open_its_descriptors_anew(board: Board) -> None:
    script = """
os.set_inheritable(up, True)
line = json.dumps({"type": "output", "output": {"said": 1}})
subprocess.run(["sh", "-c", f"echo again >/dev/stdout; echo '{line}' >/dev/fd/{up}"], close_fds=False, check=True)
"""
    found = board.run(script)
    assert (found["code"], found["output"], found["lines"]) == (None, {"said": 1}, ["again"])


DAEMON = """
if not os.fork():
    os.setsid()
    if os.fork():
        os._exit(0)
    for fd in (0, 1, 2):
        os.close(fd)
    os.execve("/bin/sleep", ["quite-another-name", "600"], {})
time.sleep(0.05)
tell(done=True)
"""


@pytest.mark.parametrize("plain", [False, True], ids=["warm", "plain start"])
def test_a_daemon_does_not_outlive_its_step(board: Board, plain: bool) -> None:
    found = board.run(DAEMON, plain=plain)
    assert (found["code"], found["output"], found["left"]) == (None, {"done": True}, 0)


def test_a_step_that_tries_to_kill_its_guardian_does_not_leave_anything(board: Board) -> None:
    found = board.run(DAEMON + "parent = os.getppid()\ntell(killed=try_to(lambda: parent and os.kill(parent, 9)))")
    if board.root or board.sandboxed:
        assert found["code"] is None
        assert found["output"]["killed"] == (0 if board.sandboxed else "PermissionError")
    else:
        assert found["code"] == "crash"
        assert "watches over" in found["message"]
    assert found["left"] == 0


def test_a_file_that_fills_the_disk_reaches_its_limit(board: Board) -> None:
    script = "file = open(os.path.expanduser('~/large'), 'wb')\nwhile True: file.write(bytes(100_000)), file.flush()"
    found = board.run(script, limits={"files": 1_000_000})
    assert found["code"] == "exit"
    assert "File too large" in found["lines"][-1]


def test_files_that_fill_the_disk_together_end_the_step(board: Board) -> None:
    script = """
import itertools
for number in itertools.count():
    open(os.path.expanduser(f"~/{number}"), "wb").write(bytes(100_000))
    time.sleep(0.01)
"""
    found = board.run(script, limits={"disk": 1_000_000})
    assert (found["code"], found["left"]) == ("output", 0)
    assert found["message"] == "the home of the step held more than 1000000 bytes (limits.disk)"


def test_a_step_that_ignores_a_polite_end_is_killed(board: Board) -> None:
    script = "signal.signal(signal.SIGTERM, signal.SIG_IGN)\ntime.sleep(600)"
    found = board.run(script, limits={"wall": 0.3, "grace": 0.1})
    assert (found["code"], found["return_code"], found["left"]) == ("timeout", -9, 0)


@pytest.mark.parametrize(
    "words",
    [
        "os.urandom(300_000)",
        "b'x' * 600_000",
        "json.dumps({'type': 'state', 'state': 's', 'memory': 'x' * 10**7}).encode()",
    ],
    ids=["noise", "no end", "10 MB"],
)
def test_nonsense_on_the_protocol_fails_the_step(board: Board, words: str) -> None:
    found = board.run(f"data = {words} + b'\\n'\nwhile data: data = data[os.write(up, data):]\ntime.sleep(600)")
    assert (found["code"], found["left"]) == ("crash", 0)


@pytest.mark.parametrize("board", [found for found in SETUPS if found != SHARING], indirect=True)
def test_a_step_cannot_signal_what_is_not_its_own(board: Board) -> None:
    found = board.run("os.kill(-1, 9)")
    assert found["left"] == 0


def test_what_a_step_reads_and_writes_is_its_own(board: Board) -> None:
    script = f"""
def read(path):
    return try_to(lambda: open(path).read() and "read")
tell(
    journal=read("{board.directory}/journal.db"),
    other=read("BYSTANDER/input.json"),
    own=read(os.environ["WORKTY_INPUT"]),
    shadow=read("/etc/shadow"),
    system=try_to(lambda: open("/usr/written", "w") and "written"),
    package=try_to(lambda: open(os.path.join(os.path.dirname(__file__), "written"), "w") and "written"),
    home=try_to(lambda: open(os.path.expanduser("~/written"), "w") and "written"),
    account=os.getuid(),
    rights=[line for line in open("/proc/self/status") if line.startswith(("CapEff", "NoNewPrivs"))],
)
"""
    output = board.run(script)["output"]
    assert (output["own"], output["home"]) == ("read", "written")
    assert output["account"] != 0
    assert output["rights"] == ["CapEff:\t0000000000000000\n", "NoNewPrivs:\t1\n"]
    assert "read" not in output["shadow"]
    assert "written" not in output["system"]
    if board.root or board.sandboxed:
        assert "read" not in (output["journal"], output["other"])
        assert output["package"] != "written"


def test_a_step_sees_nothing_of_the_agent(board: Board) -> None:
    script = """
found = dict(os.environ)
def look(pid):
    return try_to(lambda: open(f"/proc/{pid}/environ", "rb").read().decode("utf-8", "replace"))
seen = {pid: look(pid) for pid in os.listdir("/proc") if pid.isdigit()}
tell(environ="".join(found.values()), seen="".join(map(str, seen.values())), count=len(seen))
"""
    found = board.run(script)["output"]
    assert "secret" not in found["environ"] + found["seen"]
    if board.sandboxed:
        assert found["count"] <= 4


@pytest.mark.parametrize("board", [found for found in SETUPS if "bwrap" in found], indirect=True)
def test_a_sandbox_has_temporary_folders_of_its_own(board: Board) -> None:
    path = Path(f"/tmp/{board.directory.name}-written")
    found = board.run(f"open('{path}', 'w'), open('/dev/shm/written', 'w'), open('/dev/null', 'w')\ntell(there=True)")
    assert found["output"] == {"there": True}
    assert not path.exists()
    full = board.run("open('/tmp/large', 'wb').write(bytes(80_000_000))")
    assert "No space left" in full["lines"][-1]


@pytest.mark.parametrize("asked", [False, True], ids=["not asked", "asked"])
def test_only_a_step_that_asks_for_the_network_has_it_in_a_sandbox(board: Board, port: int, asked: bool) -> None:
    script = f"""
import urllib.request
tell(reached=try_to(lambda: urllib.request.urlopen("http://127.0.0.1:{port}", timeout=20).status))
"""
    found = board.run(script, access={"network": asked})
    assert found["output"]["reached"] == (204 if asked or not board.sandboxed else "URLError")


@pytest.mark.parametrize("setup", SETUPS)
def test_a_board_that_does_not_grant_the_network_and_shares_a_folder(
    setup: str, library: Path, interpreter: str, port: int, tmp_path_factory: pytest.TempPathFactory
) -> None:
    shared = Path(tempfile.mkdtemp(prefix="workty-test-shared-", dir="/tmp"))
    shared.chmod(0o777)
    granted = {"step_network": False, "step_shared": [str(shared)], "step_devices": ["/dev/fuse"], "step_host": True}
    board = Board(setup, library, interpreter, **granted)
    try:
        script = f"""
import socket
def reach():
    with socket.create_connection(("127.0.0.1", {port}), 20):
        return "reached"
tell(network=try_to(reach), shared=try_to(lambda: open("{shared}/written", "w") and "written"),
     device=os.path.exists("/dev/fuse"), account=os.getuid(), parent=os.getppid())
"""
        nothing = board.run(script)["output"]
        everything = board.run(script, access={"network": True, "shared": True, "devices": True})["output"]
        host = board.run(script, access={"host": True})["output"]
    finally:
        board.close()
        shutil.rmtree(shared)
    assert everything["shared"] == host["shared"] == "written"
    assert host["network"] == "reached"
    assert host["account"] == (0 if board.root else PLAIN if os.getuid() == 0 else os.getuid())
    if board.sandboxed:
        assert (nothing["shared"], nothing["device"], nothing["parent"]) == ("FileNotFoundError", False, 0)
        assert (everything["network"], everything["device"]) == ("ConnectionRefusedError", Path("/dev/fuse").exists())


@pytest.mark.parametrize("setup", SETUPS)
def test_nothing_of_a_step_is_left_when_the_agent_is_killed(setup: str, library: Path, interpreter: str) -> None:
    board = Board(setup, library, interpreter)
    marker = board.directory.name  # also in the command that made the sandbox
    script = DAEMON.replace("quite-another-name", marker).replace("time.sleep(0.05)", "time.sleep(600)")

    def ask() -> None:
        with pytest.raises(AssertionError, match="the agent is gone"):
            board.run(script)

    def running() -> int:
        lines = [_command_line(path) for path in Path("/proc").iterdir() if path.name.isdigit()]
        return sum(marker in line for line in lines)

    try:
        asked = threading.Thread(target=ask)
        asked.start()
        waiting.until(running, seconds=60, what="the daemon to run")
        board.process.kill()
        asked.join()
        waiting.until(lambda: not running(), seconds=60, what="the daemon to be gone")
    finally:
        board.close()


def _command_line(process: Path) -> str:
    try:
        return (process / "cmdline").read_text(errors="replace")
    except OSError:
        return ""
