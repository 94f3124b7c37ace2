"""Shows which Debian packages of its board can be updated, and updates them if asked to."""

import contextlib
import os
import platform
import signal
import subprocess
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import ClassVar

import aptget

from workties import StepFailed, Workty

#: Seconds between two tries while another program uses apt.
RETRY = 2.0
#: Packages that the output names; `count` counts all.
MAX_SHOWN = 500


class PackageUpdate(Workty):
    """Plans by a simulation, and installs by the same command without it."""

    states = ("refreshing", "planning", "installing", "checking")
    transitions = ({"trigger": "nothing_to_install", "source": "planning", "dest": "checking"},)
    #: Where the system's files are.
    root: ClassVar[Path] = Path("/")

    cut_short = False

    def on_resume(self, state: str) -> None:
        self.cut_short = state == "installing"

    def on_enter_refreshing(self) -> None:
        if self.properties["refresh"]:
            self.progress(0.0, "reading the lists of packages")
            self.execute_as_root(self.apt(["update"]))

    def on_enter_planning(self) -> str | None:
        self.progress(0.1, "looking for updates")
        action, lines = self.plan()
        packages = aptget.planned(lines)
        self.memory["action"] = action
        self.output.update(
            packages=packages[:MAX_SHOWN], count=len(packages), held_back=aptget.held_back(lines), applied=False
        )
        for each in packages:
            self.log(f"{each['name']}: {each['from'] or 'new'} -> {each['to']}")
        return None if packages and self.properties["apply"] else "nothing_to_install"

    def on_enter_installing(self) -> None:
        with until_done():
            if self.cut_short:
                self.progress(0.2, "finishing what was cut short")
                self.execute_as_root(aptget.CONFIGURE)
                self.execute_as_root(self.apt(["--fix-broken", "install"]))
            self.execute_as_root(self.apt(self.memory["action"], "-o", "APT::Status-Fd=1"))
        self.output["applied"] = True

    def on_enter_checking(self) -> None:
        if self.output["applied"]:
            self.output["remaining"] = len(aptget.planned(self.simulate(self.memory["action"])))
        self.output["reboot_required"] = reboot_required(self.root, platform.release())
        self.progress(1, f"{self.output['count']} {'updated' if self.output['applied'] else 'can be updated'}")

    def plan(self) -> tuple[list[str], list[str]]:
        """The action that updates what is wanted, and what its simulation says."""
        only = self.properties["only"]
        if not isinstance(only, list) or not all(isinstance(name, str) and name for name in only):
            raise StepFailed(f"Property 'only': expected a list of names of packages, got {only!r}")
        action = aptget.upgrade(only)
        lines = self.simulate(action)
        if not self.properties["security"]:
            return action, lines
        names = [each["name"] for each in aptget.planned(lines) if each["security"]]
        action = aptget.upgrade(names)
        return action, self.simulate(action) if names else []

    def apt(self, action: Sequence[str], *options: str) -> list[str]:
        return aptget.command(action, *options, lock_timeout=self.properties["lock_timeout"])

    def simulate(self, action: Sequence[str]) -> list[str]:
        """What the action would do; nothing is changed, and root is not needed."""
        return self.execute(self.apt(action, "--simulate"))

    def execute_as_root(self, command: Sequence[str]) -> None:
        self.execute(aptget.as_root(command, os.geteuid()))

    def execute(self, command: Sequence[str]) -> list[str]:
        """Run a command, again while another program uses apt; its lines.

        Raises:
            StepFailed: it failed.
        """
        give_up = time.monotonic() + self.properties["lock_timeout"]
        while True:
            code, lines = self.execute_once(command)
            self.log("\n".join(line for line in lines if line.startswith(("W:", "E:"))))
            if code == 0:
                return lines
            if not aptget.is_locked(lines) or time.monotonic() >= give_up:
                raise StepFailed(f"'{' '.join(command)}' failed with exit code {code}: {aptget.reason(lines)}")
            self.log("Another program uses apt; waiting for it")
            self.wait(RETRY)

    def execute_once(self, command: Sequence[str]) -> tuple[int, list[str]]:
        """Exit code and lines of a command; how far it is becomes progress.

        It gets a session of its own, so that who ends this program leaves it the time to end well.
        """
        lines = []
        with begin(command) as process:
            for line in process.stdout or ():
                if found := aptget.progress(line.rstrip()):
                    self.progress(0.2 + 0.7 * found[0], found[1])
                else:
                    lines.append(line.rstrip())
        return process.returncode, lines


def begin(command: Sequence[str]) -> subprocess.Popen[str]:
    """Start a command that asks nothing. Raises `StepFailed` if there is none."""
    try:
        return subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
            env=aptget.environment(os.environ),
            start_new_session=True,
        )
    except OSError as error:
        raise StepFailed(f"'{command[0]}' cannot be run: {error.strerror}. This needs a Debian system") from error


@contextlib.contextmanager
def until_done() -> Iterator[None]:
    """Inside, a request to end is not followed: half an installation is worse than a late end."""
    before = signal.signal(signal.SIGTERM, lambda *_: None)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def reboot_required(root: Path, kernel: str) -> bool:
    """Whether an update is used only after a reboot: a package says so, or the kernel that runs was removed."""
    modules = root / "lib/modules"
    replaced = modules.is_dir() and any(modules.iterdir()) and not (modules / kernel).exists()
    return replaced or (root / "run/reboot-required").exists()
