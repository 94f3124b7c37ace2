"""Where settings come from, and what is said about wrong ones."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from worker_agent.errors import BadSettings
from worker_agent.settings import IsolationSettings, load

NEEDED = {
    "WORKTY_AMQP_URL": "amqp://board-01:secret@broker/fleet",
    "WORKTY_BOARD_ID": "board-01",
    "WORKTY_SERVER_URL": "https://workty.example/",
}


def problems(environ: dict[str, str]) -> tuple[str, ...]:
    with pytest.raises(BadSettings) as raised:
        load(environ)
    return raised.value.problems


def test_a_board_needs_three_settings_and_has_defaults_for_the_rest() -> None:
    settings = load(NEEDED)
    assert (settings.board_id, settings.server_url) == ("board-01", "https://workty.example")
    assert settings.slots >= 1
    assert (settings.heartbeat_seconds, settings.labels) == (3.0, ())


def test_every_missing_setting_is_named_with_what_to_do() -> None:
    found = problems({})
    assert len(found) == 3
    assert found[1] == "WORKTY_BOARD_ID is not set. `workty board add NAME` on the server prints it."


def test_values_are_read_from_a_file_and_the_environment_wins(tmp_path: Path) -> None:
    path = tmp_path / "agent.toml"
    path.write_text('board_id = "from-file"\nslots = 3\nlabels = ["camera", "gps"]\nheartbeat_seconds = 1\n')
    settings = load({**NEEDED, "WORKTY_CONFIG": str(path), "WORKTY_LABELS": "usb, "})
    assert (settings.board_id, settings.slots, settings.labels) == ("board-01", 3, ("usb",))
    assert settings.heartbeat_seconds == 1.0


@pytest.mark.parametrize("text", [None, "slots = ["])
def test_a_file_that_cannot_be_read_is_a_problem(tmp_path: Path, text: str | None) -> None:
    path = tmp_path / "agent.toml"
    if text is not None:
        path.write_text(text)
    assert str(path) in problems({**NEEDED, "WORKTY_CONFIG": str(path)})[0]


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("WORKTY_SLOTS", "many"),
        ("WORKTY_SLOTS", "0"),
        ("WORKTY_AMQP_URL", "amqp://"),
        ("WORKTY_AMQP_URL", "amqp://broker:port/fleet"),
        ("WORKTY_AMQP_URL", "amqp://[::1"),
        ("WORKTY_HEARTBEAT_SECONDS", "60"),
        ("WORKTY_BOARD_ID", "a.b"),
        ("WORKTY_SERVER_URL", "workty.example"),
        ("WORKTY_CA_FILE", "/nowhere/ca.pem"),
    ],
)
def test_a_wrong_value_is_named(name: str, value: str) -> None:
    assert problems({**NEEDED, name: value})[0].startswith(f"{name}: ")


def test_the_password_is_never_shown() -> None:
    assert "secret" not in repr(load(NEEDED))
    assert "secret" not in str(problems({**NEEDED, "WORKTY_AMQP_URL": "redis://me:secret@host"}))


def test_steps_are_kept_apart_unless_settings_say_otherwise(tmp_path: Path) -> None:
    assert load(NEEDED).isolation == IsolationSettings()
    wanted = {
        "WORKTY_SANDBOX": "bwrap",
        "WORKTY_STEP_ACCOUNT": str(os.getuid()),
        "WORKTY_STEP_NETWORK": "false",
        "WORKTY_STEP_SHARED": f"{tmp_path}, /usr",
        "WORKTY_STEP_DEVICES": "/dev/null",
        "WORKTY_STEP_HOST": "1",
    }
    assert load({**NEEDED, **wanted}).isolation == IsolationSettings(
        sandbox="bwrap",
        step_account=os.getuid(),
        step_network=False,
        step_shared=(tmp_path, Path("/usr")),
        step_devices=(Path("/dev/null"),),
        step_host=True,
    )


@pytest.mark.parametrize(
    ("name", "value", "words"),
    [
        ("SANDBOX", "docker", "expected one of auto, bwrap, none"),
        ("STEP_ACCOUNT", "nobody-at-all", "there is no account 'nobody-at-all'; make it"),
        ("STEP_NETWORK", "perhaps", "expected true or false"),
        ("STEP_SHARED", "relative", "there is no folder relative"),
        ("STEP_SHARED", "/", "there is no folder /"),
        ("STEP_DEVICES", "/etc/passwd", "there is no device /etc/passwd"),
    ],
)
def test_a_wrong_value_about_steps_is_named_with_what_is_expected(name: str, value: str, words: str) -> None:
    (found,) = problems({**NEEDED, f"WORKTY_{name}": value})
    assert found.startswith(f"WORKTY_{name}: ")
    assert words in found
