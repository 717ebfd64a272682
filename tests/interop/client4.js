// socket.io-client 3.x and 4.x. The version "4.8.4-msgpack" is 4.8.4 with socket.io-msgpack-parser.
"use strict";

const { EngineClient } = require("./engine.js");
const { modules } = require("./modules.js");

class Client4 extends EngineClient {
  generation = 4;
  heartbeat = "ping"; // of the server
  poisonous = "9nonsense"; // there is no such type
  refusals = ["connect_error"];
  takesBuffers = true;
  ids = 3; // of one client in "/" and "/chat": those two and the connection's

  constructor(version, mode) {
    super(modules(`socket.io-client-${version[0]}`), version, mode);
    this.speaksMsgpack = version.endsWith("-msgpack");
    this.takesViews = !this.speaksMsgpack; // that parser sends the whole buffer of a view
  }

  // A socket of `namespace` with a connection of its own; `options` are the client's.
  socket({ port, namespace, ...options }) {
    if (this.speaksMsgpack) options.parser = modules("socket.io-msgpack-parser");
    return this.open(`http://127.0.0.1:${port}${namespace}`, options);
  }

  // A further namespace on the connection of `socket`.
  also(socket, namespace, options) {
    return socket.io.socket(namespace, options);
  }

  // Tries again to join the namespace of `socket`.
  join(socket, auth) {
    socket.auth = auth;
    socket.connect();
  }

  // What this client calls itself in its namespace.
  sid(socket) {
    return socket.id;
  }

  // What comes of ConnectionRefused(message, data) in `namespace`.
  tells(namespace, message, data) {
    return [message, data];
  }

  told(error) {
    return [error.message, error.data];
  }

  get sees() {
    return this.version.startsWith("4.") && !this.mode.startsWith("w") ? ["status", "body"] : super.sees;
  }

  answer(error) {
    const body = error.context?.responseText;
    return body ? { ...super.answer(error), body } : super.answer(error);
  }
}

module.exports = { Client4 };
