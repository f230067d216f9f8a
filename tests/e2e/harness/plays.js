// plays.js - what a puppet does as subscription alpha of a pool of two, and what must come of it.
import assert from 'node:assert/strict';
import { messagesRequest, post } from './http.js';
import { filesOf, FRUGAL, inRounds, nothingRemains } from './remains.js';
import { turn } from './wait.js';
import { connect } from './wire.js';

export const CRLF = '\r\n';
export const OK = `HTTP/1.1 200 OK${CRLF}content-type: application/json${CRLF}`;
export const sized = (body, length = body.length) =>
    `${OK}content-length: ${length}${CRLF}${CRLF}${body}`;
export const chunked = (rest) => `${OK}transfer-encoding: chunked${CRLF}${CRLF}${rest}`;
export const GOOD = '{"type":"message","from":"alpha"}';
// What is whole by what it says may lack its end: what must look cut is cut within, where something
// has been said.
export const HALF = GOOD.slice(0, 20);
export const INVALID = '{"type":"error","error":{"type":"invalid_request_error","message":"no"}}';
export const PIECE = Buffer.alloc(64 * 1024, 'x');

/** The bytes of a head of those lines, and a body. */
export const head = (lines, body = '') => `${lines.join(CRLF)}${CRLF}${CRLF}${body}`;

/** A request's head and body, whatever its length. */
export async function takeRequest(wire) {
    const head = (await wire.readUntil('\r\n\r\n')).toString('latin1');
    let left = Number(/^content-length: *(\d+)/im.exec(head)[1]);
    while (left > 0) left -= (await wire.read({ max: left })).length;
}

/** Answers every request well, on one connection after the other. */
export async function well(wire) {
    for (;;) {
        await takeRequest(wire);
        await wire.send(sized(GOOD));
    }
}

/** Takes a request and says that, once. */
export const saysOnce = (bytes) => async (wire) => {
    await takeRequest(wire);
    await wire.send(bytes);
};

/** The same, and what is asked next on that connection is answered well. */
export const says = (bytes) => async (wire) => {
    await saysOnce(bytes)(wire);
    await well(wire);
};

/** The same, and leaves. */
export const saysAndLeaves = (bytes) => async (wire) => {
    await saysOnce(bytes)(wire);
    wire.finish();
};

/** The same over and over, until the other side has had enough. */
export const saysWithoutEnd =
    (start, again = PIECE) =>
    async (wire) => {
        await saysOnce(start)(wire);
        for (; wire.end === null; await turn()) await wire.send(again);
    };

/** Answers once it has the head of a request, then goes on as told. */
export const early = (bytes, then) => async (wire) => {
    await wire.readUntil('\r\n\r\n');
    await wire.send(bytes);
    await then?.(wire);
};

/** Alpha is a puppet, beta a good provider. `scheme`, `ca_file`: of alpha. `puppet`: its options. */
export async function setting(world, { config, scheme = 'http', ca_file, puppet: options } = {}) {
    const puppet = await world.puppet(options);
    const provider = await world.provider();
    const [alpha, beta] = world.subscriptions(provider, 2);
    alpha.base_url = `${scheme}://localhost:${puppet.port}`;
    if (ca_file) alpha.ca_file = ca_file;
    const full = {
        subscriptions: [alpha, beta],
        server: { expose_subscription: true },
        retry: { percent: 100 }, // alpha fails more often than is usual
        ...config,
    };
    const all = { puppet, ...(await world.setting({ provider, config: full, env: FRUGAL })) };
    await alphaServes(all);
    all.files = await filesOf(all.node);
    return all;
}

/** Alpha is asked, answers well, and that comes down: nothing that was said before is in the way. */
export async function alphaServes({ puppet, redis, node }) {
    await redis.cli('FCALL', 'weir_open', '1', 'weir:{main}', 'alpha'); // or it may rest
    puppet.play = well;
    const answer = await post(node.port);
    assert.equal(answer.header('x-weir-subscription'), 'alpha');
    assert.equal(answer.text, GOOD);
}

/** What comes of a request that alpha meets with `play`. */
export async function outcome({ puppet, redis, node }, play, options) {
    await redis.cli('FCALL', 'weir_open', '1', 'weir:{main}', 'alpha');
    puppet.hangUp();
    puppet.play = play;
    const wire = await connect(node.port);
    await wire.send(messagesRequest(options));
    const answer = await wire.head();
    const who = answer.header('x-weir-subscription');
    await answer.readBody().catch((error) => (answer.fault = error));
    wire.leave();
    return { answer, who };
}

const EXPECTED = {
    /** Nothing was said to the caller: the next subscription serves. */
    next({ answer, who }) {
        assert.equal(answer.status, 200, answer.text);
        assert.equal(who, 'beta');
        assert.equal(answer.isComplete, true);
    },
    /** His answer had begun: he sees that it is not whole. */
    cut({ answer, who }) {
        assert.equal(who, 'alpha');
        assert.equal(answer.isComplete, false, `${answer.body}`);
    },
    /** There is nothing wrong with it. */
    good({ answer, who }) {
        assert.equal(who, 'alpha');
        assert.equal(answer.isComplete, true);
        assert.equal(answer.text, GOOD);
    },
    /** It has no body, whatever came behind its head. */
    empty({ answer, who }) {
        assert.equal(who, 'alpha');
        assert.ok([204, 304].includes(answer.status));
        assert.equal(answer.text, '');
    },
    /** The caller's own mistake, in the provider's words. */
    refused({ answer }) {
        assert.equal(answer.status, 400);
        assert.equal(answer.text, INVALID);
    },
    /** What alpha said, or beta's answer: both whole. */
    either({ answer, who }) {
        EXPECTED[who === 'alpha' ? 'good' : 'next']({ answer, who });
    },
};

/** Runs a table of [expected, play, options] by name, each with all that must hold after it. */
export async function runAll(t, all, table) {
    await inRounds(
        t,
        all.node,
        Object.keys(table),
        async (name) => {
            const [expected, play, options] = table[name];
            EXPECTED[expected](await outcome(all, play, options));
        },
        async () => {
            await nothingRemains(all); // while what alpha has open is still open
            await alphaServes(all);
        },
    );
}
