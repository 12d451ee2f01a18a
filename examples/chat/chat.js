// The page's side of the chat: what a feed brings is shown, and a queue of messages sent.
//
// Nothing is shown because it was typed: a message appears when the server has given it a place. Nothing is lost between two
// connections: each says, by its cursor, what the page has seen.

import { dayOf, drawBubble, drawMessage, element, isSameBreath, namesText, note, peopleText } from "./draw.js";
import { Feed, WAYS, pause, request } from "./feed.js";

const LOBBY = "lobby";
const ROOM_NAME = /^[\p{Alphabetic}\p{N}_-]{1,32}$/u; // The server's rule.
const MOST_SHOWN = 1000;
const LOOK_AROUND = 10_000; // How often the page asks what is new in other rooms.

const at = (id) => document.getElementById(id);
const client = randomName();
const outbox = [];
let room = ""; // The room that is shown; empty while a notice stands in its place.
let lastRoom = LOBBY; // Where a notice leads back to.
let latest = null; // The message shown last.
let shownKeys = new Set(); // A message that was sent to two instances, or comes again, is shown once.
let crowd = { at: 0, people: 0, names: [] };
let unread = 0; // In this room, while the page is out of sight.
let feed = null;
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
  drawTitle();
  drawOutbox();
  follow(room);
  lookAround();
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
  feed?.stop();
  latest = null;
  shownKeys = new Set();
  drawCrowd({ at: 0, people: 0, names: [] });
  unread = 0;
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

// The rooms, with a mark at those where something was said since this browser showed them.
async function listRooms() {
  const { now, rooms } = await request("/rooms");
  const seen = lastSeen();
  if (!rooms.some((entry) => entry.name === LOBBY)) rooms.unshift({ name: LOBBY, people: 0, said: 0, names: [] });
  const isUnread = ({ name, said }) => name !== room && name in seen && said > seen[name];
  at("room-list").replaceChildren(...rooms.map((entry) => {
    const link = element("a", entry.name, element("span", peopleText(entry.people)));
    link.href = `#${encodeURIComponent(entry.name)}`;
    link.classList.toggle("unread", isUnread(entry));
    if (isUnread(entry)) link.title = "Something was said here since you left";
    if (entry.name === room) link.setAttribute("aria-current", "true");
    return element("li", link);
  }));
  const elsewhere = rooms.filter(isUnread).length;
  at("elsewhere").textContent = elsewhere === 0 ? "" : elsewhere;
  at("elsewhere").title = elsewhere === 0 ? "" : "Rooms with something new";
  const here = rooms.find((entry) => entry.name === room);
  // The list may be late, and is right in the end.
  if (here && now > crowd.at) drawCrowd({ ...here, at: now });
}

async function lookAround() {
  if (document.hidden) return;
  try {
    await listRooms();
  } catch (problem) {
    // A connection may die without notice: this one shows it.
    if (problem.name === "TimeoutError") feed?.restart();
  }
}

// When something was said last that this browser has shown, by room.
function lastSeen() {
  try {
    return JSON.parse(localStorage.getItem("seen")) ?? {};
  } catch {
    return {};
  }
}

function remember(room, message) {
  const seen = lastSeen();
  if (room in seen && seen[room] >= (message?.at ?? 0)) return;
  localStorage.setItem("seen", JSON.stringify({ ...seen, [room]: message?.at ?? 0 }));
}

// --- Receiving -------------------------------------------------------------------------------

function follow(room) {
  let problem = null;
  feed = new Feed({
    address: (query) => `${roomPath(room)}?${new URLSearchParams({ client, name: at("name").value.trim(), ...query })}`,
    take: (news) => {
      lastRoom = room;
      show(news);
    },
    tell(state, why) {
      problem = why ?? problem;
      if (state === "refused") return refuseRoom(room, `${problem.message}.`);
      setState(state, this.way, state === "offline" ? problem : null);
    },
    isServerThere: () => request("/rooms").then(() => true, () => false),
    way: feed?.works ? feed.way : undefined,
    chosen: chosenWay(),
  });
}

