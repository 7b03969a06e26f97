// Sends what happens in OpenCode to holdfast's daemon, over its socket, and to nobody else.
//
// The idea: a host must not notice. A hook puts a reference into a list and returns; everything
// else (reading the event, taking private parts out, sending, the disk) happens later, in one loop
// that does one thing at a time (`Outbox.pump`). Nothing here throws into the host, keeps it alive
// or waits in its way.
//
// An event has a key that is made once, so it may be sent as often as needed: the daemon stores it
// once. That is what makes everything else simple. When the daemon does not take events they are
// appended to a file of this process in BUFFER, and the files are sent, oldest first, when it is
// back: by this process, or by the next when this one is gone. A file changes hands by being
// renamed, which succeeds for one process only.
//
// Rejected: writing each event to disk first and sending from there. It would survive a kill in any
// moment, at the price of all conversations going over the disk twice all the time; what a kill can
// cost so is what was not answered yet.

import { randomBytes } from "node:crypto";
import { appendFileSync, mkdirSync, readlinkSync } from "node:fs";
import {
  appendFile,
  lstat,
  mkdir,
  readdir,
  readFile,
  rename,
  stat,
  truncate,
  unlink,
} from "node:fs/promises";
import { request } from "node:http";
import { dirname, join } from "node:path";

const SOCKET = "@socket@";
const BUFFER = "@buffer@";
const EXCLUDED = "@excluded@"; // expressions for the folders of projects of which nothing is kept

const LIMITS = {
  arrived_max: 10_000, // events that no one has looked at yet
  settle_ms: 1_000, // what changes again and again is sent when it rested for so long
  pending_max: 500, // of what may change again
  pending_max_bytes: 4_194_304,
  event_max_bytes: 262_144, // a larger one is cut
  text_max_chars: 65_536, // of the text of an event that is cut
  string_max_chars: 4_096, // of every other string in it
  gather_ms: 50, // so that one request carries what comes together
  waiting_max_bytes: 4_194_304, // in memory
  batch_max_events: 200, // of one request
  batch_max_bytes: 1_048_576,
  answer_timeout_ms: 5_000,
  retry_first_ms: 500, // doubles with each failure
  retry_max_ms: 60_000, // also when the daemon asks for more
  segment_max_bytes: 524_288, // of one file of the buffer
  buffer_max_bytes: 33_554_432, // of all its files, of all hosts
  buffer_max_age_ms: 604_800_000, // 7 days
  adopt_every_ms: 60_000, // how often files of hosts that are gone are looked for
  adopt_after_ms: 3_600_000, // a file that nobody touched for so long belongs to nobody
};

const HOST_STREAM = "opencode/host"; // of events that belong to no session
const DROPPED = "events.dropped";
const SENT_KINDS = /^(session|message|tool|permission|question|todo|command|file\.edited)(\.|$)/;
const PASSED_OVER = /\.(delta|progress)$/; // pieces of what comes whole when it is complete
const SEGMENT = /^(\d+)-(\d+)-([0-9a-f]{8})-\d+\.jsonl$/;

// Private parts. As the daemon does it at its own door: every doubt is decided for privacy.

