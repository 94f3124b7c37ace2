"""What is printed: nothing that a terminal obeys, tables that a pipe can read."""

from __future__ import annotations

import json

import pytest

from api.cli.show import any_text_can_be_printed, print_json, print_table
from api.cli.texts import clean
from api.client import LogLine, LogLines

ID = "5f43a1c09b1e8a0001c0ffee"


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("bake", "bake"),
        ("Brot für später, 麺包 🍞", "Brot für später, 麺包 🍞"),
        ("[red]x[/red] :bread:", "[red]x[/red] :bread:"),
        ("\x1b[31mred\x1b]0;title\x07", r"\x1b[31mred\x1b]0;title\x07"),
        ("a\r\nb\tc\x7f\x9b", r"a\r\nb\tc\x7f\x9b"),
        ("a\u202eb\u200b\ud800", r"a\u202eb\u200b\ud800"),
    ],
)
def test_what_a_terminal_might_obey_is_written_as_an_escape(text: str, shown: str) -> None:
    assert clean(text) == shown


def test_chosen_characters_are_kept() -> None:
    assert clean("a\tb\x1b", keep="\t") == "a\tb\\x1b"


def test_a_table_in_a_pipe_has_no_control_characters_and_leaves_nothing_out(capsys: pytest.CaptureFixture[str]) -> None:
    long = "word " * 60
    print_table(["id", "name", "description"], [(ID, "[b]a\x1b[1m", long), (ID, None, 5)], none="none")
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].split() == ["id", "name", "description"]
    assert lines[1] == rf"{ID}  [b]a\x1b[1m  {long.strip()}"
    assert lines[2].split() == [ID, "5"]
    assert len(lines) == 3


def test_an_empty_table_says_so_on_stderr(capsys: pytest.CaptureFixture[str]) -> None:
    print_table(["id"], [], none="There are none.")
    assert capsys.readouterr() == ("", "There are none.\n")


@pytest.mark.parametrize("width", ["40", "90"])
def test_on_a_terminal_of_any_width_ids_are_whole(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], width: str
) -> None:
    monkeypatch.setenv("FORCE_COLOR", "1")
    monkeypatch.setenv("COLUMNS", width)
    print_table(["id", "name", "description"], [(ID, "a name of some length", "word " * 30)], none="none")
    printed = capsys.readouterr().out
    assert ID in printed
    assert printed.count("word") == 30


def test_data_of_the_client_is_json(capsys: pytest.CaptureFixture[str]) -> None:
    entry = LogLines("r", 1, "s", "bake", 1, (LogLine("", "stdout", "a\x1b"),))
    print_json([entry, None])
    print_json(entry, line=True)
    document, line = capsys.readouterr().out.rsplit("]\n", 1)
    assert json.loads(document + "]")[0]["lines"] == [{"at": "", "stream": "stdout", "text": "a\x1b"}]
    assert "\x1b" not in document
    assert json.loads(line)["step_name"] == "bake"


def test_streams_that_know_few_characters_get_escapes(capfd: pytest.CaptureFixture[str]) -> None:
    any_text_can_be_printed()
    print_json("ok", line=True)
    assert capfd.readouterr().out == '"ok"\n'
