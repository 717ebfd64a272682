// Runs the cases of cases.js with one version of the JavaScript client over one way to carry it, and prints what came
// of them as one JSON object: {"<case>": {"ok": true} | {"ok": false, "error": "..."}}.
//
//   NODE_MODULES=... [CASES=<other module>] node run.js <version> <polling|xhr2|jsonp|websocket|upgrade> <port> [case]
//   node run.js list <version> <mode>
"use strict";

const cases = require(process.env.CASES || "./cases.js");
const { kind } = require("./clients.js");
const { Talk } = require("./talk.js");

const AT_ONCE = 8; // cases running side by side: enough to fill the waiting, few enough for two cores
const DEADLINE = 20_000; // ms for one case

// The cases that this version, carried this way, can have.
function names(version, mode) {
  const carrier = mode === "upgrade" ? "websocket" : mode;
  const isThis = (client) => {
    const [start, only = carrier] = client.split(" ");
    return `${version}.`.startsWith(`${start}.`) && only === carrier;
  };
  return Object.keys(cases).filter((name) => {
    const { modes, only, without } = cases[name];
    return (!modes || modes.includes(mode)) && (!only || only.some(isThis)) && !without?.some(isThis);
  });
}

async function run(name, kind, port) {
  const talk = new Talk({ kind, port, name });
  let timer;
  const late = new Promise((_, reject) => {
    timer = setTimeout(() => reject(new Error(`not done after ${DEADLINE} ms; last step: ${talk.step}`)), DEADLINE);
  });
  try {
    await Promise.race([cases[name](talk), late]);
    return { ok: true };
  } catch (error) {
    return { ok: false, error: `${error?.stack || error}\nlast step: ${talk.step}` };
  } finally {
    clearTimeout(timer);
    talk.end();
  }
}

async function main(version, mode, port, only) {
  const waiting = only ? [only] : names(version, mode);
  const one = kind(version, mode);
  const results = {};
  const worker = async () => {
    while (waiting.length) {
      const name = waiting.shift();
      results[name] = await run(name, one, Number(port));
    }
  };
  await Promise.all(Array.from({ length: AT_ONCE }, worker));
  process.stdout.write(JSON.stringify(results), () => process.exit(0));
}

process.on("unhandledRejection", (error) => {
  console.error("unhandled:", error);
});

const [first, ...rest] = process.argv.slice(2);
if (first === "list") {
  process.stdout.write(JSON.stringify(names(...rest)));
} else {
  main(first, ...rest);
}
