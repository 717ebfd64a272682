// What must hold between a Socket.IO server and its clients, one function per case. A case gets a Talk and throws if
// something does not hold. Beneath a case stands who cannot have it: `modes` limits it to these ways to be carried,
// `only` to these versions, `without` excludes versions; "1" is every 1.x, "1.0 websocket" is 1.0 when a websocket
// carries it: its text is UTF-8 of UTF-8 there, where no server expects it.
"use strict";

const { deepStrictEqual: same, ok } = require("node:assert");
const { plain } = require("./talk.js");

// With what carriers quote: backslashes and newlines (JSONP), U+FFFD (lengths of 0.9), what forms and URLs encode.
const UNICODE = 'é ß 漢字 😀 𝄞 👩‍👩‍👧‍👦 \u0000 \n "\\ \r\n \\n \\\\n \u2028\u2029 \ufffd3\ufffd %41+&=?# </script> \ufeff';
const MAX_PAYLOAD = Number(process.env.MAX_PAYLOAD || 100_000);
const MANY = 1000;

const upTo = (n) => Array.from({ length: n }, (_, i) => i);
const bytes = (...numbers) => Uint8Array.from(numbers).buffer;

// ---- connecting -----------------------------------------------------------------------------------------------

async function connect_carries_the_auth_payload(t) {
  const auth = { token: "abc", text: UNICODE, empty: "" };
  const socket = t.socket({ auth });
  const got = t.next(socket, "auth");
  await t.connected(socket);
  same(await got, [auth]);
  ok(typeof t.kind.sid(socket) === "string" && t.kind.sid(socket).length > 0);
  same(await t.ask(socket, "socket.id"), [t.kind.sid(socket)]);
}

async function the_auth_payload_is_any_json(t) {
  const auth = { token: "abc", nested: { list: [1, null, UNICODE] } };
  const socket = t.socket({ auth });
  same(await t.next(socket, "auth"), [auth]);
}
// What older clients can say here is a query: text.
the_auth_payload_is_any_json.only = ["3", "4"];

async function connect_without_auth_gives_an_empty_object(t) {
  const socket = t.socket();
  const got = t.next(socket, "auth");
  await t.connected(socket);
  same(await got, [{}]);
}

async function the_query_reaches_the_server(t) {
  const socket = await t.client({ query: { "größe": "a b&c" } });
  same(await t.ask(socket, "query", "größe"), ["a b&c"]);
}

async function the_carrier_is_the_one_asked_for(t) {
  const socket = await t.client();
  same(t.kind.carries(socket), t.kind.carrier);
  same(await t.ask(socket, "echo-ack", 1), [1]);
  same(t.kind.carries(socket), t.kind.carrier);
}

async function several_namespaces_share_one_connection(t) {
  const root = await t.client();
  const chat = t.also(root, "/chat");
  await t.connected(chat);
  same(t.kind.connection(chat), t.kind.connection(root));
  const ids = [t.kind.sid(root), t.kind.sid(chat)];
  same(new Set([...ids, t.kind.connectionId(root)]).size, t.kind.ids);
  same([await t.ask(root, "socket.id"), await t.ask(chat, "socket.id")].flat(), ids);
  same(await t.ask(chat, "where"), ["/chat"]);
  same(await t.ask(root, "where"), ["/"]);
  const heard = [];
  root.on("echo-back", (...args) => heard.push(["/", ...args]));
  chat.on("echo-back", (...args) => heard.push(["/chat", ...args]));
  root.emit("echo", 1);
  chat.emit("echo", 2);
  root.emit("echo", 3);
  await t.until("three echoes", () => heard.length === 3);
  same(heard, [["/", 1], ["/chat", 2], ["/", 3]]);
}

async function each_namespace_has_its_own_auth(t) {
  const root = t.socket({ auth: { who: "root" } });
  const told = t.next(root, "auth");
  await t.connected(root);
  const chat = t.also(root, "/chat", { auth: { who: "chat" } });
  same(await t.next(chat, "auth"), [{ who: "chat" }]);
  same(await told, [{ who: "root" }]);
}
// It tells a namespace nothing.
each_namespace_has_its_own_auth.without = ["1.0"];

async function what_is_sent_before_the_connection_arrives(t) {
  const root = t.socket();
  const chat = t.also(root, "/chat");
  const answers = [t.ask(root, "echo-ack", 1), t.ask(chat, "echo-ack", 2), t.ask(chat, "where"), t.ask(root, "where")];
  same(await Promise.all(answers), [[1], [2], ["/chat"], ["/"]]);
}

async function an_unknown_namespace_is_refused(t) {
  const root = await t.client();
  const nope = t.also(root, "/nope");
  same((await t.refused(nope)).told, t.kind.tells("/nope", "Invalid namespace"));
  same(nope.connected, false);
  same(await t.ask(root, "echo-ack", "alive"), ["alive"]);
}

