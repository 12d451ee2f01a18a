// The page's side of the chat: one long poll at a time, and a queue of messages to send.
//
// Nothing is shown because it was typed: a message appears when the server has given it a place.
// Nothing is lost between two polls: each one says, by its cursor, what the page has seen.

import { splitLinks } from "./links.js";

const LOBBY = "lobby";
const ROOM_NAME = /^[\p{Alphabetic}\p{N}_-]{1,32}$/u; // The server's rule.
const POLL_TIMEOUT = 40_000; // The server answers within 25 s; later than this the connection is dead.
const ANSWER_TIMEOUT = 15_000; // For what the server answers at once.
const LONGEST_PAUSE = 15_000;
const MOST_SHOWN = 1000;
const ONE_BREATH = 5 * 60_000; // What somebody says within this time stands under one name.

const at = (id) => document.getElementById(id);
const client = randomName();
const outbox = [];
let room = ""; // The room that is shown; empty while a notice stands in its place.
let lastRoom = LOBBY; // Where a notice leads back to.
let latest = null; // The message shown last.
let listening = new AbortController();
let sending = false;

// --- Rooms -----------------------------------------------------------------------------------

function enterRoom() {
  const wanted = wantedRoom();
  if (!ROOM_NAME.test(wanted)) return refuseRoom(wanted, "A room’s name has 1 to 32 letters, digits, - or _.");
  if (wanted === room) return closeRooms();
  showParts(true);
  leaveRoom();
  room = wanted;
  at("room").textContent = room;
  at("empty").hidden = false;
  document.title = `#${room} · Chat`;
  drawOutbox();
  listen(room, listening.signal);
}

// What stands behind the # in the address; as it is, when it is not the encoding of a text.
function wantedRoom() {
  const hash = location.hash.slice(1) || LOBBY;
  try {
    return decodeURIComponent(hash);
  } catch {
    return hash;
  }
}

function leaveRoom() {
  listening.abort();
  listening = new AbortController();
  latest = null;
  room = "";
  at("messages").replaceChildren();
  at("newest").hidden = true;
  closeRooms();
}

// Says why there is no such room, and leads back to one.
function refuseRoom(name, why) {
  leaveRoom();
  at("room").textContent = name;
  at("wrong-room").textContent = `“${name.length > 80 ? `${name.slice(0, 80)}…` : name}” is not a room`;
  at("wrong-reason").textContent = why;
  at("back").textContent = `Go to #${lastRoom}`;
  at("back").href = `#${encodeURIComponent(lastRoom)}`;
  at("empty").hidden = true;
  document.title = "Chat";
  complain("");
  showParts(false);
  drawOutbox();
  at("back").focus();
}

// A room has people, a connection and a field to write in; a notice has none of them.
function showParts(isRoom) {
  at("wrong").hidden = isRoom;
  for (const part of ["crowd", "link", "say", "messages"]) at(part).hidden = !isRoom;
}

function closeRooms() {
  const byKeyboard = isChosen("#rooms[open] *") || isChosen("#back");
  at("rooms").open = false;
  if (byKeyboard) focusField();
}

// Whether the keyboard's focus is on one of these, which are about to be hidden: then it has to go elsewhere. After a
// tap it is not moved, because a field that gets it brings up the keyboard of a telephone.
function isChosen(selector) {
  return document.activeElement.matches(`${selector}:focus-visible`);
}

function focusField() {
  at(at("name").value === "" ? "name" : "text").focus();
}

async function listRooms() {
  const { rooms } = await request("/rooms");
  if (!rooms.some((entry) => entry.name === LOBBY)) rooms.unshift({ name: LOBBY, people: 0 });
  at("room-list").replaceChildren(...rooms.map((entry) => {
    const link = element("a", entry.name, element("span", peopleText(entry.people)));
    link.href = `#${encodeURIComponent(entry.name)}`;
    if (entry.name === room) link.setAttribute("aria-current", "true");
    return element("li", link);
  }));
}

// --- Receiving -------------------------------------------------------------------------------

async function listen(room, left) {
  let cursor = null;
  let people = null;
  let failures = 0;
  setState("connecting");
  while (!left.aborted) {
    const query = new URLSearchParams({ client });
    if (cursor !== null) query.set("after", cursor);
    if (people !== null) query.set("people", people);
    try {
      const timeout = people === null ? ANSWER_TIMEOUT : POLL_TIMEOUT;
      const news = await request(`${roomPath(room)}?${query}`, { signal: left, timeout });
      if (left.aborted) return;
      failures = 0;
      lastRoom = room;
      show(news, cursor === null);
      ({ cursor, people } = news);
      setState("online");
    } catch (problem) {
      if (left.aborted) return;
      if (problem.refused) return refuseRoom(room, `${problem.message}.`);
      failures += 1;
      people = null; // Ask for the count again, and so for an answer at once.
      setState("offline", problem);
      await pause(failures, left);
    }
  }
}

