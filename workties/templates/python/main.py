"""Does some parts, one after the other, and remembers which are done."""

from workties import Workty


class Skeleton(Workty):
    states = ("preparing", "working", "finishing")

    def on_enter_preparing(self):
        self.log(f"{self.properties['parts']} parts to do")

    def on_enter_working(self):
        parts = self.properties["parts"]
        for done in range(self.memory.get("done", 0), parts):
            self.progress(done / parts, f"part {done + 1} of {parts}")
            self.wait(0.5)  # instead: the work on one part
            self.memory["done"] = done + 1
            self.checkpoint()

    def on_enter_finishing(self):
        self.output["done"] = self.memory.get("done", 0)
