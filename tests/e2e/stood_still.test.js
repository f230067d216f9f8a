// A node that stood still for longer than a lease asks whether it still has the slot before it passes
// on what it kept back, whatever it is that would pass it on: a deadline, or what comes next.
import assert from 'node:assert/strict';
import { readdir, readFile } from 'node:fs/promises';
import {
    connect,
    eventually,
    messagesRequest,
    ownError,
    parseEvent,
    pause,
    post,
    test,
} from './harness/index.js';
import { CRLF, head, INVALID, sized, takeRequest } from './harness/plays.js';

const LEASE_MS = 13500;

const event = (type, more = {}) =>
    `event: ${type}\ndata: ${JSON.stringify({ type, ...more })}\n\n`;
const OPENING = event('message_start', { message: { model: 'claude-x', usage: {} } });
const WORD = event('content_block_delta', { index: 0, delta: { type: 'text_delta', text: 'so' } });
const chunk = (text) => `${text.length.toString(16)}${CRLF}${text}${CRLF}`;
const BEGINS = head(
    ['HTTP/1.1 200 OK', 'content-type: text/event-stream', 'transfer-encoding: chunked'],
    chunk(OPENING),
);
const ERROR = head(
    [
        'HTTP/1.1 400 Bad Request',
        'content-type: application/json',
        'connection: close', // the provider answers once a connection
        `content-length: ${INVALID.length}`,
    ],
    INVALID,
);
const HALF_AN_ERROR = ERROR.slice(0, -20);
const BUSY = ERROR.replace('400 Bad Request', '529 Overloaded');
const UNREADABLE = head(['HTTP/1.1 200 OK', 'content-type: text/plain', 'content-length: 9']);

/**
 * What a provider says before the node stands still, in one piece, and where that leaves the request;
 * what it does meanwhile; and the answer, if the slot is still there.
 */
const CASES = {
    'an opening that is kept until hold_ms is over': {
        before: BEGINS,
        step: 'relay',
        status: 200,
        text: OPENING,
    },
    'an opening, and more comes behind it': {
        before: BEGINS,
        step: 'relay',
        meanwhile: (socket) => socket.write(chunk(WORD)),
        status: 200,
        text: OPENING + WORD,
    },
    'an opening, and what is no chunk comes behind more of it': {
        before: BEGINS,
        step: 'relay',
        meanwhile: (socket) => socket.write(`${chunk(WORD)}none`),
        status: 200,
        text: OPENING + WORD,
    },
    'a head, and the provider leaves': {
        before: UNREADABLE,
        step: 'relay',
        meanwhile: (socket) => socket.end(),
        status: 200,
        text: '',
    },
    'half an error, that is not waited for any longer': {
        before: HALF_AN_ERROR,
        step: 'collect',
        status: 400,
        text: INVALID.slice(0, -20),
    },
    'half an error, and the other half comes': {
        before: HALF_AN_ERROR,
        step: 'collect',
        meanwhile: (socket) => socket.write(INVALID.slice(-20)),
        status: 400,
        text: INVALID,
    },
};
const COUNT = Object.keys(CASES).length;

/** A provider that says this to whoever asks next, and to those after them that it has no time. */
async function setting(world, { nodes: count = 1, retry = {} } = {}) {
    const puppet = await world.puppet();
    const queue = [];
    puppet.say = (text) => new Promise((resolve) => queue.push({ text, resolve }));
    puppet.play = async (wire) => {
        await takeRequest(wire);
        const { text, resolve } = queue.shift() ?? { text: BEGINS + chunk(WORD) };
        await wire.send(text);
        resolve?.(wire.socket);
    };
    const redis = await world.redis();
    const [alpha] = world.subscriptions(puppet, 1, { max_concurrent: COUNT });
    // hold_ms is over when the node runs on, and not before it stands still, however busy all is.
    const held = { hold_ms: 12000, ...retry };
    const config = { subscriptions: [alpha], redis: { url: redis.url }, retry: held };
    const nodes = await Promise.all(
        Array.from({ length: count }, (_, i) => world.node({ id: `n${i + 1}`, config })),
    );
    return { puppet, redis, nodes };
}

/** A request that has come so far: {wire, socket} of the caller and at the provider. */
async function began({ puppet, nodes: [node] }, { before, step }) {
    const from = node.mark();
    const said = puppet.say(before);
    const wire = await connect(node.port);
    await wire.send(messagesRequest({ stream: true }));
    const socket = await said;
    await node.event('step', (line) => line.to === step, { from });
    return { wire, socket };
}

/** All cases, begun; each with what it is. */
async function allBegan(all) {
    const begun = [];
    for (const [title, one] of Object.entries(CASES))
        begun.push({ title, ...one, ...(await began(all, one)) });
    return begun;
}

