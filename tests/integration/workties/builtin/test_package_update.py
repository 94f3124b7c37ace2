"""package-update: what it plans, what it installs, and how it goes on after an interruption."""

from __future__ import annotations

import os
import signal
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.integration.workties.builtin.loading import FOLDER, module_of, program_with, properties_of
from workties.messages import Checkpoint
from workties.protocol import Line, LogText, OutputLine, ProgressLine

Start = Callable[..., Any]
States = Callable[[list[Line]], list[str]]

SIMULATION = """\
Reading package lists...
The following packages have been kept back:
  linux-image-rpi-v8 mesa-libs
  wolfssl
The following packages will be upgraded:
  bash openssl
2 upgraded, 1 newly installed, 0 to remove and 3 not upgraded.
Inst bash [5.2.15-2] (5.2.15-3 Debian:12.15/stable [arm64])
Inst openssl [3.0.11-1] (3.0.14-1 Debian-Security:12/stable-security [arm64]) []
Inst libnew1:armhf (1.0 Debian:12.15/stable [armhf])
Conf bash (5.2.15-3 Debian:12.15/stable [arm64])
"""
PACKAGES = [
    {"name": "bash", "from": "5.2.15-2", "to": "5.2.15-3", "security": False},
    {"name": "openssl", "from": "3.0.11-1", "to": "3.0.14-1", "security": True},
    {"name": "libnew1:armhf", "from": None, "to": "1.0", "security": False},
]
#: Notes its arguments and does what the file named after its action says, once, if there is one.
APT = """#!/bin/sh
echo "${{0##*/}} $* ($DEBIAN_FRONTEND $LC_ALL)" >>{folder}/ran
for action in simulate update upgrade install configure; do
    case " $* " in *"$action "*)
        if [ -e {folder}/$action ]; then mv {folder}/$action {folder}/done; . {folder}/done; fi
        [ $action = simulate ] && cat {folder}/plan
        exit 0
    esac
done
"""
SUDO = """#!/bin/sh
[ "$1" = -n ] || exit 1
shift
exec env "$@"
"""


class Debian:
    """apt-get, dpkg and sudo that change nothing and note with which arguments they were run."""

    def __init__(self, folder: Path) -> None:
        self.root, self._folder = folder / "root", folder
        self.root.mkdir()
        self.plans(SIMULATION)
        for name, code in {"apt-get": APT, "dpkg": APT, "sudo": SUDO}.items():
            (folder / name).write_text(code.format(folder=folder) if code is APT else code)
            (folder / name).chmod(0o755)

    def plans(self, text: str) -> None:
        (self._folder / "plan").write_text(text)

    def does(self, action: str, code: str) -> None:
        """The next time that it is run for `action` it does what `code` (sh) says."""
        (self._folder / action).write_text(code)

    def ran(self) -> list[str]:
        """What was run, without the options that are always there."""
        text = (self._folder / "ran").read_text()
        for known in (
            " -q -y",
            " -o DPkg::Lock::Timeout=300",
            " -o Dpkg::Options::=--force-confdef -o Dpkg::Options::=--force-confold",
            " (noninteractive C)",
        ):
            text = text.replace(known, "")
        return text.splitlines()

    def program(self) -> str:
        return program_with("package-update", "PackageUpdate", root=self.root)


