"""Reboots its board, and is complete when the board is back."""

import os
import subprocess
import time
from collections.abc import Sequence
from pathlib import Path
from typing import ClassVar

from workties import StepFailed, Workty

SYSTEMCTL = ["systemctl", "reboot"]
#: Seconds that the command may take; it only asks for the reboot.
COMMAND_SECONDS = 60
#: Seconds between two reports of progress.
TICK = 1.0


class RebootBoard(Workty):
    """Compares boots: the one that `asking` remembers with the one in which `rebooting` finds itself.

    The same boot again means that the reboot has not happened, whatever cut the step short, so it is asked for (again);
    another one, that it has. Nothing is asked before the board has stored which boot it is to end.
    """

    states = ("asking", "rebooting", "back")
    #: Where the system's files are.
    root: ClassVar[Path] = Path("/")
    #: Seconds that the board may take to store a checkpoint.
    store_seconds: ClassVar[float] = 30

    def on_resume(self, state: str) -> None:
        begun = self.memory.get("board", self.board)
        if begun != self.board:
            raise StepFailed(
                f"The step began on board '{begun}' and was moved to '{self.board}', which is not rebooted. See whether"
                f" '{begun}' came back, and run the workflow again"
            )

    def on_enter_asking(self) -> None:
        self.memory.update(board=self.board, boot=boot_identity(self.root), asked=time.time())

    def on_enter_rebooting(self) -> None:
        found = boot_identity(self.root)
        if found == self.memory["boot"]:
            self.await_stored(self.store_seconds)
            ask(words(self.properties["command"]))
            self.wait_for_the_end(float(self.properties["timeout"]))
        self.memory.update(boot_now=found, back=time.time())

    def on_enter_back(self) -> None:
        # A board without a clock of its own may come back with a time before that at which it went.
        away = max(0.0, self.memory["back"] - self.memory["asked"])
        self.output.update(
            seconds_away=round(away, 1), boot_before=self.memory["boot"], boot_after=self.memory["boot_now"]
        )
        self.progress(1, f"back after {away:.0f} s")

    def wait_for_the_end(self, timeout: float) -> None:
        """Wait for the reboot, which ends this program. Raises `StepFailed` if it does not come."""
        began = time.monotonic()
        while (waited := time.monotonic() - began) < timeout:
            self.progress(0.5, f"asked to reboot {waited:.0f} s ago")
            self.wait(min(TICK, timeout - waited))
        raise StepFailed(
            f"Board '{self.board}' was asked to reboot and still runs {timeout:g} s later. See its system log for what"
            " holds it up"
        )


def boot_identity(root: Path) -> str:
    """What tells this boot from others: the kernel's id of it, and when the first process started.

    In a container the kernel is that of the machine around it, so that only the first process tells a restart.
    """
    boot = (root / "proc/sys/kernel/random/boot_id").read_text().strip()
    try:
        started = (root / "proc/1/stat").read_text().rpartition(")")[2].split()[19]
    except OSError:  # hidden from us, as it then is in each boot
        started = "unknown"
    return f"{boot}/{started}"


def words(command: object) -> list[str]:
    """The property `command`, checked; what comes by default is run as root."""
    if not isinstance(command, list) or not command or not all(isinstance(word, str) for word in command):
        raise StepFailed(f"Property 'command': expected a list of words, got {command!r}")
    return ["sudo", "-n", *command] if command == SYSTEMCTL and os.geteuid() != 0 else command


def ask(command: Sequence[str]) -> None:
    """Run the command. Raises `StepFailed` if it says no."""
    shown = " ".join(command)
    try:
        done = subprocess.run(
            command, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=COMMAND_SECONDS, check=False
        )
    except OSError as error:
        raise StepFailed(f"'{shown}' cannot be run: {error.strerror}") from error
    except subprocess.TimeoutExpired:
        return  # it may wait for the reboot
    # One that was ended by a signal may have been ended by the reboot.
    if done.returncode > 0:
        said = (done.stderr or done.stdout).strip().splitlines() or ["no reason given"]
        raise StepFailed(f"'{shown}' failed with exit code {done.returncode}: {said[-1]}")
