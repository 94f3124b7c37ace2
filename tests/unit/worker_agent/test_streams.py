"""Lines from a stream of bytes, in bounded memory."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from worker_agent.streams import LineSplitter


@given(st.lists(st.binary(max_size=20), max_size=10))
def test_lines_do_not_depend_on_how_the_bytes_arrive(chunks: list[bytes]) -> None:
    splitter = LineSplitter(1000, cut=True)
    found = [line for chunk in chunks for line in splitter.feed(chunk)]
    found += splitter.end()
    whole = b"".join(chunks).split(b"\n")
    assert found == (whole if whole[-1] else whole[:-1])


def test_a_long_line_is_cut_and_the_next_one_is_whole() -> None:
    splitter = LineSplitter(4, cut=True)
    assert list(splitter.feed(b"abc")) == []
    assert list(splitter.feed(b"defgh\nxy\n")) == [b"abcd", b"xy"]
    assert not splitter.overlong


def test_a_line_that_may_not_be_cut_ends_the_stream() -> None:
    splitter = LineSplitter(4, cut=False)
    assert list(splitter.feed(b"ok\nabcde\nno\n")) == [b"ok"]
    assert splitter.overlong
    assert list(splitter.end()) == []
