"use strict";
// Does some parts, one after the other, and remembers which are done. It speaks the step protocol: what it gets is in
// the file WORKTY_INPUT, what it has to say are lines of JSON to the descriptor WORKTY_EVENTS_FD, and a pause is asked
// on the descriptor WORKTY_CONTROL_FD.

const fs = require("node:fs");
const net = require("node:net");

const { properties, checkpoint } = JSON.parse(fs.readFileSync(process.env.WORKTY_INPUT, "utf8"));
const memory = checkpoint?.memory ?? {};
let pauseAsked = false;

/** Write one line, all of it. */
function send(line) {
  let rest = Buffer.from(JSON.stringify(line) + "\n");
  while (rest.length > 0) rest = rest.subarray(fs.writeSync(Number(process.env.WORKTY_EVENTS_FD), rest));
}

/** Enter a state, or make a checkpoint of it: from here a next attempt goes on. Ends the program if a pause is asked. */
function enter(state) {
  send({ type: "state", state, memory });
  if (pauseAsked) {
    send({ type: "paused" });
    process.exit(0);
  }
}

const sleep = (milliseconds) => new Promise((done) => setTimeout(done, milliseconds));

async function work() {
  enter("working");
  for (let done = memory.done ?? 0; done < properties.parts; done++) {
    send({ type: "progress", progress: done / properties.parts, message: `part ${done + 1} of ${properties.parts}` });
    await sleep(500); // instead: the work on one part
    memory.done = done + 1;
    enter("working");
  }
}

async function main() {
  const begun = checkpoint?.state;
  if (!begun || begun === "preparing") {
    enter("preparing");
    send({ type: "log", text: `${properties.parts} parts to do` });
  }
  if (begun !== "finishing") await work();
  enter("finishing");
  send({ type: "output", output: { done: memory.done ?? 0 } });
}

// Only a pause comes from the agent, or the end of it.
const control = new net.Socket({ fd: Number(process.env.WORKTY_CONTROL_FD), readable: true, writable: false });
control.on("data", () => (pauseAsked = true)).on("close", () => (pauseAsked = true));
main().then(
  () => process.exit(0),
  (error) => {
    console.error(error);
    process.exit(1);
  },
);
