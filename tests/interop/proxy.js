// A way to the server, on a port of its own, that can be cut, and that can hold websockets back for a while.
"use strict";

const net = require("node:net");

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

module.exports = { Proxy };
