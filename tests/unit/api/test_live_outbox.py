"""What waits for one client of the live API is bounded, in order, and of progress only the newest."""

from __future__ import annotations

from queue import Empty
from threading import Thread

import pytest
from engineio.packet import CLOSE, PING, Packet

from api.live.outbox import MAX_BYTES, MAX_MESSAGES, LivePacket, Outbox


def sent(outbox: Outbox) -> list[object]:
    """All that waits, as it would be sent."""
    found: list[object] = []
    while not outbox.empty():
        packet = outbox.get(block=False)
        found.append(None if packet is None else packet.data)
        outbox.task_done()
    return found


def test_messages_are_sent_in_the_order_in_which_they_came() -> None:
    outbox = Outbox()
    for text in ("one", "two", "three"):
        outbox.put(LivePacket(text))
    outbox.put(None)
    assert sent(outbox) == ["one", "two", "three", None]


def test_an_empty_outbox_says_so() -> None:
    outbox = Outbox()
    assert outbox.empty()
    with pytest.raises(Empty):
        outbox.get(block=False)
    with pytest.raises(Empty):
        outbox.get(timeout=0.001)


def test_newer_progress_takes_the_place_of_older_progress_that_waits() -> None:
    outbox = Outbox()
    outbox.put(LivePacket("running"))
    outbox.put(LivePacket("a 10 %", "a"))
    outbox.put(LivePacket("b 10 %", "b"))
    outbox.put(LivePacket("a 90 %", "a"))
    outbox.put(LivePacket("completed"))
    assert sent(outbox) == ["running", "a 90 %", "b 10 %", "completed"]


def test_progress_after_what_was_sent_already_waits_anew() -> None:
    outbox = Outbox()
    outbox.put(LivePacket("first"))
    outbox.put(LivePacket("10 %", "a"))
    assert [outbox.get().data, outbox.get().data] == ["first", "10 %"]  # type: ignore[union-attr]
    outbox.put(LivePacket("second"))
    outbox.put(LivePacket("20 %", "a"))
    outbox.put(LivePacket("30 %", "a"))
    assert sent(outbox) == ["second", "30 %"]


@pytest.mark.parametrize(
    "texts",
    [["x"] * (MAX_MESSAGES + 5), ["x" * (MAX_BYTES // 4)] * 5],
    ids=["messages", "bytes"],
)
def test_too_much_that_waits_is_noticed_once_and_later_messages_are_dropped(texts: list[str]) -> None:
    outbox, noticed = Outbox(), []
    outbox.on_full = lambda: noticed.append(len(noticed))
    for text in texts:
        outbox.put(LivePacket(text))
    assert noticed == [0]
    assert len(sent(outbox)) <= MAX_MESSAGES + 1
    outbox.put(LivePacket("later"))
    outbox.put(Packet(PING))
    assert outbox.empty()


def test_who_is_given_up_gets_only_the_reason_and_the_end() -> None:
    outbox = Outbox()
    for _ in range(10):
        outbox.put(LivePacket("news"))
    outbox.end_with(LivePacket("because"))
    outbox.put(LivePacket("more news"))
    outbox.put(Packet(CLOSE))
    outbox.put(None)
    assert sent(outbox) == ["because", None, None]
    outbox.join()


def test_a_long_answer_waits_for_room_and_goes_on_when_the_client_reads() -> None:
    outbox = Outbox()
    while outbox.wait_for_room(0):
        outbox.put(LivePacket("part"))
    waited: list[bool] = []
    answering = Thread(target=lambda: waited.append(outbox.wait_for_room(30)))
    answering.start()
    outbox.get()
    answering.join()
    assert waited == [True]


def test_many_changes_of_one_size_of_progress_count_their_bytes_once() -> None:
    outbox = Outbox()
    for _ in range(20):
        outbox.put(LivePacket("x" * (MAX_BYTES // 2), "a"))
    assert len(sent(outbox)) == 1
    assert outbox.wait_for_room(0)


def test_a_kept_message_is_never_replaced_and_never_overtaken() -> None:
    outbox = Outbox()
    outbox.put(LivePacket("30 %", "a"))
    outbox.put(LivePacket("35 %", "a"))
    outbox.put(LivePacket("copying", "a", kept=True))
    outbox.put(LivePacket("checking", "a", kept=True))
    outbox.put(LivePacket("40 %", "a"))
    outbox.put(LivePacket("45 %", "a"))
    assert sent(outbox) == ["35 %", "copying", "checking", "45 %"]
    outbox.put(LivePacket("50 %", "a"))
    outbox.put(LivePacket("55 %", "a"))
    assert sent(outbox) == ["55 %"]
