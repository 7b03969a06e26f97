// What OpenCode is to a plugin: loads files as one of its loaders does, and calls their hooks.
//
//     opencode_host.js LOADER PLUGIN...     LOADER: first (up to 1.3.3), second (from 1.3.4), v2
//
// Each line of its input is a list of things to do, each as [what, ...]. When the hooks of all of
// them have returned it says so in a line of its output. It ends when its input does, and when
// nothing keeps it alive.

import { createInterface } from "node:readline";

const [loader, ...plugins] = process.argv.slice(2);
const folder = process.cwd();
const input = { client: {}, project: { id: "p" }, directory: folder, worktree: "/", $: null };
const isRecord = (value) => typeof value === "object" && value !== null && !Array.isArray(value);
const hooks = [];
const followers = [];

async function load(module) {
  const { default: made } = module;
  if (loader === "first") {
    try {
      for (const each of Object.values(module)) hooks.push(await each(input));
    } catch {
      // logged there; what was registered before stays
    }
  } else if (loader === "second") {
    if (!isRecord(made) || typeof made.id !== "string") throw new Error("must export an id");
    if (typeof made.server !== "function") throw new Error("must export server()");
    hooks.push(await made.server(input, undefined));
  } else {
    if (!isRecord(made) || typeof made.id !== "string" || typeof made.setup !== "function") {
      throw new Error("must export an id and setup()");
    }
    await made.setup({ event: { subscribe: () => stream() } });
  }
}

/** The events from now on, one after the other. */
function stream() {
  const ready = [];
  let wake = () => {};
  followers.push((event) => {
    ready.push(event);
    wake();
  });
  return {
    async *[Symbol.asyncIterator]() {
      for (;;) {
        while (ready.length > 0) yield ready.shift();
        await new Promise((resolve) => {
          wake = resolve;
        });
      }
    },
  };
}

async function trigger(name, ...about) {
  for (const each of hooks) await each?.[name]?.(...about);
}

const deeds = {
  async event(type, properties, id) {
    const location = { directory: folder };
    const event =
      loader === "v2" ? { id, type, data: properties, location } : { id, type, properties };
    for (const tell of followers) tell(event);
    await trigger("event", { event });
  },
  async stream(session, message, part, pieces) {
    let text = "";
    for (const piece of pieces) {
      text += piece;
      const about = { id: part, sessionID: session, messageID: message, type: "text", text };
      await deeds.event("message.part.updated", { part: about, delta: piece });
    }
  },
  tool: (when, ...about) => trigger(`tool.execute.${when}`, ...about),
  async hostile() {
    const round = {};
    round.round = round;
    const thrower = {
      get sessionID() {
        throw new Error("never asked for");
      },
    };
    for (const properties of [null, undefined, 7, "text", [], round, thrower, { n: 1n }]) {
      await trigger("event", { event: { type: "session.updated", properties } });
      await trigger("event", { event: { type: "session.compacted", properties } });
    }
    const traps = {
      get type() {
        throw new Error("never asked for");
      },
    };
    const odd = [null, undefined, 7, {}, { type: 7 }, { type: Symbol("x") }, traps];
    for (const event of odd) await trigger("event", { event });
    await trigger("event");
    await trigger("tool.execute.before");
    await trigger("tool.execute.after", null, null);
  },
  exit: () => process.exit(0),
};

for (const each of plugins) await load(await import(each));
console.log("loaded");
for await (const line of createInterface({ input: process.stdin })) {
  for (const [what, ...about] of JSON.parse(line)) await deeds[what](...about);
  console.log("returned");
}