function show({ messages, missed, restarted, people }, first) {
  at("people").textContent = peopleText(people);
  const list = at("messages");
  const following = isAtEnd();
  if (restarted && list.childElementCount > 0) list.append(note("The room was restarted. The messages above are on this page only."));
  if (missed) list.append(note("Some messages in between are no longer kept."));
  if (missed || restarted) {
    latest = null;
    outbox.filter((message) => message.accepted && message.room === room).forEach(remove);
  }
  const shown = document.createDocumentFragment();
  for (const message of messages) {
    const sent = outbox.findIndex((waiting) => waiting.key === message.key);
    if (sent >= 0) outbox.splice(sent, 1);
    const item = drawMessage(message, message.key.startsWith(client));
    item.classList.toggle("arriving", !first);
    if (dayOf(message) !== (latest ? dayOf(latest) : dayOf({ at: Date.now() }))) shown.append(note(dayOf(message)));
    else item.classList.toggle("again", latest !== null && isSameBreath(latest, message));
    shown.append(item);
    latest = message;
  }
  list.append(shown);
  while (list.childElementCount > MOST_SHOWN) list.firstElementChild.remove();
  at("empty").hidden = list.childElementCount > 0;
  drawOutbox();
  if (following) scrollToEnd();
  else if (messages.length > 0) at("newest").hidden = false;
}

// --- Sending ---------------------------------------------------------------------------------

// The key makes a repeated attempt harmless: the server knows that it has this message already.
function say(name, text) {
  outbox.push({ room, name, text, key: `${client}-${randomName()}` });
  drawOutbox();
  scrollToEnd();
  if (!sending) send();
}

async function send() {
  sending = true;
  let failures = 0;
  while (true) {
    const next = outbox.find((message) => !message.accepted);
    if (!next) break;
    try {
      await request(roomPath(next.room), {
        method: "POST",
        headers: { "Content-Type": "application/json" },
        body: JSON.stringify({ name: next.name, text: next.text, key: next.key }),
        timeout: ANSWER_TIMEOUT,
      });
      failures = 0;
      next.accepted = true; // It leaves the outbox when the poll brings it, or at once in a room left meanwhile.
      if (next.room !== room) remove(next);
    } catch (problem) {
      if (problem.refused) {
        remove(next);
        complain(`Not sent: ${problem.message}`);
        if (at("text").value === "") at("text").value = next.text;
      } else {
        failures += 1;
        await pause(failures);
      }
    }
  }
  sending = false;
}

function remove(message) {
  const position = outbox.indexOf(message);
  if (position >= 0) outbox.splice(position, 1);
  drawOutbox();
}

// --- The wire --------------------------------------------------------------------------------

function roomPath(name) {
  return `/rooms/${encodeURIComponent(name)}/messages`;
}

async function request(path, { signal, timeout = ANSWER_TIMEOUT, ...options } = {}) {
  const timer = new AbortController();
  const alarm = setTimeout(() => timer.abort(new Error("no answer")), timeout);
  const stop = () => timer.abort();
  signal?.addEventListener("abort", stop);
  if (signal?.aborted) stop();
  try {
    const response = await fetch(path, { cache: "no-store", signal: timer.signal, ...options });
    if (response.ok) return await response.json();
    const { error } = await response.json().catch(() => ({ error: response.statusText }));
    const problem = new Error(error);
    problem.refused = response.status >= 400 && response.status < 500 && response.status !== 408;
    throw problem;
  } finally {
    clearTimeout(alarm);
    signal?.removeEventListener("abort", stop);
  }
}

// Waits longer after each failure, with some chance in it so that not all pages come back at once.
// Ends early when the network returns, the reader asks for it, or the room is left.
function pause(failures, left) {
  const most = Math.min(500 * 2 ** (failures - 1), LONGEST_PAUSE);
  return new Promise((resolve) => {
    const end = () => {
      clearTimeout(timer);
      removeEventListener("online", end);
      at("retry").removeEventListener("click", end);
      left?.removeEventListener("abort", end);
      resolve();
    };
    const timer = setTimeout(end, most * (0.5 + Math.random() / 2));
    addEventListener("online", end);
    at("retry").addEventListener("click", end);
    left?.addEventListener("abort", end);
  });
}

// --- Drawing ---------------------------------------------------------------------------------

// Text only ever enters the page as text nodes, so no message can bring markup along.
function element(tag, ...children) {
  const made = document.createElement(tag);
  made.append(...children);
  return made;
}

