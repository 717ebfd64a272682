// The versions of socket.io-client, each behind one of three adapters with the same methods: cases are written once.
"use strict";

const { Client09 } = require("./client09.js");
const { Client2 } = require("./client2.js");
const { Client4 } = require("./client4.js");

// The kind of client that `version` is, such as "2.5.0", carried by `mode`: polling, xhr2, jsonp, websocket or
// upgrade.
function kind(version, mode) {
  if (version.startsWith("0.9.")) return new Client09(version, mode);
  return /^[12]\./.test(version) ? new Client2(version, mode) : new Client4(version, mode);
}

module.exports = { kind };