const TAG =
  /(?:<|&lt;|\\u003c)(?:\s|\\[nrtf])*(\\?\/(?:\s|\\[nrtf])*)?private(?![\w.:[-])((?:(?!&[lg]t;|\\u003[ce])[^<>])*)(>|&gt;|\\u003e)?/gi;
const MARKER = "[private]";
// What says which event it is stays, though a tag is open.
const STRUCTURE = /^(kind|key|actor|correlation|type|role|status|tool|at|mime|id|\w*I[dD])$/;

/** Text without its private parts, and how many tags are open at its end. */
function cutPrivate(text, openBefore) {
  let open = openBefore;
  let found = open > 0 && text !== "";
  let position = 0;
  const kept = [];
  for (const tag of text.matchAll(TAG)) {
    const [all, close, rest, end] = tag;
    // Of a tag without its `>` only the name is taken: what follows may be anything.
    const behind = tag.index + all.length - (end ? 0 : rest.length);
    if (close) {
      if (open === 1) kept.push(MARKER);
      else if (open === 0) kept.push(text.slice(position, tag.index), MARKER);
      found = true;
      open = Math.max(0, open - 1);
      if (open === 0) position = behind;
      continue;
    }
    found = true;
    if (open === 0) kept.push(text.slice(position, tag.index));
    if (end && rest.trimEnd().endsWith("/")) {
      if (open === 0) {
        kept.push(MARKER);
        position = behind;
      }
      continue;
    }
    open += 1;
  }
  if (!found) return [text, open];
  kept.push(open ? MARKER : text.slice(position));
  return [kept.join(""), open];
}

/** A plain value without private parts; an open tag hides what follows in the whole event. */
function withoutPrivate(value, state, name = "") {
  if (typeof value === "string") {
    const hidden = STRUCTURE.test(name) ? 0 : state.open;
    const [text, open] = cutPrivate(value, hidden);
    if (open || hidden) state.open = open;
    return text;
  }
  if (Array.isArray(value)) return value.map((each) => withoutPrivate(each, state, name));
  if (value === null || typeof value !== "object") return value;
  return Object.fromEntries(
    Object.entries(value).map(([key, below]) => [
      cutPrivate(key, 0)[0],
      withoutPrivate(below, state, key),
    ]),
  );
}

function shortened(value, most) {
  if (typeof value === "string") {
    return value.length <= most
      ? value
      : `${value.slice(0, most)} [${value.length - most} more characters]`;
  }
  if (Array.isArray(value)) return value.map((each) => shortened(each, most));
  if (value === null || typeof value !== "object") return value;
  return Object.fromEntries(
    Object.entries(value).map(([key, below]) => [key, shortened(below, most)]),
  );
}

/** An event as one line of JSON that may be kept; `state.open` tags are open before and behind it. */
function encoded(event, state) {
  let line = JSON.stringify(event);
  if (state.open > 0 || /private/i.test(line)) {
    line = JSON.stringify(withoutPrivate(JSON.parse(line), state));
  }
  if (Buffer.byteLength(line) <= LIMITS.event_max_bytes) return line;
  const whole = JSON.parse(line);
  const text = shortened(whole.text ?? "", LIMITS.text_max_chars);
  const data = shortened(whole.data, LIMITS.string_max_chars);
  line = JSON.stringify({ ...whole, text, data: { ...data, cut: true } });
  if (Buffer.byteLength(line) <= LIMITS.event_max_bytes) return line;
  return JSON.stringify({
    ...whole,
    text: shortened(text, LIMITS.string_max_chars),
    data: { at: data.at, cut: true },
  });
}

// The way to the daemon.

/** What became of a request: "stored", "refused" (it never will be), or "away". Never rejects. */
function post(stream, lines, mayGiveUp) {
  return new Promise((resolve) => {
    const answered = (outcome, retryAfterS = 0) => {
      resolve({ outcome, retryAfterMs: retryAfterS > 0 ? retryAfterS * 1_000 : 0 });
    };
    const body = Buffer.from(`{"events":[${lines.join(",")}]}`);
    const asked = request({
      socketPath: SOCKET,
      method: "POST",
      path: `/v1/streams/${stream.split("/").map(encodeURIComponent).join("/")}/events`,
      headers: {
        host: "localhost",
        "content-type": "application/json",
        "content-length": body.length,
      },
      agent: false,
    });
    const giveUp = () => {
      answered("away");
      asked.destroy();
    };
    const timer = setTimeout(giveUp, LIMITS.answer_timeout_ms);
    timer.unref?.();
    mayGiveUp(giveUp);
    asked.on("socket", (socket) => socket.unref?.());
    asked.on("close", () => clearTimeout(timer));
    asked.on("error", () => answered("away"));
    asked.on("response", (answer) => {
      answer.on("error", () => {});
      answer.on("end", () => clearTimeout(timer));
      answer.resume();
      const { statusCode: status, headers } = answer;
      if (status >= 200 && status < 300) answered("stored");
      else if ([400, 413, 422].includes(status)) answered("refused");
      else answered("away", Number(headers["retry-after"]));
    });
    asked.end(body);
  });
}

/** Whether nobody else can answer there in the daemon's place. */
async function isOurSocket() {
  const found = await lstat(dirname(SOCKET)).catch(() => null);
  return found !== null && found.uid === process.getuid();
}

/** Events on their way: in memory while all is well, else in files. */
class Outbox {
  waiting = []; // {stream, line, bytes}; what tells of dropped events has their numbers as `lost`
  waitingBytes = 0;
  underWay = []; // neither waiting nor acknowledged: being sent, or being written to a file
  stored = []; // names of files that are ours, oldest first
  segmentBytes = LIMITS.segment_max_bytes; // of the newest of them: full, so the next is a new one
  dropped = new Map(); // what has to be told: stream -> reason -> number
  failures = 0;
  nextTryAt = 0;
  adoptDue = true;
  pruneDue = false; // never before what is there was sent, if it can be
  pumping = false;
  timer = null;
  giveUp = () => {}; // on the answer that is waited for
  segments = 0;
  keys = 0;

  constructor() {
    this.namespace = pidNamespace();
    this.owner = `${this.namespace}-${process.pid}-${randomBytes(4).toString("hex")}`;
    setInterval(() => {
      this.adoptDue = true;
      this.pruneDue = this.failures > 0;
      this.wake();
    }, LIMITS.adopt_every_ms).unref?.();
    this.wake();
  }

  newKey() {
    this.keys += 1;
    return `${this.owner}-${this.keys}`;
  }

  put(stream, line) {
    this.add({ stream, line, bytes: Buffer.byteLength(line) });
    if (this.waitingBytes > LIMITS.waiting_max_bytes / 2) this.giveUp(); // there is the disk
    this.wake();
  }

  add(entry) {
    this.waiting.push(entry);
    this.waitingBytes += entry.bytes;
    let over = 0;
    while (this.waitingBytes > LIMITS.waiting_max_bytes && over < this.waiting.length - 1) {
      this.waitingBytes -= this.waiting[over].bytes;
      this.noteLost(this.waiting[over], "full");
      over += 1;
    }
    this.waiting.splice(0, over);
  }

  giveBack(entries) {
    const later = this.waiting;
    this.waiting = [];
    this.waitingBytes = 0;
    for (const entry of [...entries, ...later]) this.add(entry);
  }

  take(chosen) {
    const taken = this.waiting.filter(chosen);
    const isTaken = new Set(taken);
    this.waiting = this.waiting.filter((entry) => !isTaken.has(entry));
    this.waitingBytes = this.waiting.reduce((sum, entry) => sum + entry.bytes, 0);
    return taken;
  }

  noteLost({ stream, lost }, reason) {
    this.noteDropped(stream, lost ?? { [reason]: 1 });
  }

  noteDropped(stream, lost) {
    const known = this.dropped.has(stream) || this.dropped.size < LIMITS.pending_max;
    const name = known ? stream : HOST_STREAM;
    const counts = { ...this.dropped.get(name) };
    for (const [reason, number] of Object.entries(lost)) {
      counts[reason] = (counts[reason] ?? 0) + number;
    }
    this.dropped.set(name, counts);
  }

  tellDropped() {
    for (const [stream, lost] of this.dropped) {
      const events = Object.values(lost).reduce((sum, number) => sum + number, 0);
      const line = JSON.stringify({
        kind: DROPPED,
        text: `${events} events of OpenCode could not be kept`,
        data: { at: new Date().toISOString(), events, reasons: lost },
        actor: "holdfast",
        key: this.newKey(),
      });
      this.dropped.delete(stream);
      this.add({ stream, line, bytes: Buffer.byteLength(line), lost });
    }
  }

  wake(inMs = LIMITS.gather_ms) {
    if (this.pumping) return; // it looks again before it ends
    clearTimeout(this.timer);
    this.timer = setTimeout(() => void this.pump(), inMs);
    this.timer.unref?.();
  }

  /** Does what there is to do, one thing after the other. */
  async pump() {
    if (this.pumping) return;
    this.pumping = true;
    let pause = 0;
    try {
      for (;;) {
        if (this.adoptDue) await this.adopt();
        if (this.pruneDue) await this.prune();
        this.tellDropped();
        // Also while much is sent that waited: what is new must not fill memory, nor die with us.
        if (this.failures > 0 || this.stored.length > 0) await this.store();
        pause = this.nextTryAt - Date.now();
        if (pause > 0) break;
        if (this.stored.length > 0) await this.sendSegment(this.stored[0]);
        else if (this.waiting.length > 0) await this.sendWaiting();
        else break;
      }
    } catch {
      pause = LIMITS.retry_max_ms;
    } finally {
      this.pumping = false;
    }
    if (pause > 0) this.wake(this.waiting.length > 0 ? Math.min(pause, LIMITS.retry_first_ms) : pause);
    else if (this.waiting.length > 0) this.wake();
  }

  /** Whether the daemon has them now, or never will. */
  async deliver(entries) {
    const lines = entries.map((entry) => entry.line);
    const mayGiveUp = (giveUp) => {
      this.giveUp = giveUp;
    };
    const { outcome, retryAfterMs } = (await isOurSocket())
      ? await post(entries[0].stream, lines, mayGiveUp)
      : { outcome: "away", retryAfterMs: 0 };
    if (outcome === "refused" && entries.length > 1) {
      const half = entries.length >> 1;
      return (await this.deliver(entries.slice(0, half))) && this.deliver(entries.slice(half));
    }
    // What tells of dropped events is not told of again: it would go round and round.
    if (outcome === "refused" && !entries[0].lost) this.noteLost(entries[0], "refused");
    if (outcome === "away") {
      const doubled = LIMITS.retry_first_ms * 2 ** Math.min(this.failures, 20);
      this.failures += 1;
      this.nextTryAt =
        Date.now() + Math.min(Math.max(doubled, retryAfterMs), LIMITS.retry_max_ms);
      return false;
    }
    this.failures = 0;
    this.nextTryAt = 0;
    return true;
  }

  async sendWaiting() {
    const { stream } = this.waiting[0];
    let count = 0;
    let bytes = 0;
    this.underWay = this.take((entry) => {
      if (entry.stream !== stream || count === LIMITS.batch_max_events) return false;
      if (count > 0 && bytes + entry.bytes > LIMITS.batch_max_bytes) return false;
      count += 1;
      bytes += entry.bytes;
      return true;
    });
    const batch = this.underWay;
    const done = await this.deliver(batch);
    this.underWay = [];
    if (!done) this.giveBack(batch);
  }

  // The files.

  segmentName() {
    this.segments += 1;
    return `${this.owner}-${String(this.segments).padStart(9, "0")}.jsonl`;
  }

  /** Moves what waits into files. What a disk does not take waits on. */
  async store() {
    while (this.waiting.length > 0) {
      const [first] = this.waiting;
      if (this.segmentBytes + written(first).length > LIMITS.segment_max_bytes) {
        await this.prune();
        this.stored.push(this.segmentName());
        this.segmentBytes = 0;
      }
      const name = this.stored.at(-1);
      let room = LIMITS.segment_max_bytes - this.segmentBytes;
      let full = false;
      this.underWay = this.take((entry) => {
        const { length } = written(entry);
        full ||= length > room;
        if (full) return false;
        room -= length;
        return true;
      });
      const batch = this.underWay;
      const content = Buffer.concat(batch.map(written));
      try {
        await mkdir(BUFFER, { recursive: true, mode: 0o700 });
        await appendFile(join(BUFFER, name), content, { mode: 0o600 });
        this.segmentBytes += content.length;
        this.underWay = [];
      } catch {
        await truncate(join(BUFFER, name), this.segmentBytes).catch(() => {});
        this.underWay = [];
        this.giveBack(batch);
        if (this.segmentBytes === 0) this.stored.pop();
        this.segmentBytes = LIMITS.segment_max_bytes;
        return;
      }
    }
  }

  /** The events of a file, and how many lines of it were torn. */
  async read(name) {
    const entries = [];
    let torn = 0;
    for (const text of (await readFile(join(BUFFER, name), "utf-8")).split("\n")) {
      if (text === "") continue;
      try {
        const { stream, event } = JSON.parse(text);
        const line = JSON.stringify(event);
        const lost = event.kind === DROPPED ? event.data.reasons : undefined;
        entries.push({ stream, line, bytes: Buffer.byteLength(line), lost });
      } catch {
        torn += 1;
      }
    }
    return { entries, torn };
  }

  async sendSegment(name) {
    const found = await this.read(name).catch(() => null);
    if (found === null) {
      this.forget(name); // another process took it, or the disk did
      return;
    }
    for (const batch of batches(found.entries)) if (!(await this.deliver(batch))) return;
    await unlink(join(BUFFER, name)).catch(() => {});
    this.forget(name);
    if (found.torn > 0) this.noteDropped(HOST_STREAM, { torn: found.torn });
  }

  forget(name) {
    if (name === this.stored.at(-1)) this.segmentBytes = LIMITS.segment_max_bytes;
    this.stored = this.stored.filter((each) => each !== name);
  }

  async list() {
    const found = [];
    const now = Date.now();
    for (const name of await readdir(BUFFER).catch(() => [])) {
      const named = SEGMENT.exec(name);
      const about = named && (await stat(join(BUFFER, name)).catch(() => null));
      if (about) {
        const ageMs = now - about.mtimeMs;
        const [, namespace, pid] = named;
        const isOurs = name.startsWith(`${this.owner}-`);
        const isFree =
          !isOurs &&
          (ageMs > LIMITS.adopt_after_ms ||
            (namespace === this.namespace && !isAlive(Number(pid))));
        found.push({ name, bytes: about.size, ageMs, isOurs, isFree });
      }
    }
    return found.sort((one, other) => other.ageMs - one.ageMs || (one.name < other.name ? -1 : 1));
  }

  /** Takes over what hosts that are gone have left. */
  async adopt() {
    this.adoptDue = false;
    const adopted = [];
    for (const { name, isFree } of await this.list()) {
      const mine = isFree && (await this.claim(name));
      if (mine) adopted.push(mine);
    }
    this.stored.unshift(...adopted);
  }

  async claim(name) {
    const mine = this.segmentName();
    const isMine = await rename(join(BUFFER, name), join(BUFFER, mine)).then(
      () => true,
      () => false, // another process was faster
    );
    return isMine ? mine : "";
  }

  /** Makes room for one more file: the oldest go, and so does what is too old. */
  async prune() {
    this.pruneDue = false;
    const files = await this.list();
    let bytes = files.reduce((sum, file) => sum + file.bytes, 0);
    for (const file of files) {
      const isOld = file.ageMs > LIMITS.buffer_max_age_ms;
      const isOver = bytes + LIMITS.segment_max_bytes > LIMITS.buffer_max_bytes;
      if ((isOld || isOver) && (file.isOurs || file.isFree || file.ageMs > LIMITS.adopt_every_ms)) {
        await this.drop(file, isOld ? "old" : "full");
        bytes -= file.bytes;
      }
    }
    this.tellDropped();
  }

  async drop({ name, isOurs }, reason) {
    const mine = isOurs ? name : await this.claim(name);
    if (!mine) return;
    const { entries, torn } = await this.read(mine).catch(() => ({ entries: [], torn: 0 }));
    await unlink(join(BUFFER, mine)).catch(() => {});
    this.forget(mine);
    for (const entry of entries) this.noteLost(entry, reason);
    if (torn > 0) this.noteDropped(HOST_STREAM, { torn });
  }

  /** When the host ends: the only thing that is not done later. */
  saveAtExit() {
    this.tellDropped();
    const left = [...this.underWay, ...this.waiting];
    if (left.length === 0) return;
    mkdirSync(BUFFER, { recursive: true, mode: 0o700 });
    appendFileSync(join(BUFFER, this.segmentName()), Buffer.concat(left.map(written)), {
      mode: 0o600,
    });
  }
}

function written({ stream, line }) {
  return Buffer.from(`{"stream":${JSON.stringify(stream)},"event":${line}}\n`);
}

/** Runs of one stream, each small enough for a request. */
function* batches(entries) {
  let batch = [];
  let bytes = 0;
  for (const entry of entries) {
    const isFull =
      batch.length === LIMITS.batch_max_events || bytes + entry.bytes > LIMITS.batch_max_bytes;
    if (batch.length > 0 && (isFull || batch[0].stream !== entry.stream)) {
      yield batch;
      batch = [];
      bytes = 0;
    }
    batch.push(entry);
    bytes += entry.bytes;
  }
  if (batch.length > 0) yield batch;
}

/** Numbers of processes mean something only where they were given. */
function pidNamespace() {
  try {
    return /\d+/.exec(readlinkSync("/proc/self/ns/pid"))?.[0] ?? "0";
  } catch {
    return "0";
  }
}

function isAlive(pid) {
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    return error.code !== "ESRCH";
  }
}

