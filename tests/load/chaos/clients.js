// Real clients on a bad network: each counts what it says and checks the order of what it hears. They reconnect, and
// count anew; who kills this process kills them all. Prints a line of JSON for each thing that is wrong, and figures.
//
//   NODE_MODULES=... node clients.js <port> <name> <version>/<mode> ...
"use strict";

const { kind } = require("../../interop/clients.js");

const PACE = 200; // ms
const NAMESPACES = ["/", "/b"];
const counts = { connects: 0, ticks: 0, sent: 0, acks: 0, asked: 0, disconnects: 0 };

const tell = (line) => process.stdout.write(`${JSON.stringify(line)}\n`);

class Place {
  constructor(socket, client, namespace) {
    Object.assign(this, { socket, client, namespace, sent: 0, ticks: -1, news: null, life: 0 });
    socket.on("connect", () => this.begin());
    socket.on("disconnect", () => this.end());
    socket.on("tick", (number) => this.ticked(number));
    socket.on("base", (number) => (this.news = number));
    socket.on("news", (number) => this.told(number));
    socket.on("ask", (number, answer) => this.asked(number, answer));
  }

  // Clients of 0.9 say "connect" again when a poll that broke has been replaced.
  begin() {
    counts.connects++;
    Object.assign(this, { sent: 0, ticks: -1, news: null, life: this.life + 1, open: true });
  }

  end() {
    counts.disconnects++;
    this.open = false;
  }

  wrong(what) {
    tell({ wrong: `${this.client} ${this.namespace} life ${this.life}: ${what}` });
  }

  ticked(number) {
    counts.ticks++;
    // A poll of 0.9 that breaks may take with it what it was answered.
    const follows = this.loose ? number > this.ticks : number === this.ticks + 1;
    if (this.open && !follows) this.wrong(`tick ${number} came after ${this.ticks}`);
    this.ticks = number;
  }

  told(number) {
    const follows = this.loose ? this.news === null || number > this.news : number === this.news + 1;
    if (this.open && !follows) this.wrong(`news ${number} came after ${this.news}`);
    this.news = number;
  }

  asked(number, answer) {
    counts.asked++;
    if (typeof answer === "function" && Math.random() < 0.8) answer(2 * number);
  }

  speak() {
    if (!this.open || !this.socket.connected) return;
    const { life } = this;
    const number = this.sent++;
    let answers = 0;
    counts.sent++;
    this.socket.emit("say", number, "hello", (got, text) => {
      counts.acks++;
      answers++;
      if (answers > 1) this.wrong(`ack of ${number} came ${answers} times`);
      if (life === this.life && (got !== number || text !== "hello")) this.wrong(`ack of ${number} is ${got}, ${text}`);
    });
  }
}

function start(port, name, version, mode) {
  const one = kind(version, mode);
  // Of 0.9 what waited for a POST that failed is sent once more, to the next session.
  const loose = version.startsWith("0.9") && mode !== "websocket";
  const fields = { who: `node-${name}-${version}-${mode}`, marks: loose ? "loose" : "" };
  const first = one.socket({ port, namespace: "/", auth: fields });
  const sockets = [first, one.also(first, "/b", { auth: fields })];
  const places = sockets.map((socket, index) => new Place(socket, fields.who, NAMESPACES[index]));
  for (const place of places) place.loose = loose;
  setInterval(() => places[Math.floor(Math.random() * 2)].speak(), PACE);
}

// Clients of old times throw where their connection breaks at a bad moment.
process.on("uncaughtException", (error) => tell({ thrown: String(error?.stack || error).slice(0, 300) }));
process.on("unhandledRejection", (error) => tell({ thrown: String(error) }));

const [port, name, ...wanted] = process.argv.slice(2);
for (const each of wanted) start(Number(port), name, ...each.split("/"));
setInterval(() => tell({ counts }), 500);
