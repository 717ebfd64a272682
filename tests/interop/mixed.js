// One client of each generation, and of each parser, in one room: each speaks by one carrier, and all, by another, hear each. Prints
// {"<carrier of the speaker>-<of the others>": {"<version of the speaker>": what went wrong, or null}}.
//
//   NODE_MODULES=... node mixed.js <port>
"use strict";

const { deepStrictEqual: same } = require("node:assert");
const { kind } = require("./clients.js");
const { Talk, plain } = require("./talk.js");

const VERSIONS = ["0.9.17", "1.7.4", "2.5.0", "3.1.3", "4.8.4", "4.8.4-msgpack"];
const CARRIERS = ["polling", "jsonp", "websocket"];
const WORDS = "é😀\u2028 и";
const BYTES = Buffer.from([0, 128, 255]);

// 4.x left JSONP behind, 0.9 never had binary.
const hasJsonp = (version) => !version.startsWith("4.");
const hasBinary = (version) => !version.startsWith("0.9.");

const kinds = new Map();

function kindOf(version, carrier) {
  const mode = carrier === "jsonp" && !hasJsonp(version) ? "polling" : carrier;
  const name = `${version} ${mode}`;
  if (!kinds.has(name)) kinds.set(name, kind(version, mode));
  return kinds.get(name);
}

// A client that notes what is said in `room`.
async function member(version, carrier, room, port, talks) {
  const talk = new Talk({ kind: kindOf(version, carrier), port, name: `mixed-${carrier}` });
  talks.push(talk);
  const socket = await talk.client();
  const heard = [];
  socket.on("said", (...args) => heard.push(plain(args)));
  same(await talk.ask(socket, "join", room), ["joined", room]);
  return { version, heard, say: (...args) => talk.ask(socket, "to room", [room], "said", ...args), talk };
}

// Everybody but the speaker has heard `expected`, once, and nothing else.
async function allHear(members, speaker, expected) {
  for (const { version, heard, talk } of members) {
    const wanted = plain(expected(version));
    await talk.until(`what ${speaker.version} says, at ${version}`, () => heard.length >= wanted.length);
    same(heard.splice(0), wanted, `${version}, ${talk.kind.mode}`);
  }
}

async function trial(check) {
  try {
    await check();
    return null;
  } catch (error) {
    return String(error?.stack || error);
  }
}

async function meet(from, to, port) {
  const room = `mixed ${from} ${to}`;
  const talks = [];
  const join = (carrier) => Promise.all(VERSIONS.map((version) => member(version, carrier, room, port, talks)));
  try {
    const [speakers, listeners] = [await join(from), await join(to)];
    const results = {};
    for (const speaker of speakers) {
      const others = [...speakers, ...listeners].filter((other) => other !== speaker);
      results[speaker.version] = await trial(async () => {
        same(await speaker.say(WORDS, speaker.version), []);
        await allHear(others, speaker, () => [[WORDS, speaker.version]]);
        if (!hasBinary(speaker.version)) return;
        // Those who know no binary are left out, and hear what comes after it.
        same(await speaker.say({ raw: BYTES }), []);
        same(await speaker.say("after"), []);
        await allHear(others, speaker, (version) => [...(hasBinary(version) ? [[{ raw: BYTES }]] : []), ["after"]]);
      });
    }
    return results;
  } finally {
    for (const talk of talks) talk.end();
  }
}

async function main(port) {
  const results = {};
  for (const from of CARRIERS) {
    for (const to of CARRIERS) {
      const failed = (error) => Object.fromEntries(VERSIONS.map((version) => [version, String(error?.stack || error)]));
      results[`${from}-${to}`] = await meet(from, to, port).catch(failed);
    }
  }
  process.stdout.write(JSON.stringify(results), () => process.exit(0));
}

process.on("unhandledRejection", (error) => {
  console.error("unhandled:", error);
});

main(Number(process.argv[2]));