// What OpenCode tells.

/** What changes again and again: by what it is known, and whether this version is the last. */
function changing(kind, about) {
  const { part, info } = about;
  if (kind === "message.part.updated" && part?.id) {
    const streams =
      part.type === "text" || part.type === "reasoning"
        ? !part.time?.end
        : part.state?.status === "pending" || part.state?.status === "running";
    return { id: `part ${part.id}`, message: part.messageID, isLast: !streams };
  }
  if (kind === "message.updated" && info?.id) {
    return { id: `message ${info.id}`, message: info.id, isLast: Boolean(info.time?.completed) };
  }
  if (kind === "session.updated" && info?.id) return { id: `session ${info.id}`, isLast: false };
  if (kind === "session.diff" || kind === "todo.updated") {
    return { id: `${kind} ${about.sessionID}`, isLast: false };
  }
  return null;
}

function sessionOf(kind, about) {
  const named = about.sessionID ?? about.part?.sessionID ?? about.info?.sessionID;
  const id = String(named ?? (kind.startsWith("session.") ? about.info?.id : ""));
  return /^\w[\w.:-]{0,149}$/.test(id) ? id : "";
}

/** The first of them that can be a name. */
function idIn(...values) {
  return values.find((each) => typeof each === "string" && each !== "" && each.length < 200) ?? "";
}

