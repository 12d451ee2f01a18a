"use strict";

const form = document.querySelector("form");
const cancel = document.querySelector("#cancel");
const bar = document.querySelector("progress");
const output = document.querySelector("output");
const list = document.querySelector("#files");

function megabytes(bytes) {
  return `${(bytes / 1e6).toFixed(1)} MB`;
}

async function showFiles() {
  const files = await (await fetch("/files")).json();
  list.replaceChildren(...files.map(({ name, bytes }) => {
    const item = document.createElement("li");
    const link = document.createElement("a");
    link.href = `/files/${encodeURIComponent(name)}`;
    link.textContent = name;
    item.append(link, ` ${megabytes(bytes)}`);
    return item;
  }));
}

// `fetch` does not tell how far a request's body is; this does.
function upload(data) {
  const request = new XMLHttpRequest();
  const done = (text) => {
    output.textContent = text;
    bar.hidden = cancel.hidden = true;
    showFiles();
  };
  request.upload.onprogress = ({ loaded, total }) => {
    bar.value = loaded / total;
    output.textContent = `${megabytes(loaded)} of ${megabytes(total)}`;
  };
  request.onload = () => {
    if (request.status === 200 || request.status === 201) form.reset();
    done(request.status === 201 ? "Done." : `Refused: ${request.responseText}`);
  };
  request.onerror = () => done("The connection broke off.");
  request.onabort = () => done("Cancelled.");
  cancel.onclick = () => request.abort();
  bar.hidden = cancel.hidden = false;
  request.open("POST", form.action);
  request.setRequestHeader("Accept", "application/json");
  request.send(data);
}

form.addEventListener("submit", (event) => {
  event.preventDefault();
  upload(new FormData(form));
});

showFiles();
