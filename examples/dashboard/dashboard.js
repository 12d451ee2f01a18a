// Draws each sample as it comes.

const SHOWN = 120;
const PER_SECOND = 2;

const PANELS = [
  { title: "Requests per second", value: sample => sample.requests * PER_SECOND },
  { title: "Connections", value: sample => sample.connections },
  { title: "Pages that look", value: sample => sample.pages },
  { title: "Longest turn, ms", value: sample => sample.longest_turn_ms },
  { title: "Lag of timers, ms", value: sample => sample.lag_ms },
  { title: "Polls per second", value: sample => sample.polls * PER_SECOND },
  { title: "Waits per second", value: sample => sample.waits * PER_SECOND },
  { title: "Tasks", value: sample => sample.tasks },
  { title: "Timers", value: sample => sample.timers },
];

const state = document.querySelector("#state");
const samples = [];
const panels = PANELS.map(panel => ({ ...panel, ...elements(panel.title) }));

const source = new EventSource("/samples");
source.addEventListener("open", () => { state.textContent = "live"; state.classList.remove("bad"); });
source.addEventListener("error", () => {
  state.textContent = source.readyState === EventSource.CLOSED ? "the server refused; reload the page" : "reconnecting";
  state.classList.add("bad");
});
source.addEventListener("message", event => {
  samples.push(JSON.parse(event.data));
  if (samples.length > SHOWN) samples.shift();
  scheduleDrawing();
});

// Sixty samples that come at once are drawn once.
let scheduled = false;
function scheduleDrawing() {
  if (scheduled) return;
  scheduled = true;
  requestAnimationFrame(() => {
    scheduled = false;
    panels.forEach(draw);
  });
}

function draw({ value, line, output }) {
  const values = samples.map(value);
  const top = Math.max(1, ...values);
  const x = at => (SHOWN - values.length + at) / (SHOWN - 1) * 100;
  line.setAttribute("points", values.map((height, at) => `${x(at).toFixed(2)},${(40 - height / top * 36).toFixed(2)}`).join(" "));
  const last = values.at(-1);
  output.textContent = Number.isInteger(last) ? last : last.toFixed(1);
}

function elements(title) {
  const panel = document.createElement("section");
  panel.className = "panel";
  const heading = document.createElement("h2");
  heading.textContent = title;
  const output = document.createElement("output");
  const svg = document.createElementNS("http://www.w3.org/2000/svg", "svg");
  svg.setAttribute("viewBox", "0 0 100 42");
  svg.setAttribute("preserveAspectRatio", "none");
  svg.setAttribute("aria-hidden", "true");
  const ground = svg.appendChild(document.createElementNS(svg.namespaceURI, "line"));
  for (const [name, at] of [["x1", 0], ["x2", 100], ["y1", 41], ["y2", 41]]) ground.setAttribute(name, at);
  const line = svg.appendChild(document.createElementNS(svg.namespaceURI, "polyline"));
  panel.append(heading, output, svg);
  document.querySelector("#panels").append(panel);
  return { line, output };
}

document.querySelector("#work").addEventListener("submit", async event => {
  event.preventDefault();
  const worked = document.querySelector("#worked");
  worked.textContent = "computing";
  try {
    const response = await fetch("/work", { method: "POST", body: new URLSearchParams({ where: event.submitter.value }) });
    worked.textContent = (await response.text()).trim();
  } catch (error) {
    worked.textContent = error.message;
  }
});
