"use strict";
// Waits for as long as the property `delay` says, in seconds. Speaks the step protocol: it reads the file WORKTY_INPUT,
// writes JSON lines to the descriptor WORKTY_EVENTS_FD, and reads them from WORKTY_CONTROL_FD.

const fs = require("node:fs");
const net = require("node:net");

const TICK = 200; // longest time between two reports of progress, milliseconds
const CHECKPOINT = 1; // most that has to be waited again when the board loses power, seconds

const events = Number(process.env.WORKTY_EVENTS_FD);
const input = JSON.parse(fs.readFileSync(process.env.WORKTY_INPUT, "utf8"));

/** Write one line, all of it. */
function send(line) {
  let rest = Buffer.from(JSON.stringify(line) + "\n");
  while (rest.length > 0) rest = rest.subarray(fs.writeSync(events, rest));
}

function enter(state, memory) {
  send({ type: "state", state, memory });
}

/** Call `pause` when the agent asks for it, or has gone. */
function listen(pause) {
  const control = new net.Socket({ fd: Number(process.env.WORKTY_CONTROL_FD), readable: true, writable: false });
  let heard = "";
  control.setEncoding("utf8");
  control.on("data", (text) => {
    const lines = (heard + text).split("\n");
    heard = lines.pop();
    if (lines.some((line) => JSON.parse(line).type === "pause")) pause();
  });
  control.on("close", pause);
}

function begin() {
  const delay = Number(input.properties.delay ?? 1);
  if (!(delay >= 0 && delay < Infinity)) {
    throw new Error(`property 'delay': expected seconds, 0 or more, got ${input.properties.delay}`);
  }
  enter("preparing", {});
  return { delay, done: 0 };
}

function finish(delay) {
  enter("finishing", { delay, done: delay });
  send({ type: "progress", progress: 1, message: "done" });
  send({ type: "output", output: { delayed: delay } });
  process.exit(0);
}

/** Wait for what is left, then finish; on a pause keep how much is done and end. */
function wait({ delay, done }) {
  const began = performance.now() / 1000 - done;
  let saved = done;
  const elapsed = () => performance.now() / 1000 - began;
  const tick = () => {
    const now = elapsed();
    if (now >= delay) finish(delay);
    send({ type: "progress", progress: now / delay, message: `waited ${now.toFixed(1)} of ${delay} s` });
    if (now - saved >= CHECKPOINT) {
      saved = now;
      enter("waiting", { delay, done: now });
    }
    setTimeout(tick, Math.min(TICK, delay * 50, (delay - now) * 1000));
  };
  listen(() => {
    enter("waiting", { delay, done: elapsed() });
    send({ type: "paused" });
    process.exit(0);
  });
  enter("waiting", { delay, done });
  tick();
}

const checkpoint = input.checkpoint;
if (checkpoint?.state === "finishing") finish(checkpoint.memory.delay);
else wait(checkpoint?.state === "waiting" ? checkpoint.memory : begin());