async function a_refusal_carries_its_data(t) {
  const root = await t.client();
  const { told } = await t.refused(t.also(root, "/auth"));
  same(told, t.kind.tells("/auth", "not authorized", { code: 401, hint: UNICODE }));
  same(await t.ask(root, "echo-ack", "alive"), ["alive"]);
}

async function a_refusal_without_data_has_none(t) {
  const { told } = await t.refused(t.socket({ namespace: "/closed" }));
  same(told, t.kind.tells("/closed", "closed"));
}

async function the_global_namespace_may_refuse(t) {
  const socket = t.socket({ auth: { refuse: "me" } });
  same((await t.refused(socket)).told, t.kind.tells("/", "not you"));
  same(socket.connected, false);
}

async function a_refused_client_may_come_again(t) {
  const socket = t.socket({ namespace: "/auth" });
  await t.refused(socket);
  t.kind.join(socket, { token: "right" });
  await t.connected(socket);
  same(await t.ask(socket, "where"), ["/auth"]);
}
// It tells a namespace nothing.
a_refused_client_may_come_again.without = ["1.0"];

// React's StrictMode mounts, unmounts and mounts again: the client sends two CONNECTs, and no DISCONNECT.
async function a_namespace_joined_twice_before_the_answer_is_joined_once(t) {
  const root = await t.client();
  const chat = t.also(root, "/chat");
  let [connects, told] = [0, 0];
  chat.on("connect", () => connects++);
  chat.on("auth", () => told++);
  chat.disconnect();
  chat.connect();
  await t.connected(chat);
  same(await t.ask(chat, "where"), ["/chat"]);
  same(await t.ask(root, "where"), ["/"]);
  same([connects, told, chat.log, root.log], [1, 1, [], []]);
}
// 0.9 does not ask again; 1.0 then closes the connection by itself.
a_namespace_joined_twice_before_the_answer_is_joined_once.only = ["1", "2", "3", "4"];
a_namespace_joined_twice_before_the_answer_is_joined_once.without = ["1.0"];

async function a_view_refuses_with_its_own_answer(t) {
  const answer = { status: 401, body: "no entry: who are you?" };
  const socket = t.socket({ path: "/guarded", reconnection: false });
  const refusal = await t.refused(socket);
  same(refusal.answer, Object.fromEntries(t.kind.sees.map((what) => [what, answer[what]])));
  const [status, body, headers] = await t.refusedHandshake(t.kind.handshake("/guarded"));
  same([status, body, headers["x-reason"]], [401, "no entry: who are you?", "unknown"]);
}

// ---- events and acks -------------------------------------------------------------------------------------------

async function events_carry_json_both_ways(t) {
  const socket = await t.client();
  const args = [1, -2.5, "text", "", true, null, [], {}, [1, [2, [3]]], { a: { b: ["c"] } }, 1e21, 18446744073709552000];
  const got = t.next(socket, "echo-back");
  socket.emit("echo", ...args);
  same(await got, args);
}
events_carry_json_both_ways.without = ["4.8.4-msgpack"];

async function events_without_arguments_arrive(t) {
  const socket = await t.client();
  const got = t.next(socket, "echo-back");
  socket.emit("echo");
  same(await got, []);
}

async function text_beyond_the_basic_plane_survives(t) {
  const socket = await t.client();
  const got = t.next(socket, "echo-back");
  socket.emit("echo", UNICODE, { [UNICODE]: UNICODE });
  same(await got, [UNICODE, { [UNICODE]: UNICODE }]);
  same(await t.ask(socket, "echo-ack", UNICODE), [UNICODE]);
}

// To a server 1.x differs from 2.x by this alone: its text is UTF-8 of UTF-8.
async function text_that_looks_encoded_twice_survives(t) {
  const socket = await t.client();
  for (const text of ["漢", "é", "Ã©", "Ã\u0083Â©", "ÿ"]) same(await t.ask(socket, "echo-ack", text), [text]);
}

async function half_a_pair_breaks_nothing(t) {
  const socket = await t.client();
  same(await t.ask(socket, "echo-ack", "\ud83d half", "\ude00"), ["\ud83d half", "\ude00"]);
  same(await t.ask(socket, "echo-ack", "whole 😀"), ["whole 😀"]);
  same(socket.log, []);
}
half_a_pair_breaks_nothing.without = ["4.8.4-msgpack"];

async function event_names_may_be_any_text(t) {
  const socket = await t.client();
  const got = t.next(socket, "zurück 😀");
  socket.emit("größe 😀:𝄞", 1);
  same(await got, [1]);
}

