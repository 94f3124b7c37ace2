"""Switches a GPIO line on and off some times."""

import signal
import sys
import time
from contextlib import AbstractContextManager

import lines

from workties import StepFailed, Workty

#: Most that blinks again when the board loses power, seconds.
CHECKPOINT = 1.0


class GpioBlink(Workty):
    """Has the line only while it blinks. It is left low at the end, when it is paused, and when it is ended."""

    states = ("preparing", "blinking", "finishing")

    def on_enter_preparing(self) -> None:
        for name in ("times", "on_seconds", "off_seconds"):
            if self.properties[name] < 0:
                raise StepFailed(f"Property '{name}': expected 0 or more, got {self.properties[name]}")
        if self.properties["simulate"] not in ("auto", "yes", "no"):
            raise StepFailed(f"Property 'simulate': expected auto, yes or no, got {self.properties['simulate']!r}")

    def on_enter_blinking(self) -> None:
        # By default the program would end without the code that leaves the line low.
        signal.signal(signal.SIGTERM, lambda number, _: sys.exit(128 + number))
        times, done = self.properties["times"], self.memory.get("done", 0)
        saved = time.monotonic()
        with self.line() as switch:
            while done < times:
                self.progress(done / times, f"blink {done + 1} of {times}")
                switch(True)
                self.wait(self.properties["on_seconds"])
                switch(False)
                done = self.memory["done"] = done + 1
                self.wait(self.properties["off_seconds"])
                if time.monotonic() - saved >= CHECKPOINT:
                    saved = time.monotonic()
                    self.checkpoint()

    def on_enter_finishing(self) -> None:
        self.output.update(
            line=self.properties["line"],
            chip=self.properties["chip"],
            times=self.properties["times"],
            simulated=self.memory["simulated"],
        )
        self.progress(1, "done")

    def line(self) -> AbstractContextManager[lines.Switch]:
        """The line to switch: the real one, or a simulated one where it is wanted or allowed and needed."""
        chip, line, simulate = (self.properties[name] for name in ("chip", "line", "simulate"))
        reason = "as asked" if simulate == "yes" else lines.obstacle(chip)
        if reason and simulate == "no":
            raise StepFailed(f"Line {line} of {chip} cannot be switched: {reason}")
        self.memory["simulated"] = bool(reason)
        if reason:
            self.log(f"Simulating line {line} of {chip}: {reason}")
            return lines.simulated(self.log)
        return lines.real(chip, line)
