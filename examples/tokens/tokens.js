// Asks, and shows the answer as it comes.

import { events } from "/events.js";

const question = document.querySelector("#question");
const send = document.querySelector("#send");
const stop = document.querySelector("#stop");
const answer = document.querySelector("#answer");
const state = document.querySelector("#state");

let running = null;

document.querySelector("#ask").addEventListener("submit", event => {
  event.preventDefault();
  ask(question.value);
});

stop.addEventListener("click", () => running?.abort());

async function ask(text) {
  running?.abort();
  const mine = running = new AbortController();
  begin();
  let tokens = 0;
  let end = "The server ended before the answer did.";
  try {
    for await (const event of events("/answers", { question: text }, mine.signal)) {
      if (event.name === "done") {
        end = `Done: ${event.data} tokens.`;
      } else {
        tokens += 1;
        answer.append(JSON.parse(event.data));
        state.textContent = `${tokens} tokens so far`;
      }
    }
  } catch (error) {
    end = mine.signal.aborted ? `Stopped after ${tokens} tokens.` : `No answer: ${error.message}`;
  }
  // A question that came later has the page now.
  if (running === mine) finish(end);
}

function begin() {
  answer.textContent = "";
  state.textContent = "waiting for the first token";
  document.querySelector("main").classList.add("busy");
  stop.disabled = false;
  send.textContent = "Ask again";
}

function finish(text) {
  state.textContent = text;
  document.querySelector("main").classList.remove("busy");
  stop.disabled = true;
  running = null;
}