async function room_names_may_be_any_text(t) {
  const [speaker, hearer] = [await t.client(), await t.client()];
  const room = `${UNICODE} ${t.unique}`;
  same(await t.ask(hearer, "join", room), ["joined", room]);
  const got = t.next(hearer, "said");
  speaker.emit("to room", [room], "said", "hi");
  same(await got, ["hi"]);
}

async function namespace_names_may_be_any_text(t) {
  const root = await t.client();
  const socket = t.also(root, "/größe😀");
  await t.connected(socket);
  same(await t.ask(socket, "where"), ["/größe😀"]);
  const got = t.next(socket, "echo-back");
  socket.emit("echo", UNICODE);
  same(await got, [UNICODE]);
}

async function namespaces_are_served_by_pattern(t) {
  const seven = t.socket({ namespace: "/orders/7?token=abc" }); // the query is none of the name's
  await t.connected(seven);
  const [eight, tenant] = [t.also(seven, "/orders/8"), t.also(seven, "/tenant-ada")];
  await t.connected(eight);
  await t.connected(tenant);
  same(await t.ask(seven, "params"), ["/orders/7", { order_id: 7 }]);
  same(await t.ask(eight, "params"), ["/orders/8", { order_id: 8 }]);
  same(await t.ask(tenant, "params"), ["/tenant-ada", { name: "ada" }]);
  const heard = [];
  for (const socket of [seven, eight]) socket.on(`paid ${t.unique}`, () => heard.push(socket.nsp));
  eight.emit("broadcast", `paid ${t.unique}`);
  await t.ask(eight, "params");
  await t.ask(seven, "params");
  same(heard, ["/orders/8"]);
  for (const name of ["/orders/007", "/orders/x"]) {
    same((await t.refused(t.also(seven, name))).told, t.kind.tells(name, "Invalid namespace"));
  }
}

async function middleware_goes_round_connects_and_events(t) {
  const root = await t.client();
  const socket = t.also(root, "/watched");
  await t.connected(socket);
  same(await t.ask(socket, "say", "hi"), ["hi"]);
  same(await t.ask(socket, "shout", "hi"), ["HI"]);
  same(await t.ask(socket, "dropped"), ["not today"]);
  const [refused] = await t.ask(socket, "secret");
  same(refused.error, { name: "not_yours", message: "It is not yours", details: { asked: "secret" } });
  same((await t.refused(t.also(root, "/shut"))).told, t.kind.tells("/shut", "kept out"));
}

async function a_message_is_an_event(t) {
  const socket = await t.client();
  const got = t.next(socket, "message");
  socket.send("hello", { a: 1 });
  same(await got, ["hello", { a: 1 }]);
}
// Its messages are packets of their own.
a_message_is_an_event.without = ["0.9"];

async function a_message_is_text(t) {
  const socket = await t.client();
  for (const text of ["hello", "", " 5:::{}:: ", UNICODE]) {
    const got = t.next(socket, "message");
    socket.send(text);
    same(await got, [text]);
  }
  const heard = []; // some of them together, so that their lengths matter
  socket.on("message", (text) => heard.push(text));
  for (const i of upTo(20)) socket.send(`${i} ${UNICODE}`);
  await t.until("twenty messages", () => heard.length === 20);
  same(heard, upTo(20).map((i) => `${i} ${UNICODE}`));
}
a_message_is_text.only = ["0.9"];

async function a_message_is_json(t) {
  const socket = await t.client();
  for (const value of [{ a: [1, null, UNICODE] }, [], 0, "text", null]) {
    const got = t.next(socket, "message");
    socket.sendJson(value);
    same(await got, [value]);
  }
}
a_message_is_json.only = ["0.9"];

async function a_message_is_confirmed(t) {
  const socket = await t.client();
  await t.within("a receipt", new Promise((resolve) => socket.send("hello", resolve)));
}
a_message_is_confirmed.only = ["0.9"];

async function acks_of_the_server(t) {
  const socket = await t.client();
  same(await t.ask(socket, "ack none"), []);
  same(await t.ask(socket, "echo-ack"), []);
  same(await t.ask(socket, "echo-ack", "one"), ["one"]);
  same(await t.ask(socket, "echo-ack", 1, "two", { three: 3 }), [1, "two", { three: 3 }]);
  same(await t.ask(socket, "ack list"), [[1, 2, 3]]);
}

async function acks_of_the_client(t) {
  const socket = await t.client();
  socket.on("question", (...args) => args.pop()(...args));
  same(await t.ask(socket, "ask me"), [{ answer: null }]);
  same(await t.ask(socket, "ask me", "é😀"), [{ answer: "é😀" }]);
  same(await t.ask(socket, "ask me", 1, [2], { three: 3 }), [{ answer: [1, [2], { three: 3 }] }]);
}

