// Makes the parts of the page.

import { splitLinks } from "./links.js";

const ONE_BREATH = 5 * 60_000; // What somebody says within this time stands under one name.

// Text only ever enters the page as text nodes, so no message can bring markup along.
export function element(tag, ...children) {
  const made = document.createElement(tag);
  made.append(...children);
  return made;
}

export function drawMessage(message, mine) {
  const time = element("time", new Date(message.at).toLocaleTimeString([], { hour: "2-digit", minute: "2-digit" }));
  time.dateTime = new Date(message.at).toISOString();
  time.title = new Date(message.at).toLocaleString();
  const item = drawBubble(message, time);
  item.classList.toggle("mine", mine);
  item.title = time.title;
  return item;
}

export function drawBubble({ name, text }, aside) {
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

export function note(text) {
  const item = element("li", text);
  item.className = "note";
  return item;
}

export function dayOf({ at }) {
  return new Date(at).toLocaleDateString([], { weekday: "long", day: "numeric", month: "long" });
}

// A key starts with the page it comes from: two people of one name stay apart.
export function isSameBreath(before, message) {
  const page = ({ key }) => key.split("-")[0];
  return before.name === message.name && page(before) === page(message) && message.at - before.at < ONE_BREATH;
}

export function peopleText(count) {
  return count === 1 ? "1 person" : `${count} people`;
}

// Each name once; who has none is somebody.
export function namesText({ people, names }) {
  const known = [...new Set(names.filter((name) => name !== ""))];
  const others = people - names.filter((name) => name !== "").length;
  return [...known, ...(others > 0 ? [others === 1 ? "somebody" : `${others} others`] : [])].join(", ");
}

function hue(name) {
  let sum = 0;
  for (const letter of name) sum = (sum * 31 + letter.codePointAt(0)) % 360;
  return sum;
}