function roughBytes(value, depth = 0) {
  if (typeof value === "string") return value.length;
  if (value === null || typeof value !== "object" || depth > 4) return 8;
  let sum = 16;
  for (const each of Object.values(value)) sum += roughBytes(each, depth + 1);
  return sum;
}

function keepNewest(map, name, value) {
  map.delete(name);
  map.set(name, value);
  if (map.size > LIMITS.pending_max) map.delete(map.keys().next().value);
}

class Recorder {
  arrived = [];
  isDraining = false;
  seen = new WeakSet(); // the same file in two folders is loaded twice
  pending = new Map(); // what may change again, the least recently changed first
  pendingBytes = 0;
  roles = new Map(); // message -> who speaks
  opened = new Map(); // message -> its part in which a private tag is open
  timer = null;

  constructor(outbox) {
    this.outbox = outbox;
    process.on("exit", () => {
      try {
        this.drain();
        this.flush(() => true);
        this.outbox.saveAtExit();
      } catch {
        // the host ends as it would have without us
      }
    });
  }

  /** What every hook does: nothing that takes time. */
  note(kind, about, told, id) {
    if (!SENT_KINDS.test(kind) || PASSED_OVER.test(kind) || this.seen.has(told)) return;
    if (told !== null && typeof told === "object") this.seen.add(told);
    this.arrived.push({ kind, about, id, at: Date.now() });
    if (this.arrived.length > LIMITS.arrived_max) {
      this.arrived.shift();
      this.outbox.noteDropped(HOST_STREAM, { full: 1 });
      this.outbox.wake();
    }
    if (this.isDraining) return;
    this.isDraining = true;
    setImmediate(() => this.drain()).unref?.();
  }