async function many_acks_find_their_questions(t) {
  const socket = await t.client();
  const asked = Array.from({ length: 200 }, (_, i) => t.ask(socket, "echo-ack", i));
  same((await Promise.all(asked)).flat(), Array.from({ length: 200 }, (_, i) => i));
}

async function msgpack_carries_what_json_would(t) {
  const socket = await t.client();
  const given = [2 ** 53, -(2 ** 40), 1.5, { a: undefined }, undefined, new Date(1709164800123)];
  same(await t.ask(socket, "echo-ack", ...given), [2 ** 53, -(2 ** 40), 1.5, { a: null }, null, "2024-02-29T00:00:00.123Z"]);
}
msgpack_carries_what_json_would.only = ["4.8.4-msgpack"];

// ---- binary ----------------------------------------------------------------------------------------------------
//
// 0.9 has none, and 1.0 takes the Buffers of today's Node for something else.

const VIEWS = { typed: new Uint8Array([1, 2, 3]), part: new Uint8Array([9, 8, 7, 6]).subarray(1, 3) };
const BUFFERS = { some: Buffer.from([5, 6]) };

const BINARY = (t) => [
  bytes(0, 1, 2, 255),
  "between",
  { deep: [{ bytes: bytes(7), ...(t.kind.takesViews && VIEWS), ...(t.kind.takesBuffers && BUFFERS) }] },
  t.kind.takesBuffers ? Buffer.from([]) : bytes(), // in Node old clients stumble over an empty ArrayBuffer
];

async function binary_both_ways(t) {
  const socket = await t.client();
  const got = t.next(socket, "echo-back");
  socket.emit("echo", ...BINARY(t));
  same(plain(await got), plain(BINARY(t)));
}
binary_both_ways.without = ["0.9", "1.0"];

async function binary_in_acks_of_the_server(t) {
  const socket = await t.client();
  same(plain(await t.ask(socket, "echo-ack", ...BINARY(t))), plain(BINARY(t)));
}
binary_in_acks_of_the_server.without = ["0.9", "1.0"];

async function binary_in_acks_of_the_client(t) {
  const socket = await t.client();
  socket.on("question", (...args) => args.pop()(...args));
  same(plain(await t.ask(socket, "ask me", ...BINARY(t))), plain([{ answer: BINARY(t) }]));
}
binary_in_acks_of_the_client.without = ["0.9", "1.0"];

async function every_byte_arrives(t) {
  const socket = await t.client();
  const all = bytes(...Array.from({ length: 4096 }, (_, i) => (i * 7) % 256));
  same(plain(await t.ask(socket, "echo-ack", all)), plain([all]));
}
every_byte_arrives.without = ["0.9", "1.0"];

async function binary_and_text_keep_their_order(t) {
  const socket = await t.client();
  const heard = [];
  socket.on("echo-back", (...args) => heard.push(plain(args)));
  for (let i = 0; i < 60; i++) socket.emit("echo", i % 3 ? i : { hex: bytes(i) });
  await t.until("sixty echoes", () => heard.length === 60);
  same(heard, Array.from({ length: 60 }, (_, i) => [i % 3 ? i : { hex: plain(bytes(i)) }]));
}
binary_and_text_keep_their_order.without = ["0.9", "1.0"];

async function binary_cannot_be_sent_to_some(t) {
  const socket = await t.client();
  same(await t.ask(socket, "emit bytes"), ["CannotCarry"]);
  same(await t.ask(socket, "echo-ack", "alive"), ["alive"]);
}
binary_cannot_be_sent_to_some.only = ["0.9"];

// ---- size ------------------------------------------------------------------------------------------------------

// Leaves 200 bytes of room for what the carriers add to the text: lengths, the escapes of JSONP, a ping or pong.
async function a_body_just_under_the_limit_arrives(t) {
  const socket = await t.client();
  const text = "x".repeat(MAX_PAYLOAD - 200);
  const got = t.next(socket, "size is");
  socket.emit("size", text);
  same(await got, [text.length]);
}
a_body_just_under_the_limit_arrives.without = ["4.8.4-msgpack"];

async function a_large_answer_arrives(t) {
  const socket = await t.client();
  const [text] = await t.ask(socket, "large", 3 * MAX_PAYLOAD);
  same([text.length, text === "é".repeat(3 * MAX_PAYLOAD)], [3 * MAX_PAYLOAD, true]);
}

