// Clients of a server with several workers, whose requests meet any of them: cases for run.js.
"use strict";

const { deepStrictEqual: same, ok } = require("node:assert");

const CLIENTS = 16;
const ACKS = 10;

async function clients(t) {
  return Promise.all(Array.from({ length: CLIENTS }, () => t.client()));
}

async function answered(t, socket, count = ACKS) {
  for (let i = 0; i < count; i++) same(await t.ask(socket, "echo", `é ${i}`), [`é ${i}`]);
}

async function everybody_is_answered(t) {
  const sockets = await clients(t);
  await Promise.all(sockets.map((socket) => answered(t, socket)));
  same(sockets.flatMap((socket) => socket.log), []);
}

async function a_large_event_passes(t) {
  const sockets = await clients(t);
  const text = "é".repeat(200_000);
  await Promise.all(sockets.slice(0, 4).map(async (socket) => same(await t.ask(socket, "echo", text), [text])));
}

async function everybody_hears_everybody_once(t) {
  const sockets = await clients(t);
  for (const socket of sockets) {
    socket.heard = [];
    socket.on("said", (text) => socket.heard.push(text));
  }
  await Promise.all(sockets.map((socket) => t.ask(socket, "join", t.unique)));
  same(await t.ask(sockets[0], "count", t.unique), [CLIENTS]);
  await Promise.all(sockets.map((socket, i) => t.ask(socket, "say", t.unique, String(i))));
  const all = sockets.map((_, i) => String(i)).sort();
  await t.until("all have heard all", () => sockets.every((socket) => socket.heard.length >= CLIENTS));
  for (const socket of sockets) same(socket.heard.slice().sort(), all);
}

// Kills one worker. Its clients come back; those whose connections were not its own notice nothing.
async function a_worker_that_is_killed(t) {
  const sockets = await clients(t);
  const pids = await Promise.all(sockets.map(async (socket) => (await t.ask(socket, "pid"))[0]));
  while (new Set(pids).size < 2) {
    sockets.push(await t.client()); // a worker that has little to do takes all that come one by one
    pids.push((await t.ask(sockets.at(-1), "pid"))[0]);
  }
  const others = sockets.filter((_, i) => pids[i] !== pids[0]);
  sockets[0].emit("die");
  await t.disconnected(sockets[0]);
  for (const socket of sockets) await settled(t, socket);
  const now = await Promise.all(sockets.map(async (socket) => (await t.ask(socket, "pid"))[0]));
  ok(!now.includes(pids[0]), `somebody is at ${pids[0]}`);
  if (t.kind.mode === "websocket") same(others.flatMap((socket) => socket.log), []);
}

// Whoever was connected by the one that was killed may lose an answer, but comes back.
async function settled(t, socket) {
  let echoed = false;
  const timer = setInterval(() => socket.connected && socket.emit("echo", 1, () => (echoed = true)), 100);
  await t.until("answers again", () => echoed).finally(() => clearInterval(timer));
}

module.exports = { everybody_is_answered, everybody_hears_everybody_once, a_large_event_passes, a_worker_that_is_killed };