  drain() {
    this.isDraining = false;
    const arrived = this.arrived;
    this.arrived = [];
    for (const each of arrived) {
      try {
        this.look(each);
      } catch {
        this.outbox.noteDropped(HOST_STREAM, { unreadable: 1 });
        this.outbox.wake();
      }
    }
    this.watchPending();
  }

  look(told) {
    const about = told.about ?? {};
    const session = sessionOf(told.kind, about);
    const change = changing(told.kind, about);
    const seen = { ...told, about, session, message: change?.message };
    if (told.kind === "message.updated") this.remember(about.info);
    if (change === null) {
      if (/^session\.(idle|deleted|error)$|removed$/.test(told.kind)) {
        this.flush((each) => each.session === session);
      }
      this.send(seen);
      return;
    }
    this.forget(change.id);
    if (change.message) {
      // A session writes one message at a time: the one before is complete.
      const isOther = (each) => each.message && each.message !== change.message;
      this.flush((each) => each.session === session && isOther(each));
    }
    if (change.isLast) {
      if (told.kind === "message.updated") {
        this.flush((each) => each.message === change.message);
      }
      this.send(seen);
      return;
    }
    const bytes = roughBytes(about);
    this.pending.set(change.id, { ...seen, bytes, dueAt: told.at + LIMITS.settle_ms });
    this.pendingBytes += bytes;
    while (
      this.pending.size > LIMITS.pending_max ||
      (this.pendingBytes > LIMITS.pending_max_bytes && this.pending.size > 0)
    ) {
      this.sendPending(this.pending.keys().next().value);
    }
  }