async function a_body_over_the_limit_ends_this_client_only(t) {
  const [bystander, socket] = [await t.client(), await t.client()];
  socket.emit("size", "x".repeat(MAX_PAYLOAD + 1000));
  const reasons = await t.disconnected(socket);
  same([reasons.length, t.kind.reasons.bodyTooLarge.includes(reasons[0])], [1, true]);
  same(await t.ask(bystander, "echo-ack", "alive"), ["alive"]);
  same([bystander.connected, bystander.log], [true, []]);
  await t.connected(socket);
  // The form of the old connection may still be on its way: when it ends, 0.9 takes that for the end of a new one's.
  await new Promise((resolve) => setTimeout(resolve, 500));
  same(await t.ask(socket, "echo-ack", "again"), ["again"]);
}

// ---- order -----------------------------------------------------------------------------------------------------

async function a_thousand_events_keep_their_order(t) {
  const socket = await t.client();
  const heard = [];
  socket.on("number", (i) => heard.push(i));
  const counted = t.ask(socket, "count", MANY);
  for (const i of upTo(MANY)) socket.emit("item", i);
  same(await t.ask(socket, "items"), [upTo(MANY)]);
  same(await counted, [MANY]);
  await t.until("all numbers", () => heard.length >= MANY);
  same(heard, upTo(MANY));
}

async function order_holds_across_the_upgrade(t) {
  const proxy = await t.proxy({ holdWebSockets: true });
  const socket = t.socket({ port: proxy.port });
  const heard = [];
  let [sent, sentThen, heardThen] = [0, null, null];
  socket.on("number", (i) => heard.push(i));
  socket.emit("stream"); // before the connection: the client keeps it until then
  const send = (n) => { while (n--) socket.emit("item", sent++); };
  send(50);
  await t.connected(socket);
  socket.io.engine.once("upgrade", () => ([sentThen, heardThen] = [sent, heard.length]));
  const both = (n) => (send(10), sent >= n && heard.length >= n);
  await t.until("events by polling", () => both(200));
  same(socket.io.engine.transport.name, "polling");
  proxy.release();
  await t.until("the upgrade amid events", () => (send(10), sentThen !== null));
  ok(sentThen >= 200 && heardThen >= 200, `before the upgrade: ${sentThen} sent, ${heardThen} heard`);
  await t.until("events by websocket", () => both(Math.max(MANY, sentThen + 100, heardThen + 100)));
  same(socket.io.engine.transport.name, "websocket");
  same(await t.ask(socket, "items"), [upTo(sent)]);
  const [total] = await t.ask(socket, "enough");
  await t.until("the rest", () => heard.length >= total);
  same(heard, upTo(total));
  same(socket.log, []);
}
order_holds_across_the_upgrade.modes = ["upgrade"];

// ---- what goes wrong in handlers -------------------------------------------------------------------------------

const WRONG = [
  ["an unheard-of event", [], "no_such_method"],
  ["boom", ["x"], "handler_error"],
  ["two", [1], "invalid_arguments"],
  ["two", [1, 2, 3], "invalid_arguments"],
  ["forbidden", [], "method_access_denied"],
];

async function errors_answer_the_ack(t) {
  const socket = await t.client({ namespace: "/strict" });
  for (const [event, args, name] of WRONG) {
    const answer = await t.ask(socket, event, ...args);
    same(answer.length, 1);
    same(Object.keys(answer[0]), ["error"]);
    same(Object.keys(answer[0].error), ["name", "message"]);
    same(answer[0].error.name, name);
    ok(!/secret/.test(answer[0].error.message), "the exception's text stays at home");
  }
  same(await t.ask(socket, "two", 1, 2), [3]);
}

async function errors_without_ack_are_told_by_an_event(t) {
  const socket = await t.client({ namespace: "/strict" });
  for (const [event, args, name] of WRONG) {
    const [answer] = await t.ask(socket, event, ...args);
    const told = t.next(socket, "error");
    socket.emit(event, ...args);
    same(await told, [name, answer.error.message]);
  }
  same(await t.ask(socket, "two", 1, 2), [3]);
  same(socket.log, []);
}

async function a_catch_all_handler_hears_the_rest(t) {
  const socket = await t.client({ namespace: "/star" });
  same(await t.ask(socket, "any thing", 1, "two"), ["any thing", 1, "two"]);
  same(await t.ask(socket, "known"), ["known itself"]);
}

// ---- the end ---------------------------------------------------------------------------------------------------

// A client in "/", and in `namespace`, whose end there another client hears of: [its socket there, what will be heard,
// its socket in "/"].
async function watched(t, { namespace = "/", ...options } = {}) {
  const watcher = await t.client();
  const room = `watch ${t.unique}`;
  same(await t.ask(watcher, "join", room), ["joined", room]);
  const root = await t.client(options);
  const socket = namespace === "/" ? root : t.also(root, namespace);
  await t.connected(socket);
  same(await t.ask(socket, "mark", t.unique), []);
  return [socket, t.next(watcher, "gone"), root];
}

