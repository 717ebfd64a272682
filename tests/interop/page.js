// A page with globals of its own, for the builds of clients that browsers load.
"use strict";

const vm = require("node:vm");
const { Document, ELSEWHERE, XMLHttpRequest } = require("./dom.js");
const { modules } = require("./modules.js");

// `io` of a page that runs `program`. Without XHR (`calls`) the page is on another site than the server.
function page(program, { calls }) {
  const { WebSocket } = modules("ws");
  // Values of the page are to be those of the cases, not of types that only look the same.
  const window = { JSON, ArrayBuffer, DataView, Uint8Array, setTimeout, clearTimeout, WebSocket };
  window.location = calls ? new URL("http://127.0.0.1/") : ELSEWHERE;
  window.document = new Document(window.location.href, (script) => vm.runInContext(script, window));
  if (calls) window.XMLHttpRequest = XMLHttpRequest;
  vm.createContext(window);
  vm.runInContext("self = this", window);
  vm.runInContext(program, window);
  return window.io;
}

module.exports = { page };