@pytest.fixture
def debian(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Debian:
    folder = tmp_path / "debian"
    folder.mkdir()
    monkeypatch.setenv("PATH", f"{folder}:{os.environ['PATH']}")
    return Debian(folder)


def given(**properties: Any) -> dict[str, Any]:
    return properties_of("package-update", **properties)


def run(start: Start, debian: Debian, checkpoint: Checkpoint | None = None, **properties: Any) -> list[Line]:
    program = start(debian.program(), checkpoint=checkpoint, **given(**properties))
    lines: list[Line] = program.lines()
    assert program.end() == (0, "", "")
    return lines


def test_without_apply_it_only_says_what_could_be_updated(start: Start, debian: Debian, states: States) -> None:
    lines = run(start, debian)
    assert states(lines) == ["refreshing", "planning", "checking"]
    assert debian.ran() == ["apt-get update", "apt-get --simulate upgrade --with-new-pkgs"]
    expected = {
        "packages": PACKAGES,
        "count": 3,
        "held_back": ["linux-image-rpi-v8", "mesa-libs", "wolfssl"],
        "applied": False,
        "reboot_required": False,
    }
    assert lines[-1] == OutputLine(expected)
    assert LogText("bash: 5.2.15-2 -> 5.2.15-3") in lines
    assert LogText("libnew1:armhf: new -> 1.0") in lines


def test_with_apply_it_installs_what_it_showed_and_counts_what_is_left(
    start: Start, debian: Debian, states: States
) -> None:
    debian.does("upgrade", f"echo pmstatus:bash:40.0:Preparing bash; : >{debian._folder}/plan")
    debian.does("simulate", f"cat {debian._folder}/plan; exit 0")
    lines = run(start, debian, apply=True, refresh=False)
    assert states(lines) == ["refreshing", "planning", "installing", "checking"]
    assert debian.ran() == [
        "apt-get --simulate upgrade --with-new-pkgs",
        "apt-get -o APT::Status-Fd=1 upgrade --with-new-pkgs",
        "apt-get --simulate upgrade --with-new-pkgs",
    ]
    assert ProgressLine(pytest.approx(0.48), "Preparing bash") in lines
    assert lines[-1].output["applied"] is True
    assert lines[-1].output["remaining"] == 0


def test_nothing_to_install_is_nothing_to_do(start: Start, debian: Debian, states: States) -> None:
    debian.plans("0 upgraded, 0 newly installed, 0 to remove and 0 not upgraded.\n")
    assert states(run(start, debian, apply=True)) == ["refreshing", "planning", "checking"]


@pytest.mark.parametrize(
    ("properties", "action"),
    [
        ({"only": ["openssl", "bash"]}, "install --only-upgrade --no-remove -- bash openssl"),
        ({"security": True}, "install --only-upgrade --no-remove -- openssl"),
        ({}, "upgrade --with-new-pkgs"),
    ],
)
def test_what_is_wanted_is_simulated_before_it_is_installed(
    start: Start, debian: Debian, properties: dict[str, Any], action: str
) -> None:
    run(start, debian, apply=True, refresh=False, **properties)
    simulated, installed, _ = debian.ran()[-3:]
    assert simulated == f"apt-get --simulate {action}"
    assert installed == f"apt-get -o APT::Status-Fd=1 {action}"


def test_without_security_updates_nothing_is_installed(start: Start, debian: Debian) -> None:
    debian.plans(SIMULATION.replace("Security", "Other").replace("-security", ""))
    output = run(start, debian, apply=True, security=True)[-1].output
    assert (output["count"], output["applied"]) == (0, False)


def test_an_installation_that_was_cut_short_is_mended_first(start: Start, debian: Debian) -> None:
    memory = {"action": ["upgrade", "--with-new-pkgs"], "_output": {"count": 3, "applied": False}}
    run(start, debian, Checkpoint("installing", memory), apply=True)
    assert debian.ran()[:3] == [
        "dpkg --force-confdef --force-confold --configure -a",
        "apt-get --fix-broken install",
        "apt-get -o APT::Status-Fd=1 upgrade --with-new-pkgs",
    ]


def test_an_installation_is_not_ended_by_a_request_to_end(start: Start, debian: Debian) -> None:
    debian.does("upgrade", f"echo pmstatus:bash:10.0:go; read _ <{debian._folder}/go")
    os.mkfifo(debian._folder / "go")
    program = start(debian.program(), **given(apply=True, refresh=False))
    program.until(lambda line: line == ProgressLine(pytest.approx(0.27), "go"))
    program.process.send_signal(signal.SIGTERM)
    (debian._folder / "go").write_text("on\n")
    assert program.lines()[-1].output["applied"] is True
    assert program.end() == (0, "", "")


@pytest.mark.parametrize(
    "said",
    [
        "E: Could not get lock /var/lib/apt/lists/lock. It is held by process 812 (apt-get)",
        "dpkg: error: dpkg frontend lock was locked by another process with pid 812",
    ],
)
def test_another_program_that_uses_apt_is_waited_for(start: Start, debian: Debian, said: str) -> None:
    debian.does("update", f"echo '{said}'; exit 100")
    code = debian.program().replace("class Tested", "main.RETRY = 0.01\nclass Tested")
    lines = start(code, **given()).lines()
    assert LogText("Another program uses apt; waiting for it") in lines
    assert debian.ran()[:2] == ["apt-get update", "apt-get update"]
    assert lines[-1].output["count"] == 3


@pytest.mark.parametrize("said", ["E: Could not get lock /var/lib/apt/lists/lock.", "E: The disk is full"])
def test_what_apt_says_is_why_the_step_fails(start: Start, debian: Debian, said: str) -> None:
    debian.does("update", f"echo '{said}'; exit 100")
    program = start(debian.program(), **given(lock_timeout=0))
    assert LogText(said) in program.lines()
    code, _, stderr = program.end()
    assert code == 1
    assert "update' failed with exit code 100: " + said in stderr


def test_a_system_without_apt_is_told_so(start: Start, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    program = start(program_with("package-update", "PackageUpdate"), **given(refresh=False))
    program.lines()
    assert "'apt-get' cannot be run: No such file or directory. This needs a Debian system" in program.end()[2]


@pytest.mark.parametrize("only", ["bash", [1], [""]])
def test_a_property_that_lists_no_packages_is_explained(start: Start, debian: Debian, only: Any) -> None:
    program = start(debian.program(), **given(only=only))
    program.lines()
    assert "Property 'only': expected a list of names of packages, got " + repr(only) in program.end()[2]


def test_whoever_is_not_root_asks_sudo_which_asks_nothing() -> None:
    aptget = module_of("package-update", "aptget.py")
    assert aptget.as_root(["apt-get", "update"], 0) == ["apt-get", "update"]
    expected = ["sudo", "-n", "DEBIAN_FRONTEND=noninteractive", "apt-get", "update"]
    assert aptget.as_root(["apt-get", "update"], 1000) == expected


@pytest.mark.parametrize(
    ("files", "required"),
    [
        ([], False),
        (["run/reboot-required"], True),
        (["lib/modules/6.1-running/kernel"], False),
        (["lib/modules/6.6-new/kernel"], True),
        (["lib/modules/6.6-new/kernel", "lib/modules/6.1-running/kernel"], False),
    ],
)
def test_a_reboot_is_required_for_a_new_kernel_or_if_a_package_says_so(
    files: list[str], required: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in files:
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    monkeypatch.syspath_prepend(str(FOLDER / "package-update"))
    assert module_of("package-update").reboot_required(tmp_path, "6.1-running") is required


@pytest.mark.parametrize("line", ["pmstatus:bash", "pmstatus:bash:x:y", "Setting up bash:armhf: 3:1 ...", ""])
def test_lines_that_tell_no_progress_are_lines_as_others(line: str) -> None:
    assert module_of("package-update", "aptget.py").progress(line) is None


def test_a_dry_run_on_this_machine_changes_nothing(start: Start) -> None:
    def installed() -> bytes:
        query = ["dpkg-query", "--show", "--showformat=${Package} ${Version} ${Status}\n"]
        return subprocess.run(query, capture_output=True, check=True).stdout

    before = installed()
    program = start(FOLDER / "package-update" / "main.py", **given(refresh=False))
    output = program.lines()[-1].output
    assert program.end() == (0, "", "")
    assert output["applied"] is False
    assert all(set(each) == {"name", "from", "to", "security"} for each in output["packages"])
    assert installed() == before
