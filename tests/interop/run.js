// Runs the cases of cases.js with one version of the JavaScript client over one way to carry it, and prints what came
// of them as one JSON object: {"<case>": {"ok": true} | {"ok": false, "error": "..."}}.
//
//   NODE_MODULES=... node run.js <3|4> <polling|websocket|upgrade> <port> [case]
//   NODE_MODULES=... node run.js list <polling|websocket|upgrade>
"use strict";

const cases = require("./cases.js");
const { Talk } = require("./talk.js");

const AT_ONCE = 8; // cases running side by side: enough to fill the waiting, few enough for two cores
const DEADLINE = 20_000; // ms for one case

const [version, mode, port, only] = process.argv.slice(2);

function names() {
  return Object.keys(cases).filter((name) => !cases[name].modes || cases[name].modes.includes(mode));
}

async function run(name) {
  const talk = new Talk({ version, mode, port: Number(port), name });
  let timer;
  const late = new Promise((_, reject) => {
    timer = setTimeout(() => reject(new Error(`not done after ${DEADLINE} ms; last step: ${talk.step}`)), DEADLINE);
  });
  try {
    await Promise.race([cases[name](talk), late]);
    return { ok: true };
  } catch (error) {
    return { ok: false, error: `${error.stack || error}\nlast step: ${talk.step}` };
  } finally {
    clearTimeout(timer);
    talk.end();
  }
}

async function main() {
  const waiting = only ? [only] : names();
  const results = {};
  const worker = async () => {
    while (waiting.length) {
      const name = waiting.shift();
      results[name] = await run(name);
    }
  };
  await Promise.all(Array.from({ length: AT_ONCE }, worker));
  process.stdout.write(JSON.stringify(results), () => process.exit(0));
}

process.on("unhandledRejection", (error) => {
  console.error("unhandled:", error);
});

if (version === "list") {
  process.stdout.write(JSON.stringify(names()));
} else {
  main();
}
