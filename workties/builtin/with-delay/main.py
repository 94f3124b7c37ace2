"""Waits for as long as the property `delay` says."""

import time
from typing import ClassVar

from workties import Workty

#: Longest time between two reports of progress, seconds.
TICK = 0.2
#: Most that has to be waited again when the board loses power, seconds.
CHECKPOINT = 1.0


class WithDelay(Workty):
    """Remembers how much of the delay is done, so that a resumed attempt waits for the rest only."""

    states = ("preparing", "waiting", "finishing")
    defaults: ClassVar = {"delay": 1}

    def on_enter_preparing(self) -> None:
        delay = float(self.properties["delay"])
        if not 0 <= delay < float("inf"):
            raise ValueError(f"property 'delay': expected seconds, 0 or more, got {delay}")
        self.memory.update(delay=delay, done=0.0)

    def on_enter_waiting(self) -> None:
        delay, done = self.memory["delay"], self.memory["done"]
        began = time.monotonic() - done
        saved = done
        while done < delay:
            self.progress(done / delay, f"waited {done:.1f} of {delay:g} s")
            self.wait(min(TICK, delay / 20, delay - done))
            done = self.memory["done"] = time.monotonic() - began
            if done - saved >= CHECKPOINT:
                saved = done
                self.checkpoint()

    def on_enter_finishing(self) -> None:
        self.output["delayed"] = self.memory["delay"]
        self.progress(1, "done")
