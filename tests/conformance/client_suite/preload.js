// Loaded before the suite. Each timer of its process, the client's own ones too, lasts SLOWER times as long; and where
// TRANSPORTS is set, clients for which a case names no transports take these.
const slower = Number(process.env.SLOWER);
const { setTimeout, setInterval } = globalThis;

globalThis.setTimeout = (callback, delay, ...args) => setTimeout(callback, delay * slower, ...args);
globalThis.setInterval = (callback, delay, ...args) => setInterval(callback, delay * slower, ...args);

if (process.env.TRANSPORTS) {
  const { Manager } = require("./build/cjs/index.js");
  const transports = process.env.TRANSPORTS.split(",");
  const open = Manager.prototype.open;

  Manager.prototype.open = function (...args) {
    this.opts.transports ??= transports;
    return open.apply(this, args);
  };
}
