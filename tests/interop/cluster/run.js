// The checks of one cluster: argv has the URLs of its servers by name. Prints what went wrong, by check.
"use strict";

const { deepStrictEqual: same } = require("node:assert");
const { io } = require(require("node:path").join(process.env.NODE_MODULES, "socket.io-client"));
const { pack, unpack } = require("./values.js");

const WITHIN = Number(process.env.WITHIN || 20000);
const servers = JSON.parse(process.argv[2]);
const kind = process.argv[3];
const names = Object.keys(servers);
const sorted = (list) => [...list].sort((a, b) => (JSON.stringify(a) < JSON.stringify(b) ? -1 : 1));
const sleep = (ms) => new Promise((done) => setTimeout(done, ms));

async function on(name, verb, about = {}) {
  const body = JSON.stringify({ verb, about: pack(about) });
  const answer = await (await fetch(`${servers[name]}/do`, { method: "POST", body })).json();
  if (answer.error) throw new Error(`${verb} at ${name}: ${answer.error}`);
  return unpack(answer.result);
}

async function eventually(get, wanted) {
  let found;
  for (const until = Date.now() + WITHIN; Date.now() < until; await sleep(20)) {
    found = await get();
    try { same(found, wanted); return; } catch { /* not yet */ }
  }
  same(found, wanted);
}

function connect(name, nsp = "/") {
  const socket = io(servers[name] + nsp, { auth: { name }, transports: ["websocket"], forceNew: true, reconnection: false });
  socket.heard = [];
  socket.onAny((event, ...args) => {
    const ack = typeof args.at(-1) === "function" ? args.pop() : null;
    if (kind === "streams" && /^\d+-\d+$/.test(args.at(-1))) args.pop(); // where to go on after a loss, of Node
    if (event !== "ready") socket.heard.push([event, ...args.map(pack)]);
    if (ack && socket.answer) ack(socket.answer(...args));
  });
  return new Promise((done, fail) => {
    socket.on("ready", () => done(socket));
    socket.on("connect_error", fail);
  });
}

let clients = {};
// Everybody but those in `who` has heard nothing since; an event to each alone comes behind all that was sent before.
async function heard(who, ...events) {
  for (const name of names) {
    await eventually(async () => clients[name].heard.length >= (who.includes(name) ? events.length : 0), true);
  }
  await sleep(150);
  const found = Object.fromEntries(names.map((name) => [name, clients[name].heard.splice(0)]));
  same(found, Object.fromEntries(names.map((name) => [name, who.includes(name) ? events.map(pack) : []])));
}

