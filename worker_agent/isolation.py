"""How the steps of one board are kept apart from it and from each other: puts settings, what a step asks for, and its
slot together to a launch, and starts it.
"""

from __future__ import annotations

import logging
import os
import shutil
import sys
import tempfile
from dataclasses import replace
from pathlib import Path

from worker_agent import kernel, sandbox
from worker_agent.accounts import Account, Accounts, barrier
from worker_agent.errors import NoGuardian, NotIsolated, StepNotStarted
from worker_agent.process import START_SECONDS, Launch, StepProcess, library_folder, tasks_of_account
from worker_agent.settings import IsolationSettings
from worker_agent.warm import WarmStart
from workties.errors import BadPackage
from workties.messages import Access, Limits

logger = logging.getLogger(__name__)

#: Processes of the sandbox itself, which count where accounts are counted for each sandbox.
_SANDBOX_TASKS = 4


class Isolation:
    """The rules of one board for its steps; to be closed.

    Under the account that steps have too, the memory of this process becomes unreadable for others.

    Args:
        settings: what steps may do.
        slots: how many run at the same time.
        directory: where each step gets a directory of its own.
        warm: forks guardians; not closed here.
        start_seconds: how long a guardian may take to be there.

    Raises:
        NotIsolated: steps cannot run as the settings say.
    """

    def __init__(
        self,
        settings: IsolationSettings,
        slots: int,
        directory: Path,
        warm: WarmStart,
        *,
        start_seconds: float = START_SECONDS,
    ) -> None:
        self._settings, self._directory, self._warm = settings, directory, warm
        self._start_seconds = start_seconds
        directory.mkdir(parents=True, exist_ok=True)
        directory.chmod(0o711)  # accounts of steps pass, but do not see each other
        self._accounts = Accounts(settings.step_account, slots)
        try:
            self._host = None if settings.sandbox == "none" else self._find_sandbox()
            if self._host is None:
                self._refuse_barriers()
        except BaseException:
            self._accounts.close()
            raise
        self._tasks_before = self._count_tasks()
        if self.account(0) == os.getuid() != 0:
            kernel.set_dumpable(False)  # steps of the same account must not read what this process knows
        logger.info("Steps run %s, %s", self._words_for_sandbox(), self._words_for_account())

    def refuse(self, name: str, access: Access) -> None:
        """Nothing, if the workty `name` may have what it cannot do without. Raises `BadPackage` if not."""
        if access.host and not self._settings.step_host:
            raise BadPackage(
                f"The workty '{name}' asks for the board itself (access.host), which this board does not grant. Set"
                " WORKTY_STEP_HOST=true for its agent, or run it on a board that does"
            )

    def confine(self, launch: Launch, slot: int, access: Access) -> Launch:
        """`launch` with what a step of this slot that asks for `access` may do. Hands its directory over to it."""
        account = Account() if access.host else self._accounts.of(slot)
        _hand_over(launch, account)
        if access.host:
            return replace(launch, privileged=True, tasks_before=self._tasks_before)
        launch = replace(launch, account=account.number, own_account=account.own)
        if self._host is None:
            return replace(launch, tasks_before=self._tasks_before)
        return replace(
            launch,
            sandbox=self._command(self._host, launch, access),
            tasks_before=0 if self._host.root else _SANDBOX_TASKS,
        )

    def start(self, launch: Launch) -> StepProcess:
        """Start a step, from the warm interpreter if that works. Raises as `StepProcess` does."""
        try:
            return StepProcess(launch, self._warm, self._start_seconds)
        except NoGuardian as error:
            logger.warning("%s; trying without a warm interpreter", error)
            self._warm.discard()
        return StepProcess(launch)

    def account(self, slot: int) -> int:
        """The number of the account under which the steps of a slot run."""
        number = self._accounts.of(slot).number
        return os.getuid() if number is None else number

    def close(self) -> None:
        """No step runs any more."""
        self._accounts.close()

    def _command(self, host: sandbox.Host, launch: Launch, access: Access) -> tuple[str, ...]:
        view = sandbox.View(
            directory=launch.home.parent,
            network=access.network and self._settings.step_network,
            shared=self._settings.step_shared if access.shared else (),
            devices=self._settings.step_devices if access.devices else (),
        )
        return sandbox.command(host, view)

    def _find_sandbox(self) -> sandbox.Host | None:
        bwrap = shutil.which("bwrap")
        if bwrap is None:
            problem = "there is no program bwrap"
        else:
            self._host = sandbox.look_at_host(bwrap, self._directory.parent / "etc")
            try:
                self._try_out()
                return self._host
            except (OSError, StepNotStarted) as error:
                problem = str(error)
        if self._settings.sandbox == "bwrap":
            raise NotIsolated(
                f"WORKTY_SANDBOX is bwrap, but it does not work here: {problem}. Install bubblewrap, or set it to none"
            )
        logger.warning("Steps run without a sandbox: %s. docs/isolation.md says what that means", problem)
        return None

    def _try_out(self) -> None:
        """Run a program that does nothing as a step would run. Raises `OSError` if it does not."""
        with tempfile.TemporaryDirectory(dir=self._directory) as name:
            directory = Path(name)
            for folder in ("package", "home"):
                (directory / folder).mkdir()
            (directory / "input.json").touch()
            launch = Launch(
                command=(sys.executable, "-S", "-c", ""),
                package=directory / "package",
                home=directory / "home",
                input_file=directory / "input.json",
                limits=Limits(),
            )
            process = StepProcess(self.confine(launch, 0, Access()))
            try:
                found = process.reap()
                if found.return_code:
                    raise OSError(f"a program ended with {found.return_code} in it: {_read(process.stderr)}")
            finally:
                process.close()

    def _refuse_barriers(self) -> None:
        account = self._accounts.of(0).number
        if account is None:
            return
        paths = (self._directory, Path(sys.prefix), Path(sys.base_prefix), library_folder() / "workties")
        found = barrier(account, (path.resolve() for path in paths))
        if found:
            folder, path = found
            raise NotIsolated(
                f"Steps run under account {account}, which may not enter {folder} on the way to {path}. Let it (chmod"
                f" o+x {folder}), install bubblewrap, move what is there, or set WORKTY_STEP_ACCOUNT to another account"
                " (root gives every workty this board)"
            )

    def _count_tasks(self) -> int:
        return 0 if self._accounts.of(0).own else tasks_of_account(self.account(0))

    def _words_for_sandbox(self) -> str:
        return "in bubblewrap" if self._host else "without a sandbox"

    def _words_for_account(self) -> str:
        own = self._accounts.of(0).own
        return "each slot's under an account of its own" if own else f"under account {self.account(0)}"


def _hand_over(launch: Launch, account: Account) -> None:
    """Make the home the account's own; it can read, but not change, the rest."""
    directory = launch.home.parent
    launch.home.chmod(0o700)
    launch.package.chmod(0o755)
    launch.input_file.chmod(0o644)
    directory.chmod(0o750)
    if account.number is not None:
        os.chown(directory, -1, account.number)
        os.chown(launch.home, account.number, account.number)


def _read(fd: int) -> str:
    try:
        return os.read(fd, 2000).decode("utf-8", "replace")
    except BlockingIOError:
        return ""