async function the_client_leaves_one_namespace_of_two(t) {
  const [chat, gone, root] = await watched(t, { namespace: "/chat" });
  const [client, server] = t.kind.reasons.clientLeftOne;
  chat.disconnect();
  same(await gone, [t.unique, server]);
  same(await t.disconnected(chat), [client]);
  same(await t.ask(root, "where"), ["/"]);
  same(root.log, []);
}

async function the_client_leaves_the_global_namespace(t) {
  const [socket, gone] = await watched(t);
  const chat = t.also(socket, "/chat");
  await t.connected(chat);
  socket.disconnect();
  same(await gone, [t.unique, "client namespace disconnect"]);
  same(await t.disconnected(socket), ["io client disconnect"]);
  same(await t.ask(chat, "where"), ["/chat"]);
}
// The global namespace is its connection.
the_client_leaves_the_global_namespace.without = ["0.9"];

async function the_client_leaves_for_good(t) {
  const [socket, gone] = await watched(t);
  const [client, server] = t.kind.reasons.clientLeft;
  await t.settled(socket);
  socket.disconnect();
  same(await gone, [t.unique, server]);
  same(await t.disconnected(socket), [client]);
}
// It closes the connection without waiting until its goodbye is out.
the_client_leaves_for_good.without = ["1.0"];

async function the_client_closes_the_transport(t) {
  const [socket, gone] = await watched(t);
  const [, server] = t.kind.reasons.transportClosed;
  t.kind.giveUp(socket);
  t.kind.closeTransport(socket);
  same(await gone, [t.unique, server]);
}

async function the_page_is_left(t) {
  const [socket, gone] = await watched(t);
  t.kind.leavePage(socket);
  same(await gone, [t.unique, "transport close"]);
}
// By a request of its own, which takes XHR.
the_page_is_left.only = ["0.9"];
the_page_is_left.modes = ["polling", "websocket"];

async function the_network_breaks(t) {
  const proxy = await t.proxy();
  const [socket, gone] = await watched(t, { port: proxy.port });
  const before = t.kind.sid(socket);
  await proxy.cut(t, t.kind.polls);
  if (t.kind.hangs) proxy.mend();
  const [who, reason] = await gone;
  same(who, t.unique);
  // A busy machine may cut the network between two polls: then only the silence tells.
  const reasons = t.kind.polls ? ["transport error", "ping timeout"] : ["transport close"];
  if (!reasons.includes(reason)) same(reason, reasons[0]);
  proxy.mend();
  await t.until("another connection", () => socket.connected && t.kind.sid(socket) !== before);
  same(await t.ask(socket, "socket.id"), [t.kind.sid(socket)]);
  same(socket.log.length, 1);
}

async function the_server_ends_one_namespace_of_two(t) {
  const [chat, gone, root] = await watched(t, { namespace: "/chat" });
  const [client, server] = t.kind.reasons.serverEndedOne;
  chat.emit("quit");
  same(await t.disconnected(chat), [client]);
  same(await gone, [t.unique, server]);
  same([chat.connected, root.connected, root.log], [false, true, []]);
  same(await t.ask(root, "where"), ["/"]);
}

async function the_server_ends_the_global_namespace(t) {
  const [socket, gone] = await watched(t);
  const chat = t.also(socket, "/chat");
  await t.connected(chat);
  socket.emit("quit");
  same(await t.disconnected(socket), ["io server disconnect"]);
  same(await gone, [t.unique, "server namespace disconnect"]);
  same([socket.connected, chat.connected, chat.log], [false, true, []]);
  same(await t.ask(chat, "where"), ["/chat"]);
}
// The global namespace is its connection.
the_server_ends_the_global_namespace.without = ["0.9"];

async function what_was_sent_before_the_end_arrives(t) {
  const socket = await t.client();
  const heard = [];
  socket.on("number", (i) => heard.push(i));
  socket.emit("count and quit", 50);
  same(await t.disconnected(socket), [t.kind.reasons.serverEnded[0]]);
  same(heard, upTo(50));
}

async function the_server_ends_the_client(t) {
  const [socket, gone] = await watched(t);
  const chat = t.also(socket, "/chat");
  await t.connected(chat);
  const [client, server] = t.kind.reasons.serverEnded;
  socket.emit("quit all");
  same(await t.disconnected(socket), [client]);
  same(await t.disconnected(chat), [client]);
  same(await gone, [t.unique, server]);
  await t.until("the connection's end", () => t.kind.isClosed(socket));
  same([socket.connected, chat.connected], [false, false]);
}

