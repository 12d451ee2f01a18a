// Follows a room in one of three ways. Each gives cursors and takes those of the others, so the way may change at any time,
// and nothing is lost in between.

export const WAYS = { socket: "WebSocket", events: "event stream", poll: "long poll" };

const ORDER = Object.keys(WAYS);
const OPEN_TIMEOUT = 8_000; // Later than this a way has failed: something in between holds it up.
const POLL_TIMEOUT = 40_000; // The server answers within 25 s.
const LONGEST_PAUSE = 15_000;
const MOST_FAULTS = 2; // One failure may be chance, as when the server is just starting.

export class Feed {
  // `address` makes the URL of a query, `take` gets news, `tell` what the state is: connecting, online, offline or refused.
  // `chosen` is a way, or null for the first that works, beginning with `way`.
  constructor({ address, take, tell, isServerThere, way = ORDER[0], chosen = null }) {
    Object.assign(this, { address, take, tell, isServerThere, way: chosen ?? way, chosen });
    this.cursor = null;
    this.left = new AbortController();
    this.run(this.left.signal);
  }

  stop() {
    this.left.abort();
  }

  // Begins again, where it was.
  restart(chosen = this.chosen) {
    this.left.abort();
    this.left = new AbortController();
    this.way = chosen ?? (this.chosen === null && this.works ? this.way : ORDER[0]);
    this.chosen = chosen;
    this.run(this.left.signal);
  }

  async run(left) {
    let [failures, faults] = [0, 0];
    this.tell("connecting");
    while (!left.aborted) {
      this.works = false;
      const problem = await this[this.way](left).then(() => new Error("the connection ended"), (problem) => problem);
      if (left.aborted) return;
      if (problem.refused) return this.tell("refused", problem);
      const did = this.works;
      failures = did ? 1 : failures + 1;
      this.tell("offline", problem);
      await pause(failures, left);
      // A server that answers otherwise is there: then the way is at fault.
      if (did) faults = 0;
      else if (this.chosen === null && (await this.isServerThere()) && ++faults === MOST_FAULTS) {
        faults = 0;
        this.way = ORDER[(ORDER.indexOf(this.way) + 1) % ORDER.length];
      }
    }
  }

  url(query) {
    return this.address(this.cursor === null ? query : { ...query, cursor: this.cursor });
  }

  isOpen() {
    this.works = true;
    this.tell("online");
  }

  news(cursor, news) {
    this.cursor = cursor ?? this.cursor;
    this.take({ messages: [], ...news });
  }

  socket(left) {
    return this.connection(left, (opened, failed) => {
      const socket = new WebSocket(new URL(this.url({ way: "socket" }), location.href.replace(/^http/, "ws")));
      socket.onopen = opened;
      socket.onmessage = (event) => {
        const { cursor, data, ...rest } = JSON.parse(event.data);
        this.news(cursor, { ...rest, messages: data === undefined ? [] : [data] });
      };
      socket.onclose = failed;
      return socket;
    });
  }

  events(left) {
    return this.connection(left, (opened, failed) => {
      const source = new EventSource(this.url({ way: "events" }));
      const take = (news) => (event) => this.news(event.lastEventId, news(event));
      source.onopen = opened;
      source.onmessage = take((event) => ({ messages: [JSON.parse(event.data)] }));
      source.addEventListener("lagged", take(() => ({ lagged: true })));
      source.addEventListener("reset", take(() => ({ reset: true })));
      // It would come back by itself, and tell nobody.
      source.onerror = failed;
      return source;
    });
  }

  async poll(left) {
    while (!left.aborted) {
      // The first is answered at once: then the way is known to work.
      const [query, timeout] = this.works ? [{ way: "poll" }, POLL_TIMEOUT] : [{ way: "poll", wait: 0 }, OPEN_TIMEOUT];
      const { cursor, retry, ...news } = await request(this.url(query), { signal: left, timeout });
      if (left.aborted) return;
      this.isOpen();
      this.news(cursor, news);
      if (retry !== undefined) await delay(retry, left);
    }
  }

  // Lives until what `open` makes has failed, or the room is left.
  connection(left, open) {
    return new Promise((_, reject) => {
      let connection;
      const end = (why) => {
        clearTimeout(alarm);
        left.removeEventListener("abort", end);
        connection.onclose = connection.onerror = connection.onmessage = connection.onopen = null;
        connection.close();
        reject(why instanceof Error ? why : new Error("the connection is gone"));
      };
      const alarm = setTimeout(end, OPEN_TIMEOUT, new Error("no answer"));
      const opened = () => {
        clearTimeout(alarm);
        this.isOpen();
      };
      connection = open(opened, end);
      left.addEventListener("abort", end);
    });
  }
}

export async function request(path, { signal, timeout = 15_000, ...options } = {}) {
  const signals = [AbortSignal.timeout(timeout), ...(signal ? [signal] : [])];
  const response = await fetch(path, { cache: "no-store", signal: AbortSignal.any(signals), ...options });
  if (response.ok) return await response.json();
  const { error } = await response.json().catch(() => ({ error: response.statusText }));
  const problem = new Error(error);
  problem.refused = response.status >= 400 && response.status < 500 && response.status !== 408;
  throw problem;
}

// Waits longer after each failure, with some chance in it so that not all pages come back at once.
export function pause(failures, left) {
  const most = Math.min(500 * 2 ** (failures - 1), LONGEST_PAUSE);
  return delay(most * (0.5 + Math.random() / 2), left);
}

// Ends early when the network returns, the reader asks for it (the event `retry`), or the room is left.
function delay(time, left) {
  return new Promise((resolve) => {
    const end = () => {
      clearTimeout(timer);
      removeEventListener("online", end);
      removeEventListener("retry", end);
      left?.removeEventListener("abort", end);
      resolve();
    };
    const timer = setTimeout(end, time);
    addEventListener("online", end);
    addEventListener("retry", end);
    left?.addEventListener("abort", end);
  });
}
