"use strict";
// Does some parts, one after the other, and remembers which are done. workty.js says what else a step can do.

const { run } = require("./workty.js");

run({
  states: {
    preparing(step) {
      step.log(`${step.properties.parts} parts to do`);
    },
    async working(step) {
      const { parts } = step.properties;
      for (let done = step.memory.done ?? 0; done < parts; done++) {
        step.progress(done / parts, `part ${done + 1} of ${parts}`);
        await step.wait(0.5); // instead: the work on one part
        step.memory.done = done + 1;
        step.checkpoint();
      }
    },
    finishing(step) {
      step.output.done = step.memory.done ?? 0;
    },
  },
});