async function the_client_returns_after_the_server_cut_it_off(t) {
  const [socket, gone] = await watched(t);
  const before = t.kind.sid(socket);
  t.kind.poison(socket);
  const [, reason] = await gone;
  ok(["parse error", "forced close"].includes(reason), reason);
  await t.until("another connection", () => socket.connected && t.kind.sid(socket) !== before);
  await t.settled(socket);
  // By polling two answers race: the poll says that it is over, the POST that it was wrong.
  const told = t.kind.polls ? ["transport close", "transport error"] : ["transport close"];
  ok(socket.log.length === 1 && told.includes(socket.log[0]), socket.log);
  same(await t.ask(socket, "socket.id"), [t.kind.sid(socket)]);
}
// To it the server forgives everything.
the_client_returns_after_the_server_cut_it_off.without = ["0.9"];

async function nonsense_is_overheard(t) {
  const socket = await t.client();
  t.kind.babble(socket);
  same(await t.ask(socket, "echo-ack", "alive"), ["alive"]);
  same(socket.log, []);
}
// Later generations end the connection.
nonsense_is_overheard.only = ["0.9", "1", "2"];

async function a_client_may_leave_and_join_again(t) {
  const socket = await t.client();
  const chat = t.also(socket, "/chat");
  for (let i = 0; i < 3; i++) {
    await t.connected(chat);
    same(await t.ask(chat, "where"), ["/chat"]);
    chat.disconnect();
    chat.connect();
  }
  await t.connected(chat);
  same(await t.ask(chat, "where"), ["/chat"]);
  same(socket.log, []);
}
// What it hears of a namespace that it left is lost.
a_client_may_leave_and_join_again.without = ["1.0"];

async function every_namespace_comes_back(t) {
  const root = await t.client();
  const chat = t.also(root, "/chat");
  await t.connected(chat);
  const before = t.kind.sid(root);
  t.kind.closeTransport(root);
  await t.until("both again", () => root.connected && chat.connected && t.kind.sid(root) !== before);
  same([await t.ask(root, "where"), await t.ask(chat, "where")], [["/"], ["/chat"]]);
  same([root.log.length, chat.log.length], [1, 1]);
}

async function it_stays_connected_while_idle(t) {
  const socket = await t.client();
  let beats = 0;
  t.kind.pulse(socket, () => beats++);
  await t.until("four beats", () => beats >= 4);
  same([socket.connected, socket.log], [true, []]);
  same(await t.ask(socket, "echo-ack", "alive"), ["alive"]);
}

// ---- rooms and broadcasts --------------------------------------------------------------------------------------

// Three clients that note what they hear under `said`, and one way to know that all has arrived.
async function three(t, namespace = "/") {
  const all = [];
  for (const _ of "abc") {
    const socket = await t.client({ namespace });
    socket.heard = [];
    socket.on(`said ${t.unique}`, (...args) => socket.heard.push(...args));
    all.push(socket);
  }
  return all;
}

async function heard(t, sockets) {
  for (const socket of sockets) await t.ask(socket, "echo-ack"); // what was sent before has arrived with its answer
  return sockets.map((socket) => plain(socket.heard));
}

async function rooms_reach_their_members(t) {
  const [a, b, c] = await three(t);
  const said = `said ${t.unique}`;
  const [one, two] = [`one ${t.unique}`, `two ${t.unique}`];
  await t.ask(a, "join", one);
  await t.ask(b, "join", one);
  await t.ask(b, "join", two);
  await t.ask(c, "join", two);
  await t.ask(a, "to room", [one], said, 1); // the others in it
  await t.ask(a, "to room", [one, two], said, 2); // each once
  await t.ask(c, "to room", [one], said, 3); // from outside
  await t.ask(a, "from the app", [one, two], said, 4); // everybody in them, a as well
  await t.ask(b, "leave", one);
  await t.ask(a, "to room", [one], said, 5);
  await t.ask(c, "leave", `never joined ${t.unique}`);
  await t.ask(a, "emit to room", two, said, 6);
  same(await heard(t, [a, b, c]), [[3, 4], [1, 2, 3, 4, 6], [2, 4, 6]]);
}

async function broadcasts_reach_the_namespace(t) {
  const [a, b, c] = await three(t);
  const other = await t.client({ namespace: "/chat" });
  other.heard = [];
  other.on(`said ${t.unique}`, (...args) => other.heard.push(...args));
  await t.ask(a, "broadcast", `said ${t.unique}`, "all");
  await t.ask(b, "broadcast not me", `said ${t.unique}`, "others");
  same(await heard(t, [a, b, c, other]), [["all", "others"], ["all"], ["all", "others"], []]);
}

async function binary_reaches_rooms_and_namespaces(t) {
  const [a, b, c] = await three(t);
  const room = `room ${t.unique}`;
  await t.ask(b, "join", room);
  await t.ask(a, "from the app", [room], `said ${t.unique}`, bytes(4));
  await t.ask(c, "broadcast", `said ${t.unique}`, { deep: [bytes(1)] }, "and text");
  const all = [{ deep: [{ hex: "01" }] }, "and text"];
  same(await heard(t, [a, b, c]), [all, [{ hex: "04" }, ...all], all]);
}
binary_reaches_rooms_and_namespaces.without = ["0.9", "1.0"];

