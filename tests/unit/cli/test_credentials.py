"""Where the login is kept, and which server and token a command uses."""

from __future__ import annotations

import json
import stat
from datetime import UTC, datetime
from pathlib import Path

import pytest

from api.cli.credentials import DEFAULT_URL, Login, LoginFile, choose
from api.client import BadUse

NOW = datetime(2026, 1, 2, tzinfo=UTC)
KEPT = Login("https://workty.example", "a-token", "a" * 24, "2026-01-02T00:00:01+00:00")


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def test_a_login_is_kept_for_its_user_alone(tmp_path: Path) -> None:
    file = LoginFile({"XDG_CONFIG_HOME": str(tmp_path / "config")})
    assert file.read() is None
    file.write(KEPT)
    assert file.path == tmp_path / "config" / "workty" / "login.json"
    assert (mode(file.path), mode(file.path.parent)) == (0o600, 0o700)
    assert [entry.name for entry in file.path.parent.iterdir()] == ["login.json"]
    assert file.read() == KEPT
    file.remove()
    file.remove()
    assert file.read() is None


def test_a_directory_that_others_may_read_is_closed(tmp_path: Path) -> None:
    (tmp_path / "workty").mkdir(mode=0o755)
    file = LoginFile({"XDG_CONFIG_HOME": str(tmp_path)})
    file.write(KEPT)
    file.write(Login(KEPT.url, "another"))
    assert mode(file.path.parent) == 0o700
    assert json.loads(file.path.read_text())["token"] == "another"


@pytest.mark.parametrize("environ", [{}, {"XDG_CONFIG_HOME": ""}, {"XDG_CONFIG_HOME": "relative"}])
def test_without_a_usable_configuration_directory_it_is_below_home(tmp_path: Path, environ: dict[str, str]) -> None:
    assert LoginFile({"HOME": str(tmp_path), **environ}).path == tmp_path / ".config" / "workty" / "login.json"


@pytest.mark.parametrize("content", ["", "{}", "[]", "null", '{"url": "x"}', "\xff"])
def test_a_damaged_file_is_told_with_what_to_do(tmp_path: Path, content: str) -> None:
    file = LoginFile({"XDG_CONFIG_HOME": str(tmp_path)})
    file.path.parent.mkdir()
    file.path.write_text(content, encoding="latin-1")
    with pytest.raises(BadUse, match=r"login\.json cannot be used: .*Log in again: workty login"):
        file.read()


def test_a_place_that_cannot_be_written_is_told(tmp_path: Path) -> None:
    (tmp_path / "workty").write_text("a file")
    with pytest.raises(BadUse, match="cannot be written"):
        LoginFile({"XDG_CONFIG_HOME": str(tmp_path)}).write(KEPT)


def test_the_environment_wins_over_the_file() -> None:
    environ = {"WORKTY_URL": "http://other:1/", "WORKTY_TOKEN": "t"}
    assert choose(environ, KEPT, NOW) == Login("http://other:1", "t")
    assert choose({**environ, "WORKTY_ACCOUNT_ID": "b" * 24}, KEPT, NOW).account_id == "b" * 24
    assert choose({"WORKTY_TOKEN": "t"}, KEPT, NOW) == Login(KEPT.url, "t")
    assert choose({"WORKTY_TOKEN": "t"}, None, NOW) == Login(DEFAULT_URL, "t")
    assert choose({"WORKTY_TOKEN": KEPT.token}, KEPT, NOW).account_id == KEPT.account_id


def test_a_kept_token_goes_only_to_the_server_that_gave_it() -> None:
    assert choose({"WORKTY_URL": "https://workty.example/api/v1/"}, KEPT, NOW) == KEPT
    with pytest.raises(BadUse, match=r"Not logged in at http://other\. Log in: workty login http://other"):
        choose({"WORKTY_URL": "http://other"}, KEPT, NOW)


def test_without_a_login_and_after_its_end_it_says_how_to_log_in() -> None:
    with pytest.raises(BadUse, match=f"Not logged in at {DEFAULT_URL}"):
        choose({}, None, NOW)
    with pytest.raises(BadUse, match=r"has ended\. Log in again: workty login https://workty.example"):
        choose({}, Login(KEPT.url, "t", "", "2026-01-02T00:00:00+00:00"), NOW)
    assert choose({}, Login(KEPT.url, "t"), NOW).token == "t"
