"use strict";
// A workty for Node 18 or newer: a state machine that reports and checkpoints as it goes. Put this file into the package.
//
//     const { run } = require("./workty.js");
//
//     run({
//       states: {
//         async counting(step) {
//           step.memory.left ??= step.properties.from;
//           step.progress(1 - step.memory.left / step.properties.from, `${step.memory.left} to go`);
//           await step.wait(0.1);
//           step.memory.left -= 1;
//           if (step.memory.left > 0) return "again";
//         },
//         celebrating(step) {
//           step.log("Lift-off!");
//           step.output.counted = step.properties.from;
//         },
//       },
//       transitions: [{ trigger: "again", source: "counting", dest: "counting" }],
//     });
//
// States follow each other as they are written. A handler that returns nothing lets the next state follow, or completes
// the step after the last one; for any other way it returns the name of a trigger of `transitions`. A state without a
// handler of its own has `null`. Entering a state makes a checkpoint of it, with `memory` and `output` as they are then.
// If the step is interrupted, the next attempt enters the state of the last checkpoint again. An error that a handler
// does not catch fails the step, and its stack is shown with it.

const fs = require("node:fs");
const net = require("node:net");

const MAX_STATE_BYTES = 256 * 1024; // largest memory, and largest output
const MAX_LINE = 2000; // longest line of the log, characters
const OUTPUT = "_output"; // where a checkpoint keeps the output so far

/** A workty that cannot be run as it is written. */
class BadWorkty extends Error {}

/** The two descriptors of the step protocol. Started by hand, lines go to stderr and no pause comes. */
class Channel {
  constructor(environ) {
    this.pauseAsked = false;
    this.onPause = () => {};
    this.events = Number(environ.WORKTY_EVENTS_FD ?? 2);
    this.heard = "";
    if (environ.WORKTY_CONTROL_FD !== undefined) this.listen(Number(environ.WORKTY_CONTROL_FD));
  }

  send(line) {
    let rest = Buffer.from(JSON.stringify(line) + "\n");
    while (rest.length > 0) rest = rest.subarray(fs.writeSync(this.events, rest));
  }

  /** Whether a pause has been asked by now, also if the event loop had no time to hear of it. */
  hasPauseNow() {
    const chunk = Buffer.alloc(4096);
    while (this.control && !this.pauseAsked) {
      try {
        const count = fs.readSync(this.control, chunk);
        if (count > 0) this.hear(chunk.toString("latin1", 0, count));
        else this.ask();
      } catch (error) {
        if (error.code === "EAGAIN") break; // nothing to read: the socket below made the descriptor not block
        throw error;
      }
    }
    return this.pauseAsked;
  }

  listen(control) {
    this.control = control;
    const socket = new net.Socket({ fd: control, readable: true, writable: false });
    socket.setEncoding("latin1");
    socket.on("data", (text) => this.hear(text));
    socket.on("error", () => this.ask());
    // The agent's end also counts as asking: nobody would record what the program goes on to do.
    socket.on("close", () => this.ask());
    socket.unref();
  }

  hear(text) {
    const lines = (this.heard + text).split("\n");
    this.heard = lines.pop();
    if (lines.some(asksPause)) this.ask();
  }

  ask() {
    this.control = undefined;
    this.pauseAsked = true;
    this.onPause();
  }
}

/** What handlers and `onResume` are called with. */
class Step {
  #channel;

  constructor(given, channel) {
    const { [OUTPUT]: output, ...memory } = given.checkpoint?.memory ?? {};
    this.#channel = channel;
    /** Values of the step's properties by name. */
    this.properties = given.properties ?? {};
    /** What to remember across interruptions: plain JSON of at most 256 KiB, together with the output. */
    this.memory = memory;
    /** What the step has to say when it is complete: plain JSON. */
    this.output = output ?? {};
    /** The state it is in; empty before the first. */
    this.state = given.checkpoint?.state ?? "";
    /** Id of the board that it runs on; empty if it was started by hand. */
    this.board = given.board ?? "";
    /** Which attempt of the step this is, from 1. */
    this.attempt = given.attempt ?? 1;
  }

  /** Report how far the step is, from 0 to 1, with a few words (at most 200 characters) about it. */
  progress(fraction, message = "") {
    if (!Number.isFinite(fraction)) throw new TypeError(`progress: expected a number from 0 to 1, got ${fraction}`);
    this.#channel.send({ type: "progress", progress: Math.min(Math.max(fraction, 0), 1), message: String(message) });
  }

  /** Add the lines of `text` to the step's log. */
  log(text) {
    const lines = String(text).replace(/\r?\n$/, "").split(/\r?\n/);
    for (const line of lines) this.#channel.send({ type: "log", text: line.slice(0, MAX_LINE) });
  }

