// socket.io-client 0.9, as a page loads it: the build for browsers, in a page of ours.
"use strict";

const { source } = require("./modules.js");
const { page } = require("./page.js");

const TRANSPORTS = { polling: "xhr-polling", jsonp: "jsonp-polling", websocket: "websocket" };
const MODES = { "xhr-polling": "polling", "jsonp-polling": "jsonp", websocket: "websocket" };

class Client09 {
  generation = "0.9";
  ids = 1; // of one client in all its namespaces

  constructor(version, mode) {
    Object.assign(this, { version, mode, carrier: mode, polls: mode !== "websocket" });
    this.hangs = mode === "jsonp"; // for ever, when the script of its handshake does not load
    this.io = page(source(`socket.io-client-${version}`, "dist/socket.io.js"), { calls: mode !== "jsonp" });
  }

  // What `disconnect` is told: [at the client, at the server]. The client gives a reason only when it is told to go.
  get reasons() {
    return {
      clientLeft: ["booted", "client namespace disconnect"],
      clientLeftOne: [undefined, "client namespace disconnect"],
      serverEnded: ["booted", "server namespace disconnect"],
      serverEndedOne: [undefined, "server namespace disconnect"],
      // An aborted poll is one that a bad network broke: another may come.
      transportClosed: [undefined, this.polls ? "ping timeout" : "transport close"],
      // A poll that is told to connect anew says so as well.
      bodyTooLarge: [this.mode === "jsonp" ? "booted" : undefined],
    };
  }

  socket({ port, namespace, path = "/socket.io", auth, query = auth, reconnection = true }) {
    const raw = this.io.connect(`http://127.0.0.1:${port}${namespace === "/" ? "" : namespace}`, {
      "force new connection": true,
      transports: [TRANSPORTS[this.mode]],
      "try multiple transports": false,
      resource: path.slice(1),
      query: query && String(new URLSearchParams(query)),
      reconnect: reconnection,
      "reconnection delay": 50,
      "reconnection limit": 100,
      "max reconnection attempts": Infinity,
    });
    return new Socket(raw);
  }

  also({ raw }, namespace, { auth } = {}) {
    const manager = raw.socket;
    if (!auth) return new Socket(manager.of(namespace === "/" ? "" : namespace));
    // Its packets have a place for a namespace's query, but no method fills it.
    manager.namespaces[namespace] = new this.io.SocketNamespace(manager, namespace);
    const socket = new Socket(manager.of(namespace));
    this.join(socket, auth);
    return socket;
  }

  join({ raw }, auth) {
    raw.packet({ type: "connect", qs: `?${new URLSearchParams(auth)}` });
  }

  sid(socket) {
    return socket.id;
  }

  connection({ raw }) {
    return raw.socket;
  }

  connectionId(socket) {
    return socket.id;
  }

  carries({ raw }) {
    return MODES[raw.socket.transport.name];
  }

  // While it posts it keeps what it is told to send, even its goodbye, which then is lost.
  isSettled({ raw }) {
    return this.carries({ raw }) === this.carrier && !raw.socket.doBuffer;
  }

  refused(socket) {
    return new Promise((resolve) => {
      const tell = (reason) => resolve({ told: reason, answer: { body: reason } });
      for (const event of ["connect_failed", "error"]) socket.once(event, tell);
    });
  }

  // The handshake is refused in words; a packet has room for the number of a reason, no more.
  tells(namespace, message) {
    return namespace === "/" ? message : "unauthorized";
  }

  // The handshake is a request of its own, whatever carries the rest.
  sees = ["body"];

  handshake(path) {
    return `${path}/1/?t=1`;
  }

  // On a websocket the server sends heartbeats; a poll that waited in vain gets a noop.
  pulse({ raw }, beat) {
    const { transport } = raw.socket;
    const onPacket = transport.onPacket;
    transport.onPacket = (packet) => {
      if (["heartbeat", "noop"].includes(packet.type)) beat();
      return onPacket.call(transport, packet);
    };
  }

  // Sends what the server forgives: packets that are none, and one for a namespace that was not joined.
  babble({ raw }) {
    const packets = ["nonsense", "9:::", "5:::{", '5::/chat:{"name":"quit"}'];
    const frames = this.polls ? [this.io.parser.encodePayload(packets)] : packets;
    for (const frame of frames) raw.socket.transport.send(frame);
  }

  closeTransport({ raw }) {
    raw.socket.transport.close();
  }

  leavePage({ raw }) {
    raw.socket.disconnectSync();
  }

  isClosed({ raw }) {
    return !raw.socket.open;
  }

  giveUp({ raw }) {
    raw.socket.options.reconnect = false;
    clearTimeout(raw.socket.reconnectionTimer);
  }

  end(socket) {
    this.giveUp(socket);
    if (socket.raw.socket.transport) socket.raw.socket.disconnect(); // before its handshake is answered it cannot
  }
}

// The names of later clients for what this one has.
class Socket {
  constructor(raw) {
    Object.assign(this, { raw, nsp: raw.name || "/", connected: raw.name === "" && raw.socket.connected });
    raw.on("connect", () => (this.connected = true));
    raw.on("disconnect", () => (this.connected = false));
  }

  get id() {
    return this.raw.socket.sessionid;
  }

  on(...args) {
    this.raw.on(...args);
  }

  once(...args) {
    this.raw.once(...args);
  }

  emit(...args) {
    this.raw.emit(...args);
  }

  send(...args) {
    this.raw.send(...args);
  }

  sendJson(...args) {
    this.raw.json.send(...args);
  }

  connect() {
    this.raw.packet({ type: "connect" });
  }

  disconnect() {
    this.raw.disconnect();
  }
}

module.exports = { Client09 };
