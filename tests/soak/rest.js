// rest.js - what the measured node uses when nobody asks. The memory that a node keeps for bodies
// to come (pieces of 1 MiB, with a ceiling) is taken the first time that many come at once, which
// may be early or late; so they come once before anything is measured, and are no growth later.
import { messages, messagesRequest } from '../e2e/harness/http.js';
import { eventually, pause } from '../e2e/harness/wait.js';
import { connect } from '../e2e/harness/wire.js';
import { usage } from './sample.js';

const AT_ONCE = 64; // uploads: on two workers, by chance, enough for each to keep all it may
const BYTES = 1000 * 1024; // of one: what is kept is in use to its end
const CALM_MS = 500;

/** So many large uploads at once that the node keeps what it may; none becomes a request. */
export async function fillKept(node) {
    const text = 'x'.repeat(BYTES);
    const bytes = messagesRequest({ body: messages({ text }) }).subarray(0, -1);
    const wires = await Promise.all(Array.from({ length: AT_ONCE }, () => connect(node.port)));
    await Promise.all(wires.map((wire) => wire.send(bytes)));
    for (let before = -1, held = 0; before !== held || held === 0;) {
        before = held;
        await pause(CALM_MS);
        held = (await usage(node)).bodies_bytes;
    }
    for (const wire of wires) wire.leave();
}

/** What it uses at rest, when each of its `workers` and its control thread has its Redis. */
async function atRest(node, workers) {
    const used = await usage(node);
    const isStill = used.exchanges + used.outbox === 0 && used.callers === 1; // ours
    const isLinked = used.links === workers + 1 && used.notices === 1;
    if (!isStill || !isLinked) throw new Error(JSON.stringify(used));
    // Descriptors are counted when our own connection has surely gone, and no other one has.
    await pause(CALM_MS);
    const descriptors = await node.openFiles();
    const { idle } = await usage(node);
    if (idle !== used.idle) throw new Error(`${used.idle} connections were idle, now ${idle}`);
    return { ...used, descriptors };
}

/** Waits until all is answered and booked; with `kept_ms` for connections kept open, too. */
export async function restOf(node, { workers, ms, kept_ms: kept }) {
    const look = () => atRest(node, workers);
    const still = await eventually('the first node to be at rest', look, { ms, every: 200 });
    if (kept === 0) return still;
    await pause(kept);
    return eventually('the first node to be at rest', look, { ms, every: 200 });
}
