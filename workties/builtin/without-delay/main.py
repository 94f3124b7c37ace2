"""Goes through its states without doing anything."""

from workties import Workty


class WithoutDelay(Workty):
    """Two states, no waiting."""

    states = ("starting", "finishing")

    def on_enter_starting(self) -> None:
        self.progress(0.5, "started")

    def on_enter_finishing(self) -> None:
        self.progress(1, "done")
