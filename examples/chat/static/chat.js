// The page's half of the chat. Whatever strangers wrote reaches the document as text, never as HTML.

const $ = (id) => document.getElementById(id);
const options = { autoConnect: false };
if (new URLSearchParams(location.search).get("transport") === "polling") options.transports = ["polling"];

const MAX_LINES = 500; // in the document; the server keeps fewer
const ANSWER_TIME = 8000; // ms to wait for an acknowledgement
const TYPING_TIME = 3000; // ms after which "is typing" fades when no more is heard
const GROUP_TIME = 300; // seconds within which one author's messages stand together

const socket = window.io?.(options);
let nickname = "";
let room = ""; // the room we are in, or were in before the connection was lost
let entered = false; // past the door at least once
let unread = 0;
let atEnd = true; // scrolled to the newest message
let lastTyping = 0;
const typing = new Map(); // nickname -> the timer that forgets it

// --- small things ------------------------------------------------------------------------------

function element(tag, className, ...children) {
  const made = document.createElement(tag);
  if (className) made.className = className;
  made.append(...children); // strings become text nodes
  return made;
}

function icon(name) {
  const svg = document.createElementNS("http://www.w3.org/2000/svg", "svg");
  const use = document.createElementNS("http://www.w3.org/2000/svg", "use");
  use.setAttribute("href", `#${name}`);
  svg.setAttribute("aria-hidden", "true");
  svg.append(use);
  return svg;
}

function paint(target, name) {
  let hash = 7;
  for (const character of name) hash = (hash * 31 + character.codePointAt(0)) % 3600;
  target.style.setProperty("--hue", hash / 10);
  return target;
}

function avatar(name) {
  const made = paint(element("span", "avatar", [...name][0].toUpperCase()), name);
  made.setAttribute("aria-hidden", "true");
  return made;
}

const clock = new Intl.DateTimeFormat(undefined, { hour: "numeric", minute: "2-digit" });

function timeOf(at) {
  const made = element("time", "", clock.format(at * 1000));
  made.dateTime = new Date(at * 1000).toISOString();
  return made;
}

// --- the door ----------------------------------------------------------------------------------

function showDoor(words = "") {
  $("welcome").hidden = false;
  $("chat").hidden = true;
  $("refusal").textContent = words;
  $("nickname").toggleAttribute("aria-invalid", Boolean(words));
  $("enter-button").disabled = !socket;
  $("nickname").focus();
  document.title = "Chat";
}

function knock(name) {
  nickname = name.trim().replace(/\s+/g, " ");
  socket.auth = { nickname };
  $("enter-button").disabled = true;
  $("refusal").textContent = "";
  socket.connect();
}

function showChat() {
  entered = true;
  sessionStorage.setItem("nickname", nickname);
  $("welcome").hidden = true;
  $("chat").hidden = false;
  $("my-nickname").textContent = nickname;
  paint($("my-avatar"), nickname).textContent = [...nickname][0].toUpperCase();
}

function leave() {
  entered = false;
  room = "";
  sessionStorage.removeItem("nickname");
  $("log").replaceChildren();
  closeDrawer();
  socket.disconnect();
  showDoor();
}

// --- rooms and people --------------------------------------------------------------------------

const wantedRoom = () => location.hash.slice(1) || "lobby";

async function join(wanted) {
  let answer;
  try {
    answer = await socket.timeout(ANSWER_TIME).emitWithAck("join", wanted);
  } catch {
    if (socket.connected) join(wantedRoom()); // otherwise we join when the connection is back
    return;
  }
  if (wanted !== wantedRoom()) return; // another room was chosen meanwhile
  if (answer.error) {
    location.hash = room || "lobby";
    return;
  }
  showRoom(answer);
}

function showRoom({ room: name, members, history }) {
  const unsent = room === name ? [...$("log").querySelectorAll(".unsent")] : [];
  room = name;
  unread = 0;
  $("room").textContent = name;
  showTitle();
  $("scroller").setAttribute("aria-busy", "true"); // old messages are not news: do not read them out
  $("log").replaceChildren();
  for (const message of history) addMessage(message);
  $("log").append(...unsent);
  $("scroller").removeAttribute("aria-busy");
  for (const who of typing.keys()) stopTyping(who);
  showPeople(members);
  markRoom();
  closeDrawer();
  scrollDown();
  if (matchMedia("(hover: hover)").matches) $("text").focus(); // no keyboard popping up on phones
}

function showRooms(counts) {
  const links = Object.entries(counts).map(([name, count]) => {
    const badge = element("span", "count", count ? String(count) : "");
    badge.title = `${count} inside`;
    const link = element("a", "", icon("hash"), element("span", "room-name", name), badge);
    link.href = `#${name}`;
    return element("li", "", link);
  });
  $("room-list").replaceChildren(...links);
  markRoom();
}

