// Draws what the server's job sends: one line for the whole machine, one bar for each processor.

const $ = (id) => document.getElementById(id);
const SPAN = 60; // seconds from the left edge to the right
const [WIDTH, HEIGHT] = [600, 200]; // of the chart's viewBox

const polling = new URLSearchParams(location.search).get("transport") === "polling";
const readings = []; // { at, load }, oldest first
let count = 0;

const mean = (numbers) => numbers.reduce((sum, number) => sum + number, 0) / numbers.length;
const xOf = (at) => WIDTH + ((at - readings.at(-1).at) / SPAN) * WIDTH;
const yOf = (load) => HEIGHT - 1 - (load / 100) * (HEIGHT - 2);

function add({ at, cores }) {
  readings.push({ at, load: mean(cores) });
  while (readings.length > 2 && readings[1].at < at - SPAN) readings.shift(); // one stays, left of the edge
  count += 1;
  draw();
  showFigures();
  showCores(cores);
}

function draw() {
  const points = readings.map(({ at, load }) => `${xOf(at).toFixed(1)} ${yOf(load).toFixed(1)}`);
  const line = `M${points.join("L")}`;
  $("line").setAttribute("d", line);
  $("line").dataset.points = points.length;
  $("area").setAttribute("d", `${line}V${HEIGHT}H${xOf(readings[0].at).toFixed(1)}Z`);
}

function showFigures() {
  const loads = readings.map(({ load }) => load);
  const [now, average, peak] = [loads.at(-1), mean(loads), Math.max(...loads)].map(Math.round);
  $("now").textContent = now;
  $("average").textContent = `${average} %`;
  $("peak").textContent = `${peak} %`;
  $("count").textContent = count;
  $("chart").setAttribute("aria-label", `Load of the last minute: now ${now}, on average ${average}, at most ${peak} percent`);
  document.title = `${now} % · Live CPU`;
}

function showCores(cores) {
  while ($("cores").childElementCount < cores.length) $("cores").append(coreLine($("cores").childElementCount));
  cores.forEach((load, index) => {
    const line = $("cores").children[index];
    line.querySelector(".bar").style.setProperty("--load", load / 100);
    line.querySelector(".figure").textContent = `${Math.round(load)} %`;
  });
}

function coreLine(number) {
  const [line, name, track, bar, figure] = ["li", "span", "span", "span", "span"].map((tag) => document.createElement(tag));
  name.textContent = number;
  track.className = "track";
  bar.className = "bar";
  figure.className = "figure";
  track.append(bar);
  line.append(name, track, figure);
  return line;
}

function showTip(event) {
  if (!readings.length) return;
  const frame = $("chart").getBoundingClientRect();
  const pointed = ((event.clientX - frame.left) / frame.width) * WIDTH;
  const distance = ({ at }) => Math.abs(xOf(at) - pointed);
  const nearest = readings.reduce((best, reading) => (distance(reading) < distance(best) ? reading : best));
  $("tip").textContent = `${Math.round(nearest.load)} %`;
  $("tip").style.left = `${(Math.max(xOf(nearest.at), 0) / WIDTH) * frame.width}px`;
  $("tip").style.top = `${(yOf(nearest.load) / HEIGHT) * frame.height}px`;
  $("tip").hidden = false;
}

function showState(state, words) {
  $("state").dataset.state = state;
  $("state").textContent = words;
}

function listen(socket) {
  const chosen = () => Number(document.querySelector("#interval input:checked").value);
  const ask = () => socket.emit("interval", chosen(), (seconds) => showState("live", `live, every ${seconds} s`));
  socket.on("connect", ask); // a new connection starts at the server's own pace
  socket.on("disconnect", () => showState("lost", "connection lost, reconnecting…"));
  socket.on("connect_error", () => showState("lost", "the server does not answer, trying again…"));
  socket.on("reading", add);
  $("interval").addEventListener("change", () => socket.connected && ask());
}

$("chart").addEventListener("pointermove", showTip);
$("chart").addEventListener("pointerleave", () => { $("tip").hidden = true; });

if (window.io) listen(io("/cpu", polling ? { transports: ["polling"] } : {}));
else showState("lost", "The Socket.IO client could not be loaded from cdn.socket.io.");
