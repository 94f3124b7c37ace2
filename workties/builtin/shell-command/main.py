"""Runs a command by the shell; what it writes is what the step writes, and its exit code decides about the step."""

import contextlib
import os
import select
import signal
import subprocess
import sys
import time
from typing import NoReturn

from workties import StepFailed, Workty
from workties.sdk import Paused

#: Most of what the command writes to stdout that the output keeps, bytes: the end of it.
KEPT = 16 * 1024
#: Time between SIGTERM and SIGKILL for a command that takes too long, seconds.
GRACE = 10.0
#: What only the step's own program can use.
OWN_VARIABLES = ("WORKTY_EVENTS_FD", "WORKTY_CONTROL_FD")


class ShellCommand(Workty):
    """A pause waits for the command's end. An attempt that finds the command begun does not run it again unasked."""

    states = ("preparing", "running", "checking")

    def on_enter_preparing(self) -> None:
        if not self.properties["command"].strip():
            raise StepFailed("Property 'command' is empty. Set it to what the shell is to run")
        if self.properties["timeout"] < 0:
            raise StepFailed(f"Property 'timeout': expected seconds, 0 or more, got {self.properties['timeout']}")
        expect = self.properties["expect"]
        if not isinstance(expect, list) or not all(type(code) is int for code in expect):
            raise StepFailed(f"Property 'expect': expected a list of exit codes, e.g. [0, 1], got {expect!r}")
        _variables(self.properties["environment"])

    def on_enter_running(self) -> None:
        if self.memory.get("begun") and not self.properties["repeatable"]:
            raise StepFailed(
                "The command was cut short, so nobody knows how far it came. Look at what it did, then "
                "run the workflow again; with the property 'repeatable' it is run again by itself"
            )
        self._remember_that_it_begins()
        self.progress(0, "the command runs")
        command = Command(self.properties["command"], _variables(self.properties["environment"]))
        in_time = command.follow(self.properties["timeout"])
        self.output.update(exit_code=command.exit_code, stdout=command.stdout, stdout_cut=command.cut)
        if not in_time:
            self._fail(f"The command ran longer than {self.properties['timeout']:g} s and was ended")
        if command.stopped:
            self._refuse_unexpected()

    def on_enter_checking(self) -> None:
        try:
            self._refuse_unexpected()
        except StepFailed as error:
            self._fail(str(error), error.exit_code)
        self.progress(1, f"ended with exit code {self.output['exit_code']}")

    def _refuse_unexpected(self) -> None:
        code = self.output["exit_code"]
        if code not in self.properties["expect"]:
            expected = ", ".join(map(str, self.properties["expect"]))
            raise StepFailed(f"The command ended with exit code {code}; expected {expected}", exit_code=code)

    def _fail(self, problem: str, exit_code: int = 1) -> NoReturn:
        """Fail the step. The command has come to its end, so if the step is tried again it is run again."""
        self.state = "running"
        self.memory.pop("begun", None)
        self.output.clear()
        with contextlib.suppress(Paused):
            self.checkpoint()
        raise StepFailed(problem, exit_code=exit_code)

    def _remember_that_it_begins(self) -> None:
        self.memory["begun"] = True
        try:
            self.checkpoint()
        except Paused:  # it has not begun yet
            del self.memory["begun"]
            self.checkpoint()
        if not self.properties["repeatable"]:
            self.await_stored()


class Command:
    """A running command, in a process group of its own. SIGTERM is passed on to it.

    Attributes:
        stdout: the last `KEPT` bytes that it wrote there, as text.
        cut: whether it wrote more than that.
        stopped: whether the step was told to end while it ran.
    """

    def __init__(self, command: str, variables: dict[str, str]) -> None:
        self._written, self._size, self.stopped = b"", 0, False
        signal.signal(signal.SIGTERM, self._stop)
        inherited = {name: value for name, value in os.environ.items() if name not in OWN_VARIABLES}
        self._process = subprocess.Popen(
            ["/bin/sh", "-c", command],
            env=inherited | variables,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            process_group=0,
        )
        self._pipe = self._process.stdout.fileno()
        os.set_blocking(self._pipe, False)
        if self.stopped:  # before there was anything to stop
            self._signal(signal.SIGTERM)

    @property
    def exit_code(self) -> int:
        """As the shell counts: 128 and the signal's number for a command that a signal ended."""
        code = self._process.wait()
        return code if code >= 0 else 128 - code

    @property
    def stdout(self) -> str:
        return self._written.decode("utf-8", "replace")

    @property
    def cut(self) -> bool:
        return self._size > KEPT

    def follow(self, timeout: float) -> bool:
        """Pass on what it writes until it has ended; whether it did within `timeout` seconds (0: any time)."""
        began = time.monotonic()
        measures = [(began + timeout, signal.SIGTERM), (began + timeout + GRACE, signal.SIGKILL)] if timeout else []
        in_time = True
        ended = os.pidfd_open(self._process.pid)
        watched = [ended, self._pipe]
        while True:
            left = max(0.0, measures[0][0] - time.monotonic()) if measures else None
            ready = select.select(watched, [], [], left)[0]
            if ended in ready:
                break
            if self._pipe in ready and not self._pass_on():
                watched.remove(self._pipe)
            if measures and time.monotonic() >= measures[0][0]:
                in_time = False
                self._signal(measures.pop(0)[1])
        while self._pass_on():
            pass
        self._signal(signal.SIGKILL)  # what it left behind
        return in_time

    def _pass_on(self) -> bool:
        """Whether there was something to pass on."""
        try:
            data = os.read(self._pipe, 64 * 1024)
        except BlockingIOError:
            return False
        sys.stdout.buffer.write(data)
        sys.stdout.buffer.flush()
        self._written = (self._written + data)[-KEPT:]
        self._size += len(data)
        return bool(data)

    def _stop(self, *_: object) -> None:
        self.stopped = True
        if hasattr(self, "_process"):
            self._signal(signal.SIGTERM)

    def _signal(self, number: signal.Signals) -> None:
        # Its number stays its own until `exit_code` waits for it.
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self._process.pid, number)


def _variables(given: object) -> dict[str, str]:
    """The property `environment` as texts."""
    if not isinstance(given, dict):
        raise StepFailed("Property 'environment': expected an object of texts and numbers")
    for name, value in given.items():
        if "=" in name or not isinstance(value, str | int | float) or "\0" in f"{name}{value}":
            raise StepFailed(f"Property 'environment': {name!r} has no value that a variable can have")
    return {name: str(value) for name, value in given.items()}