function markRoom() {
  for (const link of $("room-list").querySelectorAll("a")) {
    if (link.hash === `#${room}`) link.setAttribute("aria-current", "page");
    else link.removeAttribute("aria-current");
  }
}

function showPeople(members) {
  $("head-count").textContent = members.length;
  $("people-list").replaceChildren(
    ...members.map((name) => {
      const line = element("li", "", avatar(name), element("span", "person", name));
      if (name === nickname) line.append(element("span", "you", "you"));
      return line;
    }),
  );
}

// --- messages ----------------------------------------------------------------------------------

function addLine(line) {
  $("log").append(line);
  while ($("log").childElementCount > MAX_LINES) $("log").firstElementChild.remove();
}

function addMessage({ nickname: author, text, at }) {
  const mine = author === nickname;
  const line = paint(element("li", mine ? "message mine" : "message"), author);
  line.dataset.author = author;
  line.dataset.at = at;
  const before = $("log").lastElementChild;
  if (before?.dataset.author === author && at - before.dataset.at < GROUP_TIME) line.classList.add("follows");
  const tick = element("span", "tick");
  if (mine) showTick(tick, "delivered", "Delivered");
  const meta = element("span", "meta", timeOf(at), tick);
  const bubble = element("div", "bubble", element("span", "text", text), meta);
  line.append(avatar(author), element("span", "author", author), bubble);
  addLine(line);
  return { line, tick };
}

function addNotice(words) {
  addLine(element("li", "notice", words));
}

function say(text) {
  const { line, tick } = addMessage({ nickname, text, at: Date.now() / 1000 });
  scrollDown();
  deliver(text, line, tick);
}

async function deliver(text, line, tick) {
  line.classList.add("unsent");
  showTick(tick, "sending", "Sending");
  let answer;
  try {
    answer = await socket.timeout(ANSWER_TIME).emitWithAck("say", text);
  } catch {
    answer = { error: "No answer." };
  }
  if (answer.error) return offerRetry(text, line, tick);
  line.classList.remove("unsent", "failed");
  showTick(tick, "delivered", "Delivered");
}

function showTick(tick, name, words) {
  tick.replaceChildren(icon(name), element("span", "unseen", words));
  tick.title = words;
}

function offerRetry(text, line, tick) {
  line.classList.add("failed");
  const again = element("button", "retry", "Not delivered. Try again");
  again.type = "button";
  again.addEventListener("click", () => socket.connected && deliver(text, line, tick));
  tick.replaceChildren(again);
  tick.title = "";
}

function noteScroll() {
  const { scrollHeight, scrollTop, clientHeight } = $("scroller");
  atEnd = scrollHeight - scrollTop - clientHeight < 60;
  if (atEnd) $("newest").hidden = true;
}

function scrollDown() {
  $("scroller").scrollTop = $("scroller").scrollHeight;
  noteScroll();
}

function showTitle() {
  document.title = `${unread ? `(${unread}) ` : ""}#${room}`;
}

// --- typing ------------------------------------------------------------------------------------

function startTyping(who) {
  clearTimeout(typing.get(who));
  typing.set(who, setTimeout(stopTyping, TYPING_TIME, who));
  showTyping();
}

function stopTyping(who) {
  clearTimeout(typing.get(who));
  typing.delete(who);
  showTyping();
}

function showTyping() {
  const who = [...typing.keys()];
  if (!who.length) return $("typing").replaceChildren();
  const words = who.length > 2 ? "Several people are typing"
    : who.length === 2 ? `${who[0]} and ${who[1]} are typing` : `${who[0]} is typing`;
  const dots = element("span", "dots", element("i"), element("i"), element("i"));
  $("typing").replaceChildren(dots, words);
}

function tellTyping(yes) {
  const now = Date.now();
  if (yes && now - lastTyping < 1000) return; // once a second keeps it alive
  if (!yes && !lastTyping) return;
  lastTyping = yes ? now : 0;
  socket.volatile.emit("typing", yes);
}

// --- the connection ----------------------------------------------------------------------------

function showBanner(words, kind = "lost") {
  $("banner").textContent = words;
  $("banner").dataset.kind = kind;
}

function showTransport() {
  const name = socket.connected ? socket.io.engine.transport.name : "offline";
  $("transport").textContent = name;
  $("transport").dataset.name = name;
  $("send-button").disabled = !socket.connected;
}

function onConnect() {
  const again = entered;
  showChat();
  showTransport();
  socket.io.engine.once("upgrade", showTransport);
  showBanner(again ? "Back online" : "", "back");
  join(wantedRoom());
}

