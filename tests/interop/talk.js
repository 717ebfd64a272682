// What a case needs: clients that are cleaned up, waits that have a deadline, a proxy that can be cut, plain requests.
"use strict";

const http = require("node:http");
const net = require("node:net");
const path = require("node:path");

const modules = (name) => require(path.join(process.env.NODE_MODULES, name));

const TRANSPORTS = { polling: ["polling"], websocket: ["websocket"], upgrade: ["polling", "websocket"] };
const WAIT = 15_000; // ms for one step

class Talk {
  constructor({ version, mode, port, name }) {
    Object.assign(this, { version, mode, port, step: "none" });
    this.io = version === "list" ? null : modules(`socket.io-client-${version}`);
    this.unique = `${name}-${version}-${mode}-${process.pid}-${Math.random().toString(36).slice(2)}`;
    this.endings = [];
  }

  get carrier() {
    return this.mode === "polling" ? "polling" : "websocket";
  }

  // A client's socket, not yet connected; `options` are the client's, plus `namespace` and `port`.
  socket({ namespace = "/", port = this.port, ...options } = {}) {
    const socket = this.io(`http://127.0.0.1:${port}${namespace}`, {
      transports: TRANSPORTS[this.mode],
      forceNew: true,
      reconnectionDelay: 50,
      reconnectionDelayMax: 100,
      ...options,
    });
    this.endings.push(() => {
      socket.io.reconnection(false);
      socket.disconnect();
    });
    socket.log = [];
    socket.on("disconnect", (reason) => socket.log.push(reason));
    return socket;
  }

  // A further namespace on the connection of `socket`.
  also(socket, namespace, options) {
    const other = socket.io.socket(namespace, options);
    other.log = [];
    other.on("disconnect", (reason) => other.log.push(reason));
    return other;
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
    await this.within(
      `connect ${socket.nsp}`,
      new Promise((resolve, reject) => {
        socket.once("connect", resolve);
        socket.once("connect_error", reject);
      })
    );
  }

  async settled(socket) {
    await this.until(`carried by ${this.carrier}`, () => socket.io.engine.transport.name === this.carrier);
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
    return this.within("connect_error", new Promise((resolve) => socket.once("connect_error", resolve)));
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

  // What the server answers to a plain GET: [status, body, headers].
  get(address) {
    return this.within(`GET ${address}`, answer(http.get({ host: "127.0.0.1", port: this.port, path: address, agent: false })));
  }

  // What the server answers to a websocket handshake that it refuses: [status, body, headers].
  refusedWebSocket(address) {
    const { WebSocket } = modules("ws");
    const socket = new WebSocket(`ws://127.0.0.1:${this.port}${address}`);
    return this.within(
      `refusal of ${address}`,
      new Promise((resolve, reject) => {
        socket.on("open", () => reject(new Error("it was accepted")));
        socket.on("error", reject);
        socket.on("unexpected-response", (_, response) => resolve(read(response)));
      })
    );
  }

  end() {
    for (const ending of this.endings) ending();
  }
}

class Proxy {
  constructor(target, holding) {
    this.open = new Map(); // connection of a client -> since when a request on it waits for its answer, or Infinity
    this.held = holding ? [] : null;
    this.broken = false;
    this.server = net.createServer((near) => this.accept(near, target));
  }

  get port() {
    return this.server.address().port;
  }

  accept(near, target) {
    if (this.broken) {
      near.destroy();
      return;
    }
    this.open.set(near, Infinity);
    near.on("error", () => {});
    near.on("close", () => this.open.delete(near));
    near.once("data", (first) => {
      near.pause();
      const go = () => this.connect(near, first, target);
      if (this.held && first.includes("transport=websocket")) this.held.push(go);
      else go();
    });
  }

  connect(near, first, target) {
    const far = net.connect(target, "127.0.0.1");
    const note = (since) => this.open.has(near) && this.open.set(near, since);
    far.on("error", () => near.destroy());
    far.on("close", () => near.destroy());
    near.on("close", () => far.destroy());
    near.on("data", () => note(Date.now()));
    far.on("data", () => note(Infinity));
    note(Date.now());
    far.write(first);
    near.pipe(far);
    far.pipe(near);
  }

  release() {
    for (const go of this.held) go();
    this.held = null;
  }

  // Breaks all connections and takes no new ones until `mend`; with `waiting`, when a poll has been waiting for a while:
  // between two polls there is nothing to break.
  async cut(talk, waiting) {
    const isWaiting = () => [...this.open.values()].some((since) => Date.now() - since > 50);
    await talk.until("a waiting poll", () => !waiting || isWaiting());
    this.broken = true;
    for (const near of this.open.keys()) near.destroy();
  }

  mend() {
    this.broken = false;
  }

  close() {
    this.server.close();
    for (const near of this.open.keys()) near.destroy();
  }
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
