// What a case needs: clients that are cleaned up, waits that have a deadline, a proxy that can be cut, plain requests.
"use strict";

const http = require("node:http");
const { modules } = require("./modules.js");
const { Proxy } = require("./proxy.js");

const WAIT = 15_000; // ms for one step

class Talk {
  constructor({ kind, port, name }) {
    Object.assign(this, { kind, port, step: "none", endings: [] });
    this.unique = `${name}-${kind.version}-${kind.mode}-${process.pid}-${Math.random().toString(36).slice(2)}`;
  }

  // A client's socket, not yet connected; `options` are the client's, plus `namespace` and `port`.
  socket({ namespace = "/", port = this.port, ...options } = {}) {
    const socket = logged(this.kind.socket({ namespace, port, ...options }));
    this.endings.push(() => this.kind.end(socket));
    return socket;
  }

  // A further namespace on the connection of `socket`.
  also(socket, namespace, options) {
    return logged(this.kind.also(socket, namespace, options));
  }

  // A connected client which has reached the carrier of this mode.
  async client(options) {
    const socket = this.socket(options);
    await this.connected(socket);
    await this.settled(socket);
    return socket;
  }

  async connected(socket) {
    if (socket.connected) return;
    const connected = new Promise((resolve) => socket.once("connect", resolve));
    const refused = this.kind.refused(socket).then(({ told }) => {
      throw told instanceof Error ? told : new Error(`refused: ${JSON.stringify(told)}`);
    });
    await this.within(`connect ${socket.nsp}`, Promise.race([connected, refused]));
  }

  async settled(socket) {
    await this.until(`carried by ${this.kind.carrier}`, () => this.kind.isSettled(socket));
  }

  // The arguments of the next `name` event.
  next(socket, name) {
    return this.within(`event ${name}`, new Promise((resolve) => socket.once(name, (...args) => resolve(args))));
  }

  // The arguments with which the server acknowledges.
  ask(socket, name, ...args) {
    return this.within(`ack of ${name}`, new Promise((resolve) => socket.emit(name, ...args, (...got) => resolve(got))));
  }

  refused(socket) {
    return this.within("a refusal", this.kind.refused(socket));
  }

  async disconnected(socket) {
    await this.until("disconnect", () => socket.log.length > 0);
    return socket.log.slice();
  }

  async until(what, isTrue) {
    this.step = what;
    const deadline = Date.now() + WAIT;
    while (!isTrue()) {
      if (Date.now() > deadline) throw new Error(`in vain: ${what}`);
      await new Promise((resolve) => setTimeout(resolve, 5));
    }
  }

  async within(what, promise) {
    this.step = what;
    let timer;
    const late = new Promise((_, reject) => {
      timer = setTimeout(() => reject(new Error(`in vain: ${what}`)), WAIT);
    });
    return Promise.race([promise, late]).finally(() => clearTimeout(timer));
  }

  // A way to the server, on a port of its own, that can be cut, and that can hold websockets back for a while.
  async proxy({ holdWebSockets = false } = {}) {
    const proxy = new Proxy(this.port, holdWebSockets);
    await new Promise((resolve) => proxy.server.listen(0, "127.0.0.1", resolve));
    this.endings.push(() => proxy.close());
    return proxy;
  }

  // What the server answers to a handshake that it refuses: [status, body, headers].
  refusedHandshake(address) {
    const host = `127.0.0.1:${this.port}`;
    const answered = address.includes("transport=websocket")
      ? refusedWebSocket(`ws://${host}${address}`)
      : answer(http.get(`http://${host}${address}`, { agent: false }));
    return this.within(`refusal of ${address}`, answered);
  }

  end() {
    for (const ending of this.endings) ending();
  }
}

function logged(socket) {
  socket.log = [];
  socket.on("disconnect", (reason) => socket.log.push(reason));
  return socket;
}

function refusedWebSocket(address) {
  const { WebSocket } = modules("ws");
  const socket = new WebSocket(address);
  return new Promise((resolve, reject) => {
    socket.on("open", () => reject(new Error("it was accepted")));
    socket.on("error", reject);
    socket.on("unexpected-response", (_, response) => resolve(read(response)));
  });
}

function answer(request) {
  return new Promise((resolve, reject) => {
    request.on("error", reject);
    request.on("response", (response) => resolve(read(response)));
  });
}

async function read(response) {
  const chunks = [];
  for await (const chunk of response) chunks.push(chunk);
  return [response.statusCode, Buffer.concat(chunks).toString(), response.headers];
}

// A value with every kind of binary in it written as {hex: "..."}, so that two of them compare by content.
function plain(value) {
  if (Buffer.isBuffer(value)) return { hex: value.toString("hex") };
  if (value instanceof ArrayBuffer) return { hex: Buffer.from(value).toString("hex") };
  if (ArrayBuffer.isView(value)) return { hex: Buffer.from(value.buffer, value.byteOffset, value.byteLength).toString("hex") };
  if (Array.isArray(value)) return value.map(plain);
  if (value && typeof value === "object") return Object.fromEntries(Object.entries(value).map(([key, v]) => [key, plain(v)]));
  return value;
}

module.exports = { Talk, plain };
