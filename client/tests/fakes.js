// Time and a network that do what a test says, for what a real server cannot be made to do.

/** Time that passes only by `pass`. */
export class Clock {
  #now = 0;
  #lastTimer = 0;
  #timers = new Map();

  now = () => this.#now;

  setTimeout = (done, ms) => {
    this.#timers.set(++this.#lastTimer, { at: this.#now + ms, done });
    return this.#lastTimer;
  };

  clearTimeout = (timer) => {
    this.#timers.delete(timer);
  };

  /** Lets `ms` pass, and whatever was to happen within. */
  async pass(ms) {
    const end = this.#now + ms;
    for (;;) {
      const due = [...this.#timers].filter(([, timer]) => timer.at <= end);
      if (due.length === 0) break;
      const [number, timer] = due.reduce((one, other) => (other[1].at < one[1].at ? other : one));
      this.#timers.delete(number);
      this.#now = timer.at;
      timer.done();
      await settled();
    }
    this.#now = end;
  }

  /** Timers that are running. */
  get running() {
    return this.#timers.size;
  }
}

/** Lets promises that are fulfilled already have their effect. */
export function settled() {
  return new Promise((done) => setImmediate(done));
}

/** A network without a server: the class of its sockets, and all that were made. */
export class Network {
  sockets = [];
  /** What happened to sockets, in order: `open 1`, `close 1`, … */
  trace = [];

  constructor() {
    const network = this;
    this.WebSocket = class {
      readyState = 0;
      bufferedAmount = 0;
      sent = [];

      constructor(url, protocols) {
        Object.assign(this, { url, protocols, number: network.sockets.push(this) });
        network.trace.push(`open ${this.number}`);
      }

      send(text) {
        this.sent.push(JSON.parse(text));
      }

      close() {
        this.readyState = 2;
        network.trace.push(`close ${this.number}`);
      }

      // --- the other end ---

      accept() {
        this.readyState = 1;
        this.onopen?.({});
      }

      say(message) {
        this.onmessage?.({ data: JSON.stringify(message) });
      }

      end(code, reason = "") {
        this.readyState = 3;
        this.onclose?.({ code, reason });
      }

      /** Answers the last join: as a guest in a room with the document `document`. */
      letIn(document = "") {
        const join = this.sent.findLast((message) => message.action === "join");
        const peer_id = join.peer_id ?? "drawn";
        const peer = { id: peer_id, joined_at: "", is_host: join.is_host, metadata: null };
        this.say({ type: "connected", peer_id, room_code: join.room_code });
        this.say({ type: "room_info", room_code: join.room_code, host_id: "h", peers: [peer] });
        if (document) this.say({ type: "document_sync", document });
        this.say({ type: "ack", id: join.id });
      }
    };
  }

  /** The newest socket. */
  get socket() {
    return this.sockets.at(-1);
  }
}