function onDisconnect(reason) {
  showTransport();
  if (reason === "io client disconnect") return;
  showBanner("Connection lost. Reconnecting…");
  if (reason === "io server disconnect") setTimeout(() => entered && socket.connect(), 1000); // the client does not by itself
}

function onRefusal(error) {
  const refused = !socket.active; // by the server; otherwise the client keeps trying by itself
  if (!entered) return showDoor(refused ? error.message : "The server does not answer. Still trying…");
  if (!refused) return;
  // The server has not yet noticed that our former connection, of the same nickname, is dead.
  showBanner("Your nickname is still in use. Trying again…");
  setTimeout(() => entered && socket.connect(), 2000);
}

function listen() {
  socket.on("connect", onConnect);
  socket.on("disconnect", onDisconnect);
  socket.on("connect_error", onRefusal);
  socket.on("rooms", showRooms);
  socket.on("typing", (who, yes) => (yes ? startTyping(who) : stopTyping(who)));
  socket.on("joined", (who, members) => {
    showPeople(members);
    addNotice(`${who} joined`);
  });
  socket.on("left", (who, members) => {
    stopTyping(who);
    showPeople(members);
    addNotice(`${who} left`);
  });
  socket.on("said", (message) => {
    stopTyping(message.nickname);
    addMessage(message);
    $("newest").hidden = atEnd;
    if (document.hidden) unread += 1;
    showTitle();
  });
}

// --- drawers, on narrow screens ----------------------------------------------------------------

function openDrawer(button) {
  $("chat").dataset.drawer = button.getAttribute("aria-controls");
  button.setAttribute("aria-expanded", "true");
  $($("chat").dataset.drawer).querySelector("a, button, input")?.focus();
}

function closeDrawer() {
  delete $("chat").dataset.drawer;
  const opener = document.querySelector('.drawer-button[aria-expanded="true"]');
  opener?.setAttribute("aria-expanded", "false");
  opener?.focus();
}

// --- what the user does ------------------------------------------------------------------------

function submitText() {
  const text = $("text").value.trim();
  if (!text || !socket.connected) return; // offline: the text stays where it is
  $("text").value = "";
  resizeText();
  lastTyping = 0; // the message itself tells the others that we are done
  say(text);
}

function resizeText() {
  const field = $("text");
  field.style.height = "auto";
  field.style.height = `${field.scrollHeight}px`;
  const remaining = field.maxLength - field.value.length;
  $("remaining").textContent = remaining < 100 ? remaining : "";
}

const roomNameFrom = (words) =>
  words.normalize("NFKD").toLowerCase().replace(/[\u0300-\u036f]/g, "").replace(/[^a-z0-9]+/g, "-").replace(/^-|-$/g, "");

$("enter").addEventListener("submit", (event) => {
  event.preventDefault();
  knock($("nickname").value);
});
$("new-room").addEventListener("submit", (event) => {
  event.preventDefault();
  const name = roomNameFrom($("room-name").value);
  if (name) location.hash = name;
  $("room-name").value = "";
});
$("composer").addEventListener("submit", (event) => {
  event.preventDefault();
  submitText();
});
$("text").addEventListener("keydown", (event) => {
  if (event.key !== "Enter" || event.shiftKey || event.isComposing) return;
  event.preventDefault();
  submitText();
});
$("text").addEventListener("input", () => {
  resizeText();
  tellTyping($("text").value.trim() !== "");
});
$("scroller").addEventListener("scroll", noteScroll, { passive: true });
// Whoever reads the end goes on reading the end: new messages, a banner, a phone's keyboard.
const resized = new ResizeObserver(() => atEnd && scrollDown());
for (const name of ["scroller", "log"]) resized.observe($(name));
$("newest").addEventListener("click", scrollDown);
$("leave").addEventListener("click", leave);
$("scrim").addEventListener("click", closeDrawer);
for (const button of document.querySelectorAll(".drawer-button")) {
  button.addEventListener("click", () => ($("chat").dataset.drawer ? closeDrawer() : openDrawer(button)));
}
addEventListener("keydown", (event) => event.key === "Escape" && closeDrawer());
addEventListener("hashchange", () => entered && wantedRoom() !== room && join(wantedRoom()));
addEventListener("pagehide", () => socket?.disconnect()); // say goodbye, so that the nickname is free at once
addEventListener("pageshow", (event) => event.persisted && entered && socket.connect());
document.addEventListener("visibilitychange", () => {
  unread = 0;
  if (room) showTitle();
});

if (!socket) {
  showDoor("The Socket.IO client could not be loaded from cdn.socket.io.");
} else {
  listen();
  $("nickname").value = sessionStorage.getItem("nickname") ?? "";
  showDoor();
  if ($("nickname").value) knock($("nickname").value); // the same tab, reloaded
}