/** Each of its threads: the one that is told is not the first to stop on a busy machine. */
async function hasStopped(node) {
    const tasks = `/proc/${node.pid}/task`;
    const stats = (await readdir(tasks)).map((id) => readFile(`${tasks}/${id}/stat`, 'utf8'));
    return (await Promise.all(stats)).every((stat) => /\) T /.test(stat));
}

/** What happens while the node stands still, for longer than a lease lives. */
async function standsStill(node, begun, meanwhile) {
    node.suspend();
    await eventually('all threads to stand still', () => hasStopped(node));
    for (const { meanwhile: go, socket } of begun) go?.(socket);
    await meanwhile?.();
    await pause(LEASE_MS + 500); // the case is that it lasts
}

/** The answer as far as it comes: what it is told by is that it came, not that it ended. */
async function heard({ wire, text: expected }) {
    const answer = await wire.head({ ms: 40000 });
    let text = '';
    try {
        for (let piece; (piece = await answer.piece());) {
            text += piece;
            if (expected && text.startsWith(expected)) break;
        }
    } catch (error) {
        assert.equal(error.constructor.name, 'Closed', error.stack);
    }
    wire.leave();
    return { answer, text };
}

/** Not a word of the provider's: the node's own, and that nothing was held against anybody. */
async function refused({ title, wire }) {
    const answer = await wire.answer({ ms: 40000 });
    const body = ownError(answer, 503, 'api_error');
    assert.match(body.error.message, /stood still/, title);
}

test(
    'what is kept back when a node stands still is not passed on if its slot was given away',
    { ms: 90000 },
    async (world) => {
        const all = await setting(world, { nodes: 2 });
        const [still, other] = all.nodes;
        const begun = await allBegan(all);
        await standsStill(still, begun);
        await eventually('its slots to be free', async () => {
            return (await other.status()).total_active === 0;
        });
        const taken = await Promise.all(
            begun.map(async () => {
                const wire = await connect(other.port);
                await wire.send(messagesRequest({ stream: true }));
                assert.equal((await wire.head()).status, 200);
                return wire;
            }),
        );
        still.resume();
        for (const one of begun) await refused(one);
        assert.equal((await other.status()).total_active, COUNT);
        for (const wire of taken) wire.leave();
        await still.activeReaches(0);
        assert.equal((await still.metrics()).value('weir_leases_lost_total'), COUNT);
    },
);

test(
    'what is kept back when a node stands still is passed on whole if its slot is still free',
    { ms: 90000 },
    async (world) => {
        const all = await setting(world);
        const [node] = all.nodes;
        const begun = await allBegan(all);
        await standsStill(node, begun);
        node.resume();
        for (const one of begun) {
            const { answer, text } = await heard(one);
            assert.equal(answer.status, one.status, one.title);
            assert.ok(text.startsWith(one.text), `${one.title}: ${text}`);
            const rest = text.slice(one.text.length);
            if (rest !== '') assert.equal(parseEvent(rest.trimStart()).event, 'error', one.title);
        }
        await node.activeReaches(0);
        assert.equal((await node.metrics()).value('weir_leases_lost_total'), 0);
    },
);

test(
    'a second try that was waited for while the node stood still is made if the slot is still free',
    { ms: 90000 },
    async (world) => {
        const all = await setting(world, { retry: { attempts: 2, delay_ms: 8000 } });
        const [node] = all.nodes;
        const { wire } = await began(all, { before: BUSY, step: 'again' });
        const good = '{"type":"message","content":[]}';
        all.puppet.say(sized(good));
        await standsStill(node, []);
        node.resume();
        const answer = await wire.answer({ ms: 20000 });
        assert.equal(answer.status, 200, answer.text);
        assert.equal(answer.text, good);
    },
);

// What Redis says, or not, when it is asked whether the slots are still there.
const SILENCES = {
    'does not answer': {
        begin: (redis) => redis.suspend(),
        end: (redis) => redis.resume(),
    },
    'answers with an error': {
        begin: (redis) => redis.cli('ACL', 'SETUSER', 'default', '-fcall'),
        end: (redis) => redis.cli('ACL', 'SETUSER', 'default', '+fcall'),
    },
};

for (const [title, { begin, end }] of Object.entries(SILENCES)) {
    test(
        `a node that stood still, and whose Redis ${title} then, ends what it ran by a deadline`,
        { ms: 90000 },
        async (world) => {
            const all = await setting(world);
            const [node] = all.nodes;
            const begun = await allBegan(all);
            await standsStill(node, begun, () => begin(all.redis));
            node.resume();
            for (const one of begun) await refused(one);
            await end(all.redis);
            await node.activeReaches(0, { ms: 30000 });
            all.puppet.say(sized('{"type":"message","content":[]}'));
            assert.equal((await post(node.port)).status, 200);
        },
    );
}
