// A client of 4.8 whose connections break again and again while numbered events come: it misses none of them.
//
//   NODE_MODULES=... node recovery.js <version> <polling|websocket|upgrade> <port>
// Prints one JSON object: {"<case>": null | "<what went wrong>"}.
"use strict";

const { kind } = require("./clients.js");
const { Talk } = require("./talk.js");

const EVENTS = 600;

function same(found, expected) {
  const [one, other] = [JSON.stringify(found), JSON.stringify(expected)];
  if (one !== other) throw new Error(`expected ${other}, found ${one}`);
}

async function client(t, options) {
  const socket = t.socket({ auth: { name: t.unique }, ...options });
  const got = [];
  socket.on("n", (number, value, offset) => {
    if (typeof offset !== "string") throw new Error(`no offset: ${offset}`);
    got.push(number);
  });
  await t.connected(socket);
  return [socket, got];
}

const cases = {
  // The server notices each break at once, or later than the client is back.
  async the_network_breaks_again_and_again(t) {
    const proxy = await t.proxy();
    const [socket, got] = await client(t, { port: proxy.port });
    const recovered = [];
    socket.on("connect", () => recovered.push(socket.recovered));
    const [sid] = await t.ask(socket, "begin", EVENTS);
    for (let breaks = 0; breaks < 5; breaks++) {
      const upto = got.length + 20;
      await t.until("some events", () => got.length >= Math.min(upto, EVENTS));
      const count = recovered.length;
      await proxy.cut(t, false);
      await t.until("the loss", () => !socket.connected);
      proxy.mend();
      await t.until("the return", () => recovered.length > count);
    }
    await t.until("all events", () => got.length >= EVENTS);
    same(got, Array.from({ length: EVENTS }, (_, number) => number));
    same(recovered, recovered.map(() => true));
    same([socket.id, await t.ask(socket, "who")], [sid, [[sid, t.unique, [t.unique]]]]);
  },

  async before_any_event_has_come(t) {
    const proxy = await t.proxy();
    const [socket, got] = await client(t, { port: proxy.port });
    const begun = new Promise((resolve) => socket.emit("begin", 30, resolve));
    await proxy.cut(t, false);
    await Promise.race([begun, t.until("the loss", () => !socket.connected)]);
    proxy.mend();
    await t.until("the return", () => socket.connected);
    same(socket.recovered, true);
    if (!got.length) await t.ask(socket, "begin", 30);
    await t.until("all events", () => got.length >= 30);
    same(got.slice(0, 30), Array.from({ length: 30 }, (_, number) => number));
  },

  async who_is_thrown_out_is_new(t) {
    const [socket] = await client(t, {});
    const before = socket.id;
    socket.emit("out");
    await t.disconnected(socket);
    socket.connect();
    await t.until("the return", () => socket.connected);
    same([socket.recovered, socket.id !== before], [false, true]);
  },

  async who_leaves_is_new(t) {
    const [socket] = await client(t, {});
    const before = socket.id;
    socket.disconnect();
    socket.connect();
    await t.until("the return", () => socket.connected);
    same([socket.recovered, socket.id !== before], [false, true]);
  },
};

async function main(version, mode, port) {
  const results = {};
  for (const [name, run] of Object.entries(cases)) {
    const talk = new Talk({ kind: kind(version, mode), port: Number(port), name });
    try {
      await run(talk);
      results[name] = null;
    } catch (error) {
      results[name] = `${error?.stack || error}\nlast step: ${talk.step}`;
    } finally {
      talk.end();
    }
  }
  process.stdout.write(JSON.stringify(results), () => process.exit(0));
}

main(...process.argv.slice(2));