  /**
   * Let a next attempt go on from here: this state, with `memory` and `output` as they are now. If a pause was asked,
   * the program ends here; what has to be tidied up first belongs into `process.on("exit", ...)`.
   */
  checkpoint() {
    const kept = Object.keys(this.output).length > 0 ? { [OUTPUT]: this.output } : {};
    const memory = { ...this.memory, ...kept };
    checkSize("memory", memory);
    this.#channel.send({ type: "state", state: this.state, memory });
    if (this.#channel.hasPauseNow()) {
      this.#channel.send({ type: "paused" });
      process.exit(0);
    }
  }

  /** Wait. If a pause is asked meanwhile, make a checkpoint and end. Use this instead of a timer of your own. */
  async wait(seconds) {
    const channel = this.#channel;
    if (!channel.hasPauseNow()) {
      await new Promise((resolve) => {
        const timer = setTimeout(resolve, seconds * 1000);
        channel.onPause = () => {
          clearTimeout(timer);
          resolve();
        };
      });
      channel.onPause = () => {};
    }
    if (channel.pauseAsked) this.checkpoint();
  }
}

/**
 * Run a workty to its end, which is also that of the program: exit code 0 if it completed or paused, else 1.
 *
 * @param {object} workty
 * @param {object} workty.states handlers by state, in the order in which they happen; `null` for a state that does nothing
 * @param {object[]} [workty.transitions] further ways: {trigger, source: state, list of states or "*", dest: state or "="}
 * @param {string} [workty.initial] the state to begin with; the first one if absent
 * @param {function} [workty.onResume] called with the step before its state is entered again by a later attempt
 */
async function run(workty) {
  try {
    // Before anything else, so that the pause of a board that is in a hurry is heard.
    const channel = new Channel(process.env);
    const step = new Step(readInput(process.env), channel);
    process.once("beforeExit", () => {
      process.stderr.write(`state '${step.state}' has not ended, but nothing is left that it could wait for\n`);
      process.exit(1);
    });
    await go(workty, step);
    if (Object.keys(step.output).length > 0) {
      checkSize("output", step.output);
      channel.send({ type: "output", output: step.output });
    }
  } catch (error) {
    process.stderr.write(`${error instanceof BadWorkty ? error.message : (error?.stack ?? error)}\n`);
    process.exit(1);
  }
  process.exit(0);
}

async function go({ states = {}, transitions = [], initial, onResume }, step) {
  const names = Object.keys(states);
  refuseMistakes(names, states, transitions);
  const resumes = step.state !== "";
  step.state = step.state || initial || names[0];
  if (!names.includes(step.state)) {
    throw new BadWorkty(`no state '${step.state}' to go on from; the states are ${names.join(", ")}`);
  }
  if (resumes && onResume) await onResume(step);
  while (step.state !== null) {
    step.checkpoint();
    const trigger = (await states[step.state]?.(step)) ?? null;
    step.state = follow(names, transitions, step.state, trigger);
  }
}

/** The state to which `trigger` leads from `state`, or the next one without a trigger; null after the last. */
function follow(names, transitions, state, trigger) {
  const next = names[names.indexOf(state) + 1] ?? null;
  if (trigger === null) return next;
  const ways = transitions.filter(({ source }) => source === "*" || [source].flat().includes(state));
  const way = ways.find((found) => found.trigger === trigger);
  if (way) return way.dest === "=" ? state : way.dest;
  if (trigger === "next" && next !== null) return next;
  const possible = [...ways.map((found) => found.trigger), ...(next === null ? [] : ["next"])].join(", ") || "none";
  throw new BadWorkty(`state '${state}' has no trigger '${trigger}'; it has ${possible}. See \`transitions\`.`);
}

/** Find what would otherwise show late: no states, handlers that are none, transitions of states that do not exist. */
function refuseMistakes(names, states, transitions) {
  if (names.length === 0) throw new BadWorkty("declare the states, e.g. states: { preparing(step) {}, working(step) {} }");
  if (names.some((name) => /^\d+$/.test(name))) throw new BadWorkty("states have names, not numbers: their order is lost");
  for (const name of names) {
    if (states[name] !== null && typeof states[name] !== "function") {
      throw new BadWorkty(`state '${name}': expected a function of the step, or null`);
    }
  }
  for (const { source, dest } of transitions) {
    for (const state of [source, dest].flat()) {
      if (![...names, "*", "="].includes(state)) {
        throw new BadWorkty(`'${state}' is not among the states, ${names.join(", ")}`);
      }
    }
  }
}

/** What the step gets. Nothing if started by hand. */
function readInput(environ) {
  return environ.WORKTY_INPUT ? JSON.parse(fs.readFileSync(environ.WORKTY_INPUT, "utf8")) : {};
}

function checkSize(field, value) {
  const size = Buffer.byteLength(JSON.stringify(value));
  if (size > MAX_STATE_BYTES) {
    throw new RangeError(`${field}: expected at most ${MAX_STATE_BYTES} bytes of JSON, got ${size}`);
  }
}

/** Whether a control line asks to pause. Lines of a kind that this code does not know are no reason to fail. */
function asksPause(line) {
  try {
    return JSON.parse(line)?.type === "pause";
  } catch {
    return false;
  }
}

module.exports = { run, BadWorkty };
