// socket.io-client 1.x and 2.x: there is no `auth`, so a namespace is told the query; a refusal is an `error`.
"use strict";

const { EngineClient } = require("./engine.js");
const { modules, source } = require("./modules.js");
const { page } = require("./page.js");

class Client2 extends EngineClient {
  generation = 3;
  heartbeat = "pong"; // of the server: the client pings
  poisonous = "2{}"; // an event without a name
  refusals = ["error", "connect_error"];
  ids = 2; // "/" has that of the connection

  constructor(version, mode) {
    const name = `socket.io-client-${version}`;
    super(mode === "xhr2" ? page(source(name, "dist/socket.io.js"), { calls: true }) : modules(name), version, mode);
    this.takesBuffers = mode !== "xhr2"; // as binary
    this.takesViews = version.startsWith("2."); // typed arrays
  }

  socket({ port, namespace, auth, query = auth, ...options }) {
    return this.open(`http://127.0.0.1:${port}${namespace}`, { ...options, ...queried(query) });
  }

  also(socket, namespace, { auth } = {}) {
    return socket.io.socket(namespace, queried(auth));
  }

  join(socket, auth) {
    Object.assign(socket, queried(auth));
    socket.connect();
  }

  // 1.0 knows no ids, and 1.7 takes that of the connection for all: they can only be told what the server calls them.
  sid(socket) {
    const prefix = socket.nsp === "/" ? "" : `${socket.nsp}#`;
    return this.version.startsWith("1.") ? socket.io.engine.id && prefix + socket.io.engine.id : socket.id;
  }

  // Sends what the server forgives: a packet of no known type.
  babble(socket) {
    socket.io.engine.write("9nonsense");
  }

  // The websocket of Node itself, which all but 1.0 prefer, tells as little of a refusal as that of a browser.
  get sees() {
    return this.mode === "websocket" && !this.version.startsWith("1.0.") ? [] : super.sees;
  }

  tells(namespace, message, data) {
    return data ?? message;
  }

  told(error) {
    return error;
  }
}

// The option that carries `fields`; as text, because namespaces of 1.x take nothing else.
function queried(fields) {
  return fields && { query: new URLSearchParams(fields).toString().replaceAll("+", "%20") };
}

module.exports = { Client2 };
