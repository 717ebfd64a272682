// The verbs of operators, and what is known of a client, with clients of three generations: cases for run.js.
"use strict";

const http = require("node:http");
const { deepStrictEqual: same, ok } = require("node:assert");

// Clients by name in one room; each notes what is said to it, and has `theirs`, its sid in the server.
async function people(t, ...names) {
  const found = [];
  for (const name of names) {
    const auth = { name, room: t.unique };
    const socket = await t.client({ auth, query: { ...auth, page: "7" } });
    await known(t, socket);
    found.push(socket);
  }
  return found;
}

async function known(t, socket) {
  socket.heard = [];
  socket.on("said", (word) => socket.heard.push(word));
  [socket.theirs] = await t.ask(socket, "sid");
}

async function heard(t, sockets) {
  for (const socket of sockets) await t.ask(socket, "sid"); // what was sent before has arrived with its answer
  return sockets.map((socket) => socket.heard.splice(0));
}

async function sockets_are_those_who_are_meant(t) {
  const [ada, bob, eve] = await people(t, "ada", "bob", "eve");
  same(await t.ask(ada, "who", t.unique), [[
    ["ada", ada.theirs, [t.unique]], ["bob", bob.theirs, [t.unique]], ["eve", eve.theirs, [t.unique]],
  ]]);
  same(await t.ask(ada, "others", t.unique), [["bob", "eve"]]);
  same(await t.ask(ada, "who", bob.theirs), [[["bob", bob.theirs, [t.unique]]]]);
  same(await t.ask(ada, "who", `nobody ${t.unique}`), [[]]);
}

async function count_is_their_number(t) {
  const [ada, bob] = await people(t, "ada", "bob");
  same(await t.ask(ada, "count", t.unique), [[1, 2]]);
  bob.disconnect();
  await t.disconnected(bob);
  const counts = async () => (await t.ask(ada, "count", t.unique))[0];
  let found = await counts();
  for (let i = 0; i < 500 && found[0]; i++) found = await counts();
  same(found, [0, 1]);
}

async function they_are_moved_from_room_to_room(t) {
  const [ada, bob] = await people(t, "ada", "bob");
  const night = `night ${t.unique}`;
  same(await t.ask(ada, "move", t.unique, night, t.unique), []);
  await t.ask(ada, "say", t.unique, "day");
  await t.ask(ada, "say", night, "night");
  same(await heard(t, [ada, bob]), [["night"], ["night"]]);
  same(await t.ask(ada, "who", night), [[["ada", ada.theirs, [night]], ["bob", bob.theirs, [night]]]]);
  same(await t.ask(bob, "count", t.unique), [[0, 0]]);
}

// A client in "/" and "/chat", and another one in "/chat" that watches.
async function chats(t) {
  const [ada, bob] = await people(t, "ada", "bob");
  const rooms = [];
  for (const [name, root] of Object.entries({ ada, bob })) {
    const chat = t.also(root, "/chat", { auth: { name, room: t.unique } });
    await t.connected(chat);
    await known(t, chat);
    rooms.push(chat);
  }
  return [ada, bob, ...rooms];
}

async function disconnect_ends_one_namespace(t) {
  const [ada, bob, adaChat, bobChat] = await chats(t);
  await t.ask(adaChat, "end", t.unique, false);
  same(await t.disconnected(bobChat), [t.kind.reasons.serverEndedOne[0]]);
  same(await t.ask(adaChat, "count", t.unique), [[0, 1]]);
  same(await t.ask(ada, "count", t.unique), [[1, 2]]);
  same(await t.ask(bob, "sid"), [bob.theirs]);
  same([ada.log, adaChat.log, bob.log, bobChat.connected], [[], [], [], false]);
}

async function disconnect_with_close_ends_the_connection(t) {
  const [ada, bob, adaChat, bobChat] = await chats(t);
  await t.ask(adaChat, "end", t.unique, true);
  const [reason] = t.kind.reasons.serverEnded;
  same([await t.disconnected(bob), await t.disconnected(bobChat)], [[reason], [reason]]);
  await t.until("the connection's end", () => t.kind.isClosed(bob));
  same([await t.ask(ada, "count", t.unique), await t.ask(adaChat, "count", t.unique)], [[[0, 1]], [[0, 1]]]);
  same([ada.log, adaChat.log], [[], []]);
}

async function each_answers_by_its_first_argument(t) {
  const [ada, bob, eve] = await people(t, "ada", "bob", "eve");
  bob.on("vote", (what, answer) => answer(`bob ${what}`, "more"));
  eve.on("vote", (what, answer) => answer(`eve ${what}`));
  same(await t.ask(ada, "vote", t.unique, 10), [[["bob ?", "eve ?"], 0, 0]]);
}

