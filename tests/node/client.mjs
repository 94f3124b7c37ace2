// A client of the live API as web pages have one: socket.io-client, told by lines of JSON on standard input what to do.
//
// {"open": {"url", "namespace", "token", "transports"}}  -> {"opened": namespace} or {"refused": namespace, "why": error}
// {"ask": {"id", "namespace", "event", "payload"}}       -> {"answered": id, "with": acknowledgement}
// {"end": true}
// Whatever is heard is told as {"heard": [namespace, event, payload]}, the end of a namespace as {"closed": namespace}.
import { createInterface } from "node:readline";
import { io } from "socket.io-client";

const sockets = new Map();
const tell = (message) => process.stdout.write(JSON.stringify(message) + "\n");

function open({ url, namespace, token, transports }) {
    const socket = io(url + namespace, { auth: { token }, transports, reconnection: false });
    sockets.set(namespace, socket);
    socket.on("connect", () => tell({ opened: namespace }));
    socket.on("connect_error", (error) => tell({ refused: namespace, why: { message: error.message, data: error.data } }));
    socket.on("disconnect", (reason) => tell({ closed: namespace, reason }));
    socket.onAny((event, payload) => tell({ heard: [namespace, event, payload] }));
}

function ask({ id, namespace, event, payload }) {
    sockets.get(namespace).emit(event, payload, (acknowledgement) => tell({ answered: id, with: acknowledgement }));
}

for await (const line of createInterface({ input: process.stdin })) {
    const order = JSON.parse(line);
    if (order.open) open(order.open);
    if (order.ask) ask(order.ask);
    if (order.end) break;
}
for (const socket of sockets.values()) socket.disconnect();
setTimeout(() => process.exit(0), 100); // for what is still to be sent