function drawMessage(message, mine) {
  const time = element("time", new Date(message.at).toLocaleTimeString([], { hour: "2-digit", minute: "2-digit" }));
  time.dateTime = new Date(message.at).toISOString();
  time.title = new Date(message.at).toLocaleString();
  const item = drawBubble(message, time);
  item.classList.toggle("mine", mine);
  item.title = time.title;
  return item;
}

function dayOf({ at }) {
  return new Date(at).toLocaleDateString([], { weekday: "long", day: "numeric", month: "long" });
}

// A key starts with the page it comes from: two people of one name stay apart.
function isSameBreath(before, message) {
  const page = ({ key }) => key.split("-")[0];
  return before.name === message.name && page(before) === page(message) && message.at - before.at < ONE_BREATH;
}

function drawBubble({ name, text }, aside) {
  const by = element("div", element("b", name), aside);
  by.className = "by";
  const said = element("div", ...splitLinks(text).map((piece) => (piece.href ? drawLink(piece) : piece)));
  said.className = "said";
  const item = element("li", by, said);
  item.style.setProperty("--hue", hue(name));
  return item;
}

// In a tab of its own, which cannot reach this page.
function drawLink({ text, href }) {
  const link = element("a", text);
  link.href = href;
  link.target = "_blank";
  link.rel = "noopener noreferrer";
  return link;
}

function drawOutbox() {
  const here = outbox.filter((message) => message.room === room);
  at("outbox").replaceChildren(...here.map((message) => drawBubble(message, element("i", "sending"))));
}

function note(text) {
  const item = element("li", text);
  item.className = "note";
  return item;
}

function setState(state, problem) {
  const words = { online: "connected", connecting: "connecting", offline: "reconnecting" };
  const shown = at("state");
  shown.title = problem?.message ?? "";
  if (shown.dataset.state === state) return; // A screen reader reads it out only when it changes.
  shown.dataset.state = state;
  shown.textContent = words[state];
  const wasRetried = state === "online" && isChosen("#retry");
  at("retry").hidden = state !== "offline";
  if (wasRetried) focusField();
}

function complain(text) {
  at("problem").textContent = text;
  at("problem").hidden = text === "";
}

function peopleText(count) {
  return count === 1 ? "1 person" : `${count} people`;
}

function hue(name) {
  let sum = 0;
  for (const letter of name) sum = (sum * 31 + letter.codePointAt(0)) % 360;
  return sum;
}

function isAtEnd() {
  const { scrollTop, scrollHeight, clientHeight } = at("scroller");
  return scrollHeight - scrollTop - clientHeight < 60;
}

function scrollToEnd() {
  at("scroller").scrollTop = at("scroller").scrollHeight;
  at("newest").hidden = true;
}

// randomUUID exists on secure origins only; the page may be read over plain HTTP in a local network.
function randomName() {
  const bytes = crypto.getRandomValues(new Uint8Array(9));
  return Array.from(bytes, (byte) => byte.toString(36).padStart(2, "0")).join("");
}

// --- Wiring ----------------------------------------------------------------------------------

at("name").value = localStorage.getItem("name") ?? "";
at("name").addEventListener("change", () => localStorage.setItem("name", at("name").value.trim()));
at("text").addEventListener("keydown", (event) => {
  if (event.key !== "Enter" || event.shiftKey || event.isComposing) return;
  event.preventDefault();
  at("say").requestSubmit();
});
at("say").addEventListener("submit", (event) => {
  event.preventDefault();
  const [name, text] = [at("name").value.trim(), at("text").value.trim()];
  complain("");
  if (name === "") return at("name").focus();
  if (text === "") return;
  at("text").value = "";
  at("text").focus();
  say(name, text);
});
at("join").addEventListener("submit", (event) => {
  event.preventDefault();
  location.hash = encodeURIComponent(at("room-name").value.trim());
  at("room-name").value = "";
  enterRoom();
});
at("rooms").addEventListener("toggle", () => at("rooms").open && listRooms().catch((problem) => complain(problem.message)));
addEventListener("click", (event) => { if (!at("rooms").contains(event.target)) at("rooms").open = false; });
// The room one is in is a link as well, which changes nothing.
at("room-list").addEventListener("click", (event) => { if (event.target.closest("[aria-current]")) closeRooms(); });
addEventListener("keydown", (event) => {
  if (event.key !== "Escape" || !at("rooms").open) return;
  at("rooms").open = false;
  at("rooms").querySelector("summary").focus();
});
at("newest").addEventListener("click", scrollToEnd);
at("scroller").addEventListener("scroll", () => { if (isAtEnd()) at("newest").hidden = true; });
addEventListener("hashchange", enterRoom);
// A page in the browser's cache of pages to go back to would keep its poll, and be counted.
addEventListener("pagehide", () => listening.abort());
addEventListener("pageshow", (event) => {
  if (!event.persisted) return;
  room = "";
  enterRoom();
});
enterRoom();
if (room !== "") focusField();