async function those_who_do_not_answer_are_counted(t) {
  const [ada, bob, eve, dan] = await people(t, "ada", "bob", "eve", "dan");
  bob.on("vote", (what, answer) => answer(`bob ${what}`));
  const asked = [t.next(eve, "vote"), t.next(dan, "vote")];
  same(await t.ask(ada, "vote", t.unique, 0.5), [[["bob ?"], 2, 0]]);
  await Promise.all(asked);
}

async function those_who_leave_meanwhile_are_not_waited_for(t) {
  const [ada, bob, eve] = await people(t, "ada", "bob", "eve");
  bob.on("vote", (what, answer) => answer(`bob ${what}`));
  eve.on("vote", () => eve.disconnect());
  same(await t.ask(ada, "vote", t.unique, 60), [[["bob ?"], 0, 0]]);
}

async function the_objects_of_the_server_are_found(t) {
  const [ada, bob] = await people(t, "ada", "bob");
  await t.ask(bob, "score", 3);
  await t.ask(ada, "score", 1);
  same(await t.ask(ada, "points of", bob.theirs), [3]);
  same(await t.ask(ada, "points of", "nobody"), []);
  same(await t.ask(ada, "all points", t.unique), [[1, 3]]);
}

async function what_happens_to_rooms_is_told(t) {
  const [ada, bob] = await people(t, "ada", "bob");
  const night = `night ${t.unique}`;
  await t.ask(ada, "move one", t.unique, "bob", night, t.unique);
  await t.ask(ada, "move one", night, "bob", t.unique, night);
  const came = [["created"], ["joined", ada.theirs], ["joined", bob.theirs]];
  same(await t.ask(ada, "happened", t.unique), [[...came, ["left", bob.theirs], ["joined", bob.theirs]]]);
  same(await t.ask(ada, "happened", night), [[["created"], ["joined", bob.theirs], ["left", bob.theirs], ["deleted"]]]);
}

async function data_is_seen_by_others(t) {
  const [ada, bob] = await people(t, "ada", "bob");
  await t.ask(bob, "data", { text: "é 😀", list: [1, null, { deep: true }] });
  same(await t.ask(ada, "data of", t.unique), [[{ name: "bob", text: "é 😀", list: [1, null, { deep: true }] }]]);
  await t.ask(bob, "data", { text: null });
  same((await t.ask(ada, "data of", t.unique))[0][0].text, null);
}

async function the_handshake_is_what_the_client_sent(t) {
  const [ada] = await people(t, "ada", "bob");
  const [{ time, url, ...rest }] = await t.ask(ada, "handshake");
  const host = `127.0.0.1:${t.port}`;
  same(rest, { page: "7", name: "ada", address: "127.0.0.1", secure: false, cookies: {}, host });
  ok(Math.abs(Date.now() / 1000 - time) < 60, `time: ${time}`);
  ok(url.startsWith("/socket.io/"), url);
  same(await t.ask(ada, "handshakes of", t.unique), [[["7", {}]]]); // without auth
}

async function a_request_reaches_them(t) {
  const clients = await people(t, "ada", "bob");
  const address = `http://127.0.0.1:${t.port}/shout/${encodeURIComponent(t.unique)}/hello`;
  const answer = new Promise((resolve, reject) => {
    http.get(address, { agent: false }, (response) => response.setEncoding("utf8").on("data", resolve)).on("error", reject);
  });
  same(await t.within("the answer", answer), "2");
  same(await heard(t, clients), [["hello"], ["hello"]]);
}

async function one_of_them_is_told_asked_and_moved(t) {
  const [ada, bob, eve] = await people(t, "ada", "bob", "eve");
  bob.on("vote", (what, answer) => answer("one", what));
  await t.ask(ada, "tell", t.unique, "bob", "you");
  same(await t.ask(ada, "ask", t.unique, "bob"), [{ answer: ["one", "?"] }]);
  const night = `night ${t.unique}`;
  await t.ask(ada, "move one", t.unique, "bob", night, t.unique);
  same(await t.ask(ada, "who", night), [[["bob", bob.theirs, [night]]]]);
  same(await heard(t, [ada, bob, eve]), [[], ["you"], []]);
  await t.ask(ada, "end one", t.unique, "eve", true);
  same(await t.disconnected(eve), [t.kind.reasons.serverEnded[0]]);
}

module.exports = {
  sockets_are_those_who_are_meant,
  count_is_their_number,
  they_are_moved_from_room_to_room,
  disconnect_ends_one_namespace,
  disconnect_with_close_ends_the_connection,
  each_answers_by_its_first_argument,
  those_who_do_not_answer_are_counted,
  those_who_leave_meanwhile_are_not_waited_for,
  the_objects_of_the_server_are_found,
  what_happens_to_rooms_is_told,
  data_is_seen_by_others,
  the_handshake_is_what_the_client_sent,
  a_request_reaches_them,
  one_of_them_is_told_asked_and_moved,
};
