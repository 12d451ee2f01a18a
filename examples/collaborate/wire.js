// The messages of the board, as they are on the wire; see collaborate.rs.

const [STROKE, POINTER, WIPE, LEFT, HELLO] = [1, 2, 3, 4, 5];
const LONGEST_PAUSE = 15_000;

export const MOST_POINTS = 128;

// Keeps a WebSocket to the board, and comes back when it breaks. `on` has a function for each kind of message.
export class Wire {
  constructor(on) {
    Object.assign(this, { on, failures: 0, unseen: [] });
    this.connect();
    addEventListener("online", () => this.connect());
    addEventListener("pagehide", () => this.socket.close());
  }

  connect() {
    if (this.socket && this.socket.readyState < WebSocket.CLOSING) return;
    clearTimeout(this.timer);
    const socket = new WebSocket(new URL("/board", location.href.replace(/^http/, "ws")));
    this.socket = socket;
    socket.binaryType = "arraybuffer";
    socket.onmessage = ({ data }) => this.take(new DataView(data));
    socket.onclose = () => {
      this.on.state("reconnecting");
      // With some chance in it, so that not all come back at once.
      const most = Math.min(500 * 2 ** this.failures++, LONGEST_PAUSE);
      this.timer = setTimeout(() => this.connect(), most * (0.5 + Math.random() / 2));
    };
  }

  take(view) {
    const [kind, who] = [view.getUint8(0), view.getUint16(1)];
    const points = (from) => {
      const points = [];
      for (let i = from; i < view.byteLength; i += 4) points.push([view.getUint16(i), view.getUint16(i + 2)]);
      return points;
    };
    if (kind === HELLO) {
      this.me = who;
      this.failures = 0;
      this.on.state("connected");
      this.on.wipe();
      // What was drawn meanwhile has not reached the board.
      for (const stroke of this.unseen) this.socket.send(stroke);
    } else if (kind === STROKE) {
      if (who === this.me) this.unseen.shift();
      this.on.stroke({ colour: view.getUint8(3), width: view.getUint8(4), points: points(5) });
    } else if (kind === POINTER && who !== this.me) this.on.pointer(who, ...points(3)[0]);
    else if (kind === WIPE) this.on.wipe();
    else if (kind === LEFT) this.on.left(who);
  }

  // Kept until the board has sent it back.
  stroke({ colour, width, points }) {
    const stroke = this.message(STROKE, [colour, width], points);
    this.unseen.push(stroke);
    this.send(stroke);
  }

  pointer(point) {
    this.send(this.message(POINTER, [], [point]));
  }

  wipe() {
    this.send(this.message(WIPE, [], []));
  }

  message(kind, bytes, points) {
    const head = [kind, ...bytes];
    const view = new DataView(new ArrayBuffer(head.length + points.length * 4));
    head.forEach((byte, i) => view.setUint8(i, byte));
    points.flat().forEach((number, i) => view.setUint16(head.length + i * 2, number));
    return view.buffer;
  }

  send(message) {
    if (this.socket.readyState === WebSocket.OPEN && this.me !== undefined) this.socket.send(message);
  }
}