async function broadcasts_can_leave_out_a_room(t) {
  const [a, b, c] = await three(t);
  const [room, muted] = [`room ${t.unique}`, `muted ${t.unique}`];
  for (const socket of [a, b, c]) await t.ask(socket, "join", room);
  await t.ask(c, "join", muted);
  await t.ask(a, "to room except", [room], [muted], `said ${t.unique}`, "x");
  same(await heard(t, [a, b, c]), [[], ["x"], []]);
}

async function one_client_is_reached_by_its_id(t) {
  for (const namespace of ["/", "/chat"]) {
    const [a, b, c] = await three(t, namespace);
    await t.ask(a, "from the app", await t.ask(b, "who"), `said ${t.unique}`, "you");
    same(await heard(t, [a, b, c]), [[], ["you"], []]);
  }
}

async function volatile_events_reach_a_waiting_client(t) {
  const [a, b] = await three(t);
  await t.ask(b, "join", `room ${t.unique}`);
  const got = t.next(b, "quick");
  await t.until("a volatile event to get through", () => {
    a.emit("volatile", [`room ${t.unique}`], "quick", 1);
    return b.quick || (b.once("quick", () => (b.quick = true)), false);
  });
  same(await got, [1]);
}

async function a_room_answers_one_by_one(t) {
  const [a, b, c] = await three(t);
  const room = `room ${t.unique}`;
  await t.ask(b, "join", room);
  await t.ask(c, "join", room);
  b.on("vote", (what, answer) => answer(`b ${what}`));
  c.on("vote", (what, answer) => answer(`c ${what}`));
  const [answers] = await t.ask(a, "poll room", room, "yes?");
  same(answers.sort(), ["b yes?", "c yes?"]);
}

module.exports = {
  connect_carries_the_auth_payload,
  the_auth_payload_is_any_json,
  connect_without_auth_gives_an_empty_object,
  the_query_reaches_the_server,
  the_carrier_is_the_one_asked_for,
  several_namespaces_share_one_connection,
  each_namespace_has_its_own_auth,
  what_is_sent_before_the_connection_arrives,
  an_unknown_namespace_is_refused,
  a_refusal_carries_its_data,
  a_refusal_without_data_has_none,
  the_global_namespace_may_refuse,
  a_refused_client_may_come_again,
  a_namespace_joined_twice_before_the_answer_is_joined_once,
  a_view_refuses_with_its_own_answer,
  events_carry_json_both_ways,
  events_without_arguments_arrive,
  text_beyond_the_basic_plane_survives,
  text_that_looks_encoded_twice_survives,
  half_a_pair_breaks_nothing,
  event_names_may_be_any_text,
  room_names_may_be_any_text,
  namespace_names_may_be_any_text,
  namespaces_are_served_by_pattern,
  middleware_goes_round_connects_and_events,
  a_message_is_an_event,
  a_message_is_text,
  a_message_is_json,
  a_message_is_confirmed,
  acks_of_the_server,
  acks_of_the_client,
  many_acks_find_their_questions,
  msgpack_carries_what_json_would,
  binary_both_ways,
  binary_in_acks_of_the_server,
  binary_in_acks_of_the_client,
  every_byte_arrives,
  binary_and_text_keep_their_order,
  binary_cannot_be_sent_to_some,
  a_body_just_under_the_limit_arrives,
  a_large_answer_arrives,
  a_body_over_the_limit_ends_this_client_only,
  a_thousand_events_keep_their_order,
  order_holds_across_the_upgrade,
  errors_answer_the_ack,
  errors_without_ack_are_told_by_an_event,
  a_catch_all_handler_hears_the_rest,
  the_client_leaves_one_namespace_of_two,
  the_client_leaves_the_global_namespace,
  the_client_leaves_for_good,
  the_client_closes_the_transport,
  the_page_is_left,
  the_network_breaks,
  the_server_ends_one_namespace_of_two,
  the_server_ends_the_global_namespace,
  what_was_sent_before_the_end_arrives,
  the_server_ends_the_client,
  the_client_returns_after_the_server_cut_it_off,
  nonsense_is_overheard,
  a_client_may_leave_and_join_again,
  every_namespace_comes_back,
  it_stays_connected_while_idle,
  rooms_reach_their_members,
  broadcasts_reach_the_namespace,
  binary_reaches_rooms_and_namespaces,
  broadcasts_can_leave_out_a_room,
  one_client_is_reached_by_its_id,
  volatile_events_reach_a_waiting_client,
  a_room_answers_one_by_one,
};
