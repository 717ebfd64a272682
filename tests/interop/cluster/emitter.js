// npm @socket.io/redis-emitter: does what stdin says, [[verb, about], ...], as server.js does.
"use strict";

const path = require("node:path");
const modules = (name) => require(path.join(process.env.NODE_MODULES, name));
const { Emitter } = modules("@socket.io/redis-emitter");
const { createClient } = modules("redis");
const { unpack } = require("./values.js");

async function main() {
  const parts = [];
  for await (const part of process.stdin) parts.push(part);
  const client = createClient({ url: process.argv[2] });
  await client.connect();
  const emitter = new Emitter(client);
  const verbs = {
    emit: (to, about) => to.emit(...about.args),
    join: (to, about) => to.socketsJoin(about.into),
    leave: (to, about) => to.socketsLeave(about.outof),
    disconnect: (to, about) => to.disconnectSockets(about.close),
    server_emit: (to, about) => emitter.of(about.nsp || "/").serverSideEmit(...about.args),
  };
  for (const [verb, about] of unpack(JSON.parse(Buffer.concat(parts).toString()))) {
    let to = emitter.of(about.nsp || "/");
    if (about.rooms) to = to.to(about.rooms);
    if (about.except) to = to.except(about.except);
    verbs[verb](to, about);
  }
  await client.quit();
}

main();
