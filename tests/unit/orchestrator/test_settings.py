"""Settings come from environment and file, and whatever is wrong with them is said in one line each."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from orchestrator.errors import BadSettings
from orchestrator.settings import BOTH_URLS, MAX_FILE_BYTES, RULES, ServerSettings, load

AMQP = "amqp://workty:hidden@broker:5672/workty"
MONGO = "mongodb://workty:hidden@db1:27017,db2:27017/workty?replicaSet=rs0"


def config(directory: Path, text: str) -> dict[str, str]:
    path = directory / "workty.toml"
    path.write_text(text)
    return {"WORKTY_CONFIG": str(path)}


def test_without_anything_set_the_defaults_hold() -> None:
    assert load({}) == ServerSettings()
    assert load({}).public_url == "http://127.0.0.1:9999"


def test_every_setting_has_a_rule_and_its_example_is_valid() -> None:
    settings = load({f"WORKTY_{name.upper()}": rule.example for name, rule in RULES.items()})
    assert settings.redacted().keys() == RULES.keys()


def test_the_environment_wins_over_the_file(tmp_path: Path) -> None:
    environ = config(tmp_path, 'host = "10.0.0.5"\nport = 80\nlost_after_seconds = 2.5\n')
    settings = load({**environ, "WORKTY_PORT": "8080"})
    assert (settings.host, settings.port, settings.lost_after_seconds) == ("10.0.0.5", 8080, 2.5)


def test_an_empty_value_counts_as_unset(tmp_path: Path) -> None:
    environ = config(tmp_path, 'admin_password = "from the file"')
    assert load({**environ, "WORKTY_ADMIN_PASSWORD": "", "WORKTY_PORT": ""}).admin_password == "from the file"
    assert load(config(tmp_path, 'admin_password = ""')).admin_password is None


def test_variables_of_boards_and_other_programs_do_not_matter() -> None:
    assert load({"WORKTY_BOARD_ID": "b", "PATH": "/bin"}) == ServerSettings()


def test_both_urls_can_be_required() -> None:
    settings = load({"WORKTY_AMQP_URL": AMQP, "WORKTY_MONGO_URL": MONGO}, required=BOTH_URLS)
    assert (settings.amqp_url, settings.mongo_url) == (AMQP, MONGO)
    with pytest.raises(BadSettings) as caught:
        load({}, required=BOTH_URLS)
    assert [problem.split(" e.g. ")[0] for problem in caught.value.problems] == [
        "WORKTY_AMQP_URL is not set. Set it,",
        "WORKTY_MONGO_URL is not set. Set it,",
    ]


@pytest.mark.parametrize(
    ("host", "expected"), [("192.168.1.2", "http://192.168.1.2:80"), ("fd00::1", "http://[fd00::1]:80")]
)
def test_the_public_url_follows_host_and_port(host: str, expected: str) -> None:
    assert load({"WORKTY_HOST": host, "WORKTY_PORT": "80"}).public_url == expected


@pytest.mark.parametrize("host", ["0.0.0.0", "::"])
def test_listening_everywhere_needs_a_public_url(host: str) -> None:
    with pytest.raises(BadSettings, match=r"WORKTY_PUBLIC_URL=http://server\.example:9999"):
        load({"WORKTY_HOST": host})
    assert load({"WORKTY_HOST": host, "WORKTY_PUBLIC_URL": "https://w.example/"}).public_url == "https://w.example"


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("WORKTY_AMQP_URL", "redis://broker"),
        ("WORKTY_AMQP_URL", "amqp://"),
        ("WORKTY_AMQP_URL", "amqp://[::1"),
        ("WORKTY_AMQP_URL", "amqp://broker:port/workty"),
        ("WORKTY_MONGO_URL", "mongodb://db:27017"),
        ("WORKTY_MONGO_URL", "mongodb://db:27017/?replicaSet=rs0"),
        ("WORKTY_HOST", "no host"),
        ("WORKTY_PORT", "0"),
        ("WORKTY_PORT", "65536"),
        ("WORKTY_PORT", "http"),
        ("WORKTY_PUBLIC_URL", "server:9999"),
        ("WORKTY_PUBLIC_URL", "http://server?x=1"),
        ("WORKTY_ADMIN_EMAIL", "supervisor"),
        ("WORKTY_ADMIN_EMAIL", "a@b@c"),
        ("WORKTY_HEARTBEAT_TIMEOUT_SECONDS", "0"),
        ("WORKTY_LOST_AFTER_SECONDS", "nan"),
        ("WORKTY_LOST_AFTER_SECONDS", "soon"),
        ("WORKTY_LOG_LEVEL", "LOUD"),
        ("WORKTY_NAME_EMAIL_LOGIN", "yes"),
        ("WORKTY_AUDIT_DAYS", "0"),
        ("WORKTY_AUDIT_DAYS", "long"),
        ("WORKTY_LOG_DAYS", "0"),
        ("WORKTY_CORS_ORIGINS", "pages.example"),
        ("WORKTY_CORS_ORIGINS", "https://pages.example/path"),
        ("WORKTY_RATE_LIMIT", "many"),
        ("WORKTY_RATE_LIMIT", "0 per second"),
        ("WORKTY_RATE_LIMIT", "5 per second; 1"),
        ("WORKTY_RATE_LIMIT_STORAGE", "memory"),
        ("WORKTY_RATE_LIMIT_LOOPBACK", "yes"),
        ("WORKTY_METRICS_PUBLIC", "true"),
        ("WORKTY_TRUSTED_PROXIES", "-1"),
    ],
)
def test_a_wrong_value_is_named_with_an_example(name: str, value: str) -> None:
    with pytest.raises(BadSettings, match=rf"^{name} must be .*, e\.g\. ") as caught:
        load({name: value})
    assert len(caught.value.problems) == 1


def test_certificate_and_key_belong_together() -> None:
    with pytest.raises(BadSettings, match="WORKTY_TLS_CERT and WORKTY_TLS_KEY belong together"):
        load({"WORKTY_TLS_CERT": "server.crt"})
    settings = load({"WORKTY_TLS_CERT": "server.crt", "WORKTY_TLS_KEY": "server.key"})
    assert settings.public_url == "https://127.0.0.1:9999"


def test_origins_are_a_list() -> None:
    assert load({"WORKTY_CORS_ORIGINS": "https://a.example, http://b.example:8080"}).cors_origins == (
        "https://a.example",
        "http://b.example:8080",
    )


def test_every_problem_has_its_own_line() -> None:
    with pytest.raises(BadSettings) as caught:
        load({"WORKTY_PORT": "x", "WORKTY_LOG_LEVEL": "y"}, required=["mongo_url"])
    assert len(caught.value.problems) == 3


@pytest.mark.parametrize("url", ["amqp:/workty:hidden@broker", "http://workty:hidden@broker", "amqp://u:hidden@[::1"])
def test_an_error_does_not_repeat_a_password(url: str) -> None:
    with pytest.raises(BadSettings, match="WORKTY_AMQP_URL") as caught:
        load({"WORKTY_AMQP_URL": url})
    assert "hidden" not in str(caught.value)


def test_neither_logs_nor_repr_show_passwords() -> None:
    environ = {"WORKTY_AMQP_URL": AMQP, "WORKTY_MONGO_URL": MONGO, "WORKTY_ADMIN_PASSWORD": "hidden"}
    settings = load(environ)
    assert "hidden" not in f"{settings!r} {settings.redacted()}"
    assert settings.redacted()["amqp_url"] == "amqp://workty:***@broker:5672/workty"
    assert load({}).redacted()["admin_password"] is None


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("ports = 80", "'ports' is no setting"),
        ("port = 0", "'port' must be a whole number"),
        ("port = true", "'port' must be a text or a number, e.g. 9999"),
        ("[port]", "'port' must be a text or a number"),
        ("port =", "is not valid TOML"),
        ("# " + "x" * MAX_FILE_BYTES, "is larger than"),
    ],
)
def test_a_wrong_entry_of_the_file_is_named(tmp_path: Path, text: str, expected: str) -> None:
    environ = config(tmp_path, text)
    with pytest.raises(BadSettings, match=re.escape(expected)) as caught:
        load(environ)
    assert environ["WORKTY_CONFIG"] in str(caught.value)


def test_a_file_that_is_not_there_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(BadSettings, match="cannot be read: No such file or directory"):
        load({"WORKTY_CONFIG": str(tmp_path / "nowhere.toml")})


@pytest.mark.parametrize("host", ["127.0.0.1", "127.0.0.2", "::1", "localhost"])
def test_name_and_email_may_do_as_credentials_on_this_machine(host: str) -> None:
    assert load({"WORKTY_HOST": host, "WORKTY_NAME_EMAIL_LOGIN": "1"}).name_email_login


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.168.1.2", "server.example"])
def test_name_and_email_never_do_where_others_can_connect(host: str) -> None:
    environ = {"WORKTY_HOST": host, "WORKTY_PUBLIC_URL": "http://w.example"}
    assert not load({**environ, "WORKTY_NAME_EMAIL_LOGIN": "0"}).name_email_login
    with pytest.raises(BadSettings, match=f"WORKTY_NAME_EMAIL_LOGIN .* {host}"):
        load({**environ, "WORKTY_NAME_EMAIL_LOGIN": "1"})
