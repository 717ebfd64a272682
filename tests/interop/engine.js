// What the clients from 1.0 to 4.8 have in common: sockets of one manager, with an Engine.IO connection below it.
"use strict";

const vm = require("node:vm");
const { Document, ELSEWHERE } = require("./dom.js");

const TRANSPORTS = {
  polling: ["polling"],
  xhr2: ["polling"], // as in browsers, where XHR takes binary
  jsonp: ["polling"],
  websocket: ["websocket"],
  upgrade: ["polling", "websocket"],
};

class EngineClient {
  constructor(io, version, mode) {
    Object.assign(this, { io, version, mode });
    this.carrier = mode === "upgrade" ? "websocket" : mode;
    this.polls = this.carrier !== "websocket";
    if (mode === "jsonp") globalThis.document ??= new Document(ELSEWHERE.href, (script) => vm.runInThisContext(script));
  }

  // What `disconnect` is told: [at the client, at the server].
  get reasons() {
    return {
      clientLeft: ["io client disconnect", "client namespace disconnect"],
      clientLeftOne: ["io client disconnect", "client namespace disconnect"],
      serverEnded: ["io server disconnect", "server namespace disconnect"],
      serverEndedOne: ["io server disconnect", "server namespace disconnect"],
      transportClosed: ["forced close", "transport close"],
      // Only XHR sees the refusal itself; to the others it is the end of the connection.
      // By JSONP the poll that waits is told so, or the next one is refused: which it is depends on the moment.
      bodyTooLarge: {
        polling: ["transport error"],
        xhr2: ["transport error"],
        jsonp: ["transport close", "transport error"],
      }[this.mode] ?? ["transport close"],
    };
  }

  // A socket with a connection of its own.
  open(address, options) {
    return this.io(address, {
      transports: TRANSPORTS[this.mode],
      forceJSONP: this.mode === "jsonp",
      forceNew: true,
      reconnectionDelay: 50,
      reconnectionDelayMax: 100,
      ...options,
    });
  }

  // What all namespaces of one client share, and its id.
  connection(socket) {
    return socket.io.engine;
  }

  connectionId(socket) {
    return socket.io.engine.id;
  }

  // The carrier of this moment.
  carries(socket) {
    const { transport } = socket.io.engine;
    if (transport.name !== "polling") return transport.name;
    if ("index" in transport) return "jsonp";
    return this.mode === "xhr2" && transport.supportsBinary ? "xhr2" : "polling";
  }

  isSettled(socket) {
    return this.carries(socket) === this.carrier;
  }

  // Resolves when the connection of `socket` fails, or its namespace is refused: `told` is what the client hears of it,
  // `answer` what it sees of the server's answer.
  refused(socket) {
    return new Promise((resolve) => {
      // To be read at once: the client aborts the request after telling.
      const tell = (error) => resolve({ told: this.told(error), answer: this.answer(error) });
      for (const event of this.refusals) socket.once(event, tell);
    });
  }

  // What a client can see of the answer to its handshake.
  get sees() {
    return this.mode === "jsonp" ? [] : ["status"];
  }

  answer({ description }) {
    if (typeof description === "number") return { status: description };
    const refused = /unexpected server response[: (]+(\d+)/i.exec(description?.message);
    return refused ? { status: Number(refused[1]) } : {};
  }

  // The first request of a connection below `path`.
  handshake(path) {
    const transport = this.mode === "websocket" ? "websocket" : "polling";
    return `${path}/?EIO=${this.generation}&transport=${transport}`;
  }

  // Calls `beat` whenever the client learns that an idle connection lives.
  pulse(socket, beat) {
    socket.io.engine.on("packet", ({ type }) => type === this.heartbeat && beat());
  }

  // Sends what the server must not forgive.
  poison(socket) {
    socket.io.engine.write(this.poisonous);
  }

  closeTransport(socket) {
    socket.io.engine.close();
  }

  isClosed(socket) {
    return socket.io.engine.readyState === "closed";
  }

  // From now on the client does not come back by itself.
  giveUp(socket) {
    socket.io.reconnection(false);
  }

  end(socket) {
    this.giveUp(socket);
    socket.disconnect();
  }
}

module.exports = { EngineClient };