  remember({ id, role }) {
    keepNewest(this.roles, id, role);
  }

  /** A tag that is not closed hides the rest of its message, so all parts that follow. */
  watchTag(message, part, isOpen) {
    if (isOpen) keepNewest(this.opened, message, part);
    else if (this.opened.get(message) === part) this.opened.delete(message);
  }

  forget(id) {
    this.pendingBytes -= this.pending.get(id)?.bytes ?? 0;
    this.pending.delete(id);
  }

  sendPending(id) {
    const told = this.pending.get(id);
    this.forget(id);
    this.send(told);
  }

  flush(chosen) {
    for (const [id, told] of [...this.pending]) if (chosen(told)) this.sendPending(id);
  }

  watchPending() {
    clearTimeout(this.timer);
    const next = this.pending.values().next().value;
    if (next === undefined) return;
    this.timer = setTimeout(() => {
      const now = Date.now();
      this.flush((each) => each.dueAt <= now);
      this.watchPending();
    }, Math.max(0, next.dueAt - Date.now()));
    this.timer.unref?.();
  }

  send({ kind, about, id, at, session, message }) {
    const { part, info } = about;
    const isWords = part?.type === "text" || part?.type === "reasoning";
    const { delta: _, ...rest } = about;
    const properties = isWords ? { ...rest, part: { ...part, text: undefined } } : rest;
    const text = isWords ? part.text : (info?.title ?? about.title ?? about.error?.data?.message);
    const role = this.roles.get(message ?? "") ?? (kind.startsWith("tool.") ? "assistant" : "");
    const event = {
      kind,
      text: typeof text === "string" ? text : "",
      data: { at: new Date(at).toISOString(), properties },
      actor: typeof role === "string" ? role : "",
      key: idIn(id) || this.outbox.newKey(),
      correlation: idIn(message, about.messageID, about.callID),
    };
    const stream = session ? `opencode/${session}` : HOST_STREAM;
    const opened = part?.id !== undefined ? this.opened.get(message) : undefined;
    const state = { open: opened !== undefined && opened !== part.id ? 1 : 0 };
    const isOpenBefore = state.open > 0;
    try {
      this.outbox.put(stream, encoded(event, state));
      if (isWords && !isOpenBefore) this.watchTag(message, part.id, state.open > 0);
    } catch {
      this.outbox.noteDropped(stream, { unreadable: 1 }); // in circles, or no JSON
      this.outbox.wake();
    }
  }
}