function chosenWay() {
  const way = at("way").value;
  return way in WAYS ? way : null;
}

function show({ messages, lagged, reset }) {
  const list = at("messages");
  const following = isAtEnd();
  if (reset && list.childElementCount > 0) list.append(note("The room was restarted. The messages above are on this page only."));
  if (lagged) list.append(note("Some messages in between are no longer kept."));
  if (lagged || reset) {
    latest = null;
    outbox.filter((message) => message.accepted && message.room === room).forEach(remove);
  }
  for (const news of messages) if (news.here && news.at > crowd.at) drawCrowd({ ...news.here, at: news.at });
  const said = messages.filter((message) => message.key && !shownKeys.has(message.key));
  const shown = document.createDocumentFragment();
  for (const message of said) {
    shownKeys.add(message.key);
    const sent = outbox.findIndex((waiting) => waiting.key === message.key);
    if (sent >= 0) outbox.splice(sent, 1);
    const mine = message.key.startsWith(client);
    const item = drawMessage(message, mine);
    item.classList.toggle("arriving", Date.now() - message.at < 5_000);
    if (dayOf(message) !== (latest ? dayOf(latest) : dayOf({ at: Date.now() }))) shown.append(note(dayOf(message)));
    else item.classList.toggle("again", latest !== null && isSameBreath(latest, message));
    shown.append(item);
    latest = message;
    if (document.hidden && !mine) unread += 1;
  }
  list.append(shown);
  while (list.childElementCount > MOST_SHOWN) list.firstElementChild.remove();
  at("empty").hidden = list.childElementCount > 0;
  if (!document.hidden) remember(room, latest);
  drawTitle();
  drawOutbox();
  if (following) scrollToEnd();
  else if (said.length > 0) at("newest").hidden = false;
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
      });
      failures = 0;
      next.accepted = true; // It leaves the outbox when the feed brings it, or at once in a room left meanwhile.
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

function roomPath(name) {
  return `/rooms/${encodeURIComponent(name)}/messages`;
}

// --- Drawing ---------------------------------------------------------------------------------

function drawOutbox() {
  const here = outbox.filter((message) => message.room === room);
  at("outbox").replaceChildren(...here.map((message) => drawBubble(message, element("i", "sending"))));
}

function drawTitle() {
  if (room !== "") document.title = `${unread > 0 ? `(${unread}) ` : ""}#${room} · Chat`;
}

function drawCrowd(now) {
  crowd = now;
  at("people").textContent = peopleText(crowd.people);
  at("names").textContent = namesText(crowd);
}

function setState(state, way, problem) {
  const words = { online: `connected by ${WAYS[way]}`, connecting: "connecting", offline: "reconnecting" };
  const shown = at("state");
  shown.title = problem?.message ?? "";
  if (shown.textContent === words[state]) return; // A screen reader reads it out only when it changes.
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
at("name").addEventListener("change", () => {
  localStorage.setItem("name", at("name").value.trim());
  if (room !== "") feed.restart(); // With the new name.
});
at("way").addEventListener("change", () => {
  sessionStorage.setItem("way", at("way").value);
  if (room !== "") feed.restart(chosenWay());
});
at("way").value = sessionStorage.getItem("way") ?? "";
at("retry").addEventListener("click", () => dispatchEvent(new Event("retry")));
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
addEventListener("visibilitychange", () => {
  if (document.hidden) return;
  unread = 0;
  drawTitle();
  if (room !== "") remember(room, latest);
  lookAround();
});
setInterval(lookAround, LOOK_AROUND);
// A page in the browser's cache of pages to go back to would keep its connection, and be counted.
addEventListener("pagehide", () => feed?.stop());
addEventListener("pageshow", (event) => {
  if (!event.persisted) return;
  room = "";
  enterRoom();
});
enterRoom();
if (room !== "") focusField();
