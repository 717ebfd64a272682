// socket.io-client 4.8.4 that polls by fetch, as browsers may: it asks for gzip by itself. Prints what it was answered.
//
//   NODE_MODULES=... node fetch.js <port>
"use strict";

const { place } = require("./modules.js");

const client = place("socket.io-client-4");
const { Fetch } = require(require.resolve("engine.io-client", { paths: [client] }));
const socket = require(client)(`http://127.0.0.1:${process.argv[2]}`, { transports: [Fetch] });

const { fetch } = globalThis;
const encodings = [];
globalThis.fetch = async (...args) => {
  const answer = await fetch(...args);
  encodings.push(answer.headers.get("content-encoding"));
  return answer;
};

socket.emit("large", 50_000, (text) => {
  process.stdout.write(JSON.stringify({ length: text.length, encodings }), () => process.exit(0));
});