/** One for the process, however often this file is loaded. */
function recorder() {
  return (globalThis[Symbol.for("holdfast.opencode")] ??= new Recorder(new Outbox()));
}

function isExcluded(...folders) {
  return EXCLUDED.some((each) => {
    const pattern = new RegExp(`^(?:${each})$`, "s");
    return folders.some((folder) => typeof folder === "string" && pattern.test(folder));
  });
}

/** A hook that cannot fail: what it does not understand is not ours to complain of. */
const quiet =
  (hook) =>
  async (...about) => {
    try {
      hook(...about);
    } catch {
      // the host goes on as it would without us
    }
  };

const hooksOf = (it) => ({
  event: quiet((told) => {
    const event = told?.event;
    it.note(event?.type, event?.properties, event, event?.id);
  }),
  "tool.execute.before": quiet((input, output) => {
    it.note("tool.execute.before", { ...input, args: output?.args }, output);
  }),
  "tool.execute.after": quiet((input, output) => {
    it.note("tool.execute.after", { ...input, ...output }, output);
  }),
});

/** OpenCode 1: every export of a file was called once; later `server` of the default one is. */
export const Holdfast = async (input) => {
  try {
    return isExcluded(input?.directory, input?.worktree) ? {} : hooksOf(recorder());
  } catch {
    return {};
  }
};

/** OpenCode 2: its events come as a stream that ends when the plugin is unloaded. */
async function setup(context) {
  const unloaded = new AbortController();
  const follow = async () => {
    const { signal } = unloaded;
    const take = quiet((event) => {
      if (isExcluded(event?.location?.directory ?? context.location?.directory)) return;
      recorder().note(event?.type, event?.data ?? event?.properties, event, event?.id);
    });
    for await (const event of context.event.subscribe({ signal })) await take(event);
  };
  follow().catch(() => {});
  return () => unloaded.abort();
}

export default { id: "holdfast", server: Holdfast, setup };
