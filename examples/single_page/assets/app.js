"use strict";

const nav = document.querySelector("nav");
const main = document.querySelector("main");

async function load(path) {
  const response = await fetch(path);
  if (!response.ok) throw new Error(response.status === 404 ? "There is no such page." : `Error ${response.status}.`);
  return response.json();
}

function element(name, text, attributes = {}) {
  const made = Object.assign(document.createElement(name), attributes);
  made.textContent = text;
  return made;
}

// What is shown for an address. The server answers each of them with this same page.
async function view(path) {
  if (path === "/") return [element("h1", "Waterspout"), element("p", "Four layers. Choose one.")];
  const [, name] = path.match(/^\/layers\/([^/]+)$/) ?? [];
  if (!name) throw new Error("There is no such page.");
  const layer = await load(`/api/layers/${name}`);
  return [element("h1", layer.name), element("p", layer.about)];
}

async function show() {
  const path = location.pathname;
  let parts;
  try {
    parts = await view(path);
  } catch (error) {
    parts = [element("h1", "Nothing here"), element("p", error.message, { className: "bad" })];
  }
  // A click may have been faster than the answer.
  if (path !== location.pathname) return;
  main.replaceChildren(...parts);
  document.title = parts[0].textContent;
  for (const link of nav.children) link.toggleAttribute("aria-current", link.pathname === path);
}

function go(event) {
  const link = event.target.closest("a");
  const plain = !event.ctrlKey && !event.metaKey && !event.shiftKey && event.button === 0;
  if (!link || link.origin !== location.origin || !plain) return;
  event.preventDefault();
  history.pushState(null, "", link.href);
  show();
}

async function start() {
  const layers = await load("/api/layers");
  const links = layers.map(({ name }) => element("a", name, { href: `/layers/${name}` }));
  nav.replaceChildren(element("a", "Start", { href: "/" }), ...links);
  document.addEventListener("click", go);
  window.addEventListener("popstate", show);
  show();
}

start();
