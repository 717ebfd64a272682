// Runs a script of docs/recipes.md, from $SCRIPT, with socket.io-client 4.8.4 as it is, and looks at what it does.
//
//   NODE_MODULES=... SCRIPT=... node recipes.js <heading> <port>
// Prints null, or what went wrong, as JSON.
"use strict";

const { deepStrictEqual: same, ok } = require("node:assert");
const { modules } = require("./modules.js");

const { io } = modules("socket.io-client-4");
const shown = [];
const show = (text) => shown.push(text);
const newToken = async () => "new";

async function until(what, isTrue) {
  const deadline = Date.now() + 15_000;
  while (!(await isTrue())) {
    if (Date.now() > deadline) throw new Error(`in vain: ${what}; shown: ${shown}`);
    await new Promise((resolve) => setTimeout(resolve, 5));
  }
}

const cases = {
  async "Log out everywhere"({ socket, url }) {
    const laptop = io(url, { auth: { token: "simsim" }, forceNew: true });
    const heard = [];
    laptop.on("logged out", () => heard.push("logged out"));
    laptop.on("disconnect", (reason) => heard.push(reason));
    await until("both", () => socket.connected && laptop.connected);
    await laptop.emitWithAck("note", "milk");
    await until("the note", () => shown.length);
    laptop.emit("log out everywhere");
    await until("the end", () => !socket.connected && !laptop.connected);
    same([shown, heard], [["milk", "please log in"], ["logged out", "io server disconnect"]]);
    same([socket.active, laptop.active], [false, false]); // they do not come back by themselves
    const refused = new Promise((resolve) => socket.once("connect_error", (error) => resolve(error.message)));
    socket.connect();
    same(await refused, "log in first");
  },

  async "A token that ends"({ socket }) {
    await until("the new token", async () => (await socket.emitWithAck("seconds left")) > 1000);
    const before = socket.id;
    socket.io.engine.close();
    await until("the return", () => socket.connected && socket.id !== before);
    ok((await socket.emitWithAck("seconds left")) > 1000); // it came with the new one
  },

  // The server loses its connection to the client after each order, before the ack.
  async "What a client sends arrives"({ socket, order }) {
    await until("the client", () => socket.connected);
    same(await Promise.all(["tea", "milk", "sugar"].map(order)), [1, 2, 3]);
    same(await socket.emitWithAck("all"), { orders: ["tea", "milk", "sugar"], calls: 6 });
  },

  // The client loses its connection when the first message has come, before the ack.
  async "What you send arrives"({ socket }) {
    const numbers = [];
    socket.prependAny((name, number) => {
      numbers.push(number);
      if (numbers.length === 1) socket.io.engine.close();
    });
    await until("the client", () => socket.connected);
    for (const text of ["one", "two"]) socket.emit("send", text);
    await until("both", () => shown.length === 2);
    await until("an empty store", async () => socket.connected && (await socket.emitWithAck("left")) === 0);
    same([shown, numbers], [["one", "two"], [1, 1, 2]]);
  },
};

async function main(heading, port) {
  const url = `http://127.0.0.1:${port}`;
  const names = "{ socket, order: typeof order === 'undefined' ? null : order }";
  const script = new Function("io", "url", "show", "newToken", `${process.env.SCRIPT}\nreturn ${names};`);
  const made = script((address, options) => io(address, { reconnectionDelay: 50, ...options }), url, show, newToken);
  let wrong = null;
  try {
    await cases[heading]({ ...made, url });
  } catch (error) {
    wrong = String(error?.stack || error);
  }
  process.stdout.write(JSON.stringify(wrong), () => process.exit(0));
}

main(...process.argv.slice(2));
