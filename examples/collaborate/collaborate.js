// The shared board: draws what comes, and sends what is drawn here.

import { MOST_POINTS, Wire } from "./wire.js";

const COLOURS = ["#14242e", "#d12f2f", "#e07b00", "#1a7f4b", "#0b6e99", "#7a3fb0", "#c2368e", "#ffffff"];
const NAMES = ["black", "red", "orange", "green", "blue", "violet", "pink", "white, to erase"];
const POINTER_PAUSE = 40; // Between two messages that say where this pointer is.

const at = (id) => document.getElementById(id);
const canvas = document.querySelector("canvas");
const paper = canvas.getContext("2d");
const pointers = new Map(); // Those of others, by their number.
let colour = 4;
let stroke = null; // The points that are drawn and not sent yet, while the pointer is down.
let pointedAt = 0;

const wire = new Wire({
  state: (state) => {
    at("state").textContent = state;
    if (state !== "connected") [...pointers.keys()].forEach(forget);
  },
  stroke: draw,
  wipe: () => paper.clearRect(0, 0, canvas.width, canvas.height),
  pointer: (who, x, y) => {
    if (!pointers.has(who)) {
      const mark = document.createElement("div");
      mark.className = "pointer";
      mark.style.setProperty("--colour", `hsl(${(who * 137) % 360} 70% 45%)`);
      pointers.set(who, mark);
      at("board").append(mark);
    }
    const { style } = pointers.get(who);
    style.left = `${(x / canvas.width) * 100}%`;
    style.top = `${(y / canvas.height) * 100}%`;
  },
  left: forget,
});

function forget(who) {
  pointers.get(who)?.remove();
  pointers.delete(who);
}

function draw({ colour, width, points: [first, ...rest] }) {
  paper.strokeStyle = COLOURS[colour] ?? COLOURS[0];
  paper.lineWidth = width;
  paper.lineCap = paper.lineJoin = "round";
  paper.beginPath();
  paper.moveTo(...first);
  for (const point of rest) paper.lineTo(...point);
  paper.stroke();
}

// --- Drawing here ----------------------------------------------------------------------------

function place(event) {
  const { left, top, width, height } = canvas.getBoundingClientRect();
  const scaled = (value, size, most) => Math.round(Math.min(Math.max(value / size, 0), 1) * most);
  return [scaled(event.clientX - left, width, canvas.width), scaled(event.clientY - top, height, canvas.height)];
}

function pen(points) {
  return { colour, width: Number(at("width").value), points };
}

// Strokes leave in parts, once for each picture that the screen shows; the next part begins where this one ends.
function sendPart() {
  if (stroke === null || stroke.length < 2) return;
  for (let i = 0; i + 1 < stroke.length; i += MOST_POINTS - 1) wire.stroke(pen(stroke.slice(i, i + MOST_POINTS)));
  stroke = [stroke.at(-1)];
}

canvas.addEventListener("pointerdown", (event) => {
  if (event.button !== 0 || stroke !== null) return;
  canvas.setPointerCapture(event.pointerId);
  // A point is a line without length.
  stroke = [place(event), place(event)];
  draw(pen(stroke));
  sendPart();
});
canvas.addEventListener("pointermove", (event) => {
  if (stroke !== null) {
    const moves = event.getCoalescedEvents?.() ?? [];
    const points = (moves.length > 0 ? moves : [event]).map(place);
    draw(pen([stroke.at(-1), ...points]));
    if (stroke.length === 1) requestAnimationFrame(sendPart);
    stroke.push(...points);
  }
  if (event.timeStamp - pointedAt < POINTER_PAUSE) return;
  pointedAt = event.timeStamp;
  wire.pointer(place(event));
});
for (const end of ["pointerup", "pointercancel"]) {
  canvas.addEventListener(end, () => {
    sendPart();
    stroke = null;
  });
}

COLOURS.forEach((value, i) => {
  const choice = document.createElement("input");
  Object.assign(choice, { type: "radio", name: "colour", checked: i === colour, title: NAMES[i], ariaLabel: NAMES[i] });
  choice.style.setProperty("--colour", value);
  choice.addEventListener("change", () => { colour = i; });
  at("colours").append(choice);
});
at("wipe").addEventListener("click", () => wire.wipe());
