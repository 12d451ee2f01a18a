// Finds the addresses in a message.

// Control and format characters are left out: one that changes the direction of writing can make an address look like
// another.
const ADDRESS = /\bhttps?:\/\/[^\s\p{C}<>"]+/giu;
const PAIRS = { ")": "(", "]": "[", "}": "{" };

// The text in pieces, in order: strings, and `{ text, href }` for each http or https address.
export function splitLinks(text) {
  const pieces = [];
  let end = 0;
  for (const { 0: found, index } of text.matchAll(ADDRESS)) {
    const address = withoutPunctuation(found);
    const href = URL.canParse(address) ? new URL(address).href : null;
    if (href === null) continue;
    if (index > end) pieces.push(text.slice(end, index));
    pieces.push({ text: address, href });
    end = index + address.length;
  }
  if (end < text.length) pieces.push(text.slice(end));
  return pieces;
}

// A full stop after an address belongs to the sentence, and so does a bracket that was opened before it.
function withoutPunctuation(address) {
  while (true) {
    const last = address.at(-1);
    const isClosing = last in PAIRS && count(address, last) > count(address, PAIRS[last]);
    if (!isClosing && !".,;:!?'…’”»".includes(last)) return address;
    address = address.slice(0, -1);
  }
}

function count(text, character) {
  return text.split(character).length - 1;
}
