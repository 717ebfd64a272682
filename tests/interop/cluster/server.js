// A Socket.IO server of Node that is in a cluster by Redis, and does what POST /do says.
"use strict";

const http = require("node:http");
const { createAdapter, createShardedAdapter } = modules("@socket.io/redis-adapter");
const streams = modules("@socket.io/redis-streams-adapter");
const { createClient } = modules("redis");
const { Server } = modules("socket.io");
const { pack, unpack } = require("./values.js");

function modules(name) {
  return require(require("node:path").join(process.env.NODE_MODULES, name));
}

async function adapter(kind, url) {
  const client = createClient({ url });
  client.on("error", (error) => console.error(String(error)));
  await client.connect();
  if (kind === "streams") return streams.createAdapter(client);
  const listener = client.duplicate();
  listener.on("error", (error) => console.error(String(error)));
  await listener.connect();
  if (kind.startsWith("sharded")) {
    return createShardedAdapter(client, listener, { subscriptionMode: kind.slice("sharded-".length) || "dynamic" });
  }
  return createAdapter(client, listener, { publishOnSpecificResponseChannel: kind === "classic-specific" });
}

function serve(io, name) {
  const seen = [];
  const app = (nsp) => io.of(nsp || "/");
  const to = ({ nsp, rooms = [], except = [] }) => {
    let operator = app(nsp).to(rooms).except(except);
    return operator;
  };
  for (const nsp of ["/", "/chat"]) {
    app(nsp).on("connection", (socket) => {
      socket.data.name = socket.handshake.auth.name;
      socket.join("lobby");
      socket.emit("ready", socket.id);
    });
    app(nsp).on("tell", (...args) => seen.push([nsp, ...args]));
    app(nsp).on("stats", (word, done) => done({ name, word }));
  }
  return {
    emit: (about) => void to(about).emit(...about.args),
    sockets: async (about) => {
      const found = await to(about).fetchSockets();
      return found.map(({ id, rooms, data, handshake }) =>
        ({ id, rooms: [...rooms].filter((room) => room !== id).sort(), data, agent: handshake.headers["user-agent"] }));
    },
    call: (about) => to(about).timeout(5000).emitWithAck(...about.args),
    call_one: async (about) => {
      const [socket] = await to(about).fetchSockets();
      return socket.timeout(5000).emitWithAck(...about.args);
    },
    join: (about) => void to(about).socketsJoin(about.into),
    leave: (about) => void to(about).socketsLeave(about.outof),
    disconnect: (about) => void to(about).disconnectSockets(about.close),
    server_emit: (about) => void app(about.nsp).serverSideEmit(...about.args),
    server_call: (about) => app(about.nsp).serverSideEmitWithAck(...about.args),
    seen: () => seen,
    members: (about) => app(about.nsp).adapter.serverCount(),
    all_rooms: async (about) => [...await app(about.nsp).adapter.allRooms()].sort(),
  };
}

async function main() {
  const [kind, url, name] = process.argv.slice(2);
  const verbs = {};
  const server = http.createServer(async (request, response) => {
    const parts = [];
    for await (const part of request) parts.push(part);
    const { verb, about } = unpack(JSON.parse(Buffer.concat(parts).toString()));
    try {
      const result = await verbs[verb](about);
      response.end(JSON.stringify({ result: pack(result) }));
    } catch (error) {
      response.end(JSON.stringify({ error: String(error) }));
    }
  });
  const io = new Server(server, { adapter: await adapter(kind, url), connectionStateRecovery: kind === "streams" ? {} : undefined });
  Object.assign(verbs, serve(io, name));
  server.listen(0, "127.0.0.1", () => console.log(server.address().port));
}

main();