const checks = {};
for (const from of names) {
  Object.assign(checks, {
    [`${from}: members are counted`]: () => eventually(() => on(from, "members"), names.length),
    [`${from}: emit`]: async () => {
      await on(from, "emit", { args: ["news", 1, null, true, 1.5, -7, 70000, "é", { a: [] }] });
      await heard(names, ["news", 1, null, true, 1.5, -7, 70000, "é", { a: [] }]);
    },
    [`${from}: emit to a room, and to nobody's`]: async () => {
      await on(from, "emit", { rooms: ["lobby"], args: ["news", 1] });
      await on(from, "emit", { rooms: ["nobody"], args: ["lost"] });
      await heard(names, ["news", 1]);
    },
    [`${from}: emit to a sid, and except one`]: async () => {
      for (const name of names) {
        await on(from, "emit", { rooms: [clients[name].id], args: ["news", name] });
        await heard([name], ["news", name]);
        await on(from, "emit", { except: [clients[name].id], args: ["others", name] });
        await on(from, "emit", { rooms: ["lobby", "x"], except: [clients[name].id], args: ["others", 2] });
        await heard(names.filter((each) => each !== name), ["others", name], ["others", 2]);
      }
    },
    [`${from}: emit binary`]: async () => {
      await on(from, "emit", { args: ["bin", Buffer.from([1, 2, 3]), { x: [Buffer.from([4])] }] });
      await heard(names, ["bin", Buffer.from([1, 2, 3]), { x: [Buffer.from([4])] }]);
      await on(from, "emit", { rooms: ["lobby"], args: ["bin", Buffer.from([])] });
      await heard(names, ["bin", Buffer.from([])]);
    },
    [`${from}: many in order`]: async () => {
      const events = Array.from({ length: 50 }, (_, number) => ["news", number]);
      for (const args of events) await on(from, "emit", { args });
      await heard(names, ...events);
    },
    [`${from}: sockets`]: async () => {
      const found = await on(from, "sockets", { rooms: ["lobby"] });
      same(sorted(found.map(({ id, rooms, data }) => [id, rooms, data])),
        sorted(names.map((name) => [clients[name].id, ["lobby"], { name }])));
      same(await on(from, "sockets", { rooms: ["nobody"] }), []);
      const all = (await on(from, "sockets")).map(({ id }) => id);
      same(sorted(all), sorted(names.map((name) => clients[name].id)));
    },
    [`${from}: call`]: async () => {
      for (const name of names) clients[name].answer = (word) => ({ name, word, bin: Buffer.from([7]) });
      const answers = await on(from, "call", { rooms: ["lobby"], args: ["vote", "?"] });
      same(sorted(answers.map(pack)), sorted(names.map((name) => pack({ name, word: "?", bin: Buffer.from([7]) }))));
      same(await on(from, "call", { rooms: ["nobody"], args: ["vote", "?"] }), []);
      await heard(names, ["vote", "?"]);
    },
    [`${from}: call one`]: async () => {
      for (const name of names) {
        clients[name].answer = (word) => name + word;
        same(await on(from, "call_one", { rooms: [clients[name].id], args: ["vote", "!"] }), name + "!");
        await heard([name], ["vote", "!"]);
      }
    },
    [`${from}: join and leave`]: async () => {
      for (const name of names) {
        await on(from, "join", { rooms: [clients[name].id], into: ["night", "late"] });
        const rooms = async () => (await on(from, "sockets", { rooms: [clients[name].id] }))[0].rooms;
        await eventually(rooms, ["late", "lobby", "night"]);
        await on(from, "emit", { rooms: ["night"], args: ["news", name] });
        await heard([name], ["news", name]);
        await on(from, "leave", { rooms: ["night"], outof: ["night", "late"] });
        await eventually(rooms, ["lobby"]);
        await on(from, "emit", { rooms: ["night"], args: ["lost", name] });
      }
      await heard([]);
    },
    [`${from}: server emit and call`]: async () => {
      await on(from, "server_emit", { args: ["tell", from, { x: 1 }] });
      for (const name of names.filter((each) => each !== from)) {
        await eventually(async () => (await on(name, "seen")).filter((each) => each[1] === from).length, 1);
        same((await on(name, "seen")).find((each) => each[1] === from), ["/", from, { x: 1 }]);
      }
      same((await on(from, "seen")).filter((each) => each[1] === from), []);
      const replies = await on(from, "server_call", { args: ["stats", "w"] });
      same(sorted(replies), sorted(names.filter((each) => each !== from).map((name) => ({ name, word: "w" }))));
    },
    [`${from}: another namespace`]: async () => {
      const chat = await Promise.all(names.map((name) => connect(name, "/chat")));
      await eventually(() => on(from, "members", { nsp: "/chat" }), names.length);
      await on(from, "emit", { nsp: "/chat", args: ["news", 1] });
      for (const socket of chat) await eventually(() => socket.heard, [["news", 1]]);
      const found = await on(from, "sockets", { nsp: "/chat" });
      same(sorted(found.map(({ id }) => id)), sorted(chat.map(({ id }) => id)));
      await on(from, "disconnect", { nsp: "/chat", close: false });
      for (const socket of chat) await eventually(() => socket.connected, false);
      await heard([]);
    },
    [`${from}: disconnect`]: async () => {
      const others = await Promise.all(names.map((name) => connect(name)));
      const rooms = others.map(({ id }) => id);
      await on(from, "disconnect", { rooms, close: true });
      for (const socket of others) await eventually(() => socket.connected, false);
      same(names.filter((name) => !clients[name].connected), []);
    },
  });
}
for (const from of kind.startsWith("classic") ? names.filter((name) => name !== "python") : []) {
  checks[`${from}: all rooms`] = async () => {
    same(await on(from, "all_rooms"), ["lobby", ...names.map((name) => clients[name].id)].sort());
  };
}

async function main() {
  const results = {};
  for (const name of names) await eventually(() => on(name, "members"), names.length);
  for (const name of names) clients[name] = await connect(name);
  for (const [name, check] of Object.entries(checks)) {
    try {
      await check();
      results[name] = null;
    } catch (error) {
      results[name] = String(error.stack);
      for (const client of Object.values(clients)) client.heard.length = 0;
    }
  }
  console.log(JSON.stringify(results));
  process.exit(0);
}

main().catch((error) => { console.error(error); process.exit(1); });
