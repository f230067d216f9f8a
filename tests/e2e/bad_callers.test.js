// Callers that speak badly, stop, or leave: in every phase, over TCP and over TLS. What each of them
// is told stands in http_front (with its corpus), leave, budget and stream; here all of them come
// again and again, and the node keeps nothing of any of them and serves on.
import assert from 'node:assert/strict';
import { readFile } from 'node:fs/promises';
import * as corpus from '../http1/corpus.js';
import {
    authority,
    Closed,
    connect,
    filesOf,
    FRUGAL,
    inRounds,
    messagesRequest,
    nothingRemains,
    post,
    request,
    test,
    turn,
} from './harness/index.js';

const HOST = 'host: localhost\r\n';
const POST = `POST /v1/messages HTTP/1.1\r\n${HOST}content-type: application/json\r\n`;
const CHUNKED = `${POST}transfer-encoding: chunked\r\n\r\n`;
const LARGE = messagesRequest({ text: 'x'.repeat(3 << 20) });
const PIECE = Buffer.alloc(64 * 1024, 'x');
const raw = (text) => Buffer.from(text, 'latin1');

/** Says that, hears a refusal with that status, and leaves. */
const isRefused = (bytes, status) => async (knock) => {
    const wire = await knock();
    wire.send(bytes).catch(() => {}); // it may close before the end
    assert.equal((await wire.answer()).status, status);
    wire.leave();
};

/** Says that and is not answered, only closed. */
const isClosed = (bytes) => async (knock) => {
    const wire = await knock();
    await wire.send(bytes);
    await wire.closed();
};

/** Says that over and over, until the node has had enough and says so. */
const isStopped = (start, again, status) => async (knock) => {
    const wire = await knock();
    await wire.send(start);
    const said = (async () => {
        for (; wire.end === null; await turn()) await wire.send(again);
    })().catch(() => {}); // it is not read to its end
    assert.equal((await wire.head()).status, status);
    wire.leave();
    await said;
};

/** Says that and leaves, in one way and in the other. */
const leaves = (bytes, until) => async (knock, setting) => {
    for (const how of ['leave', 'reset']) {
        const wire = await knock();
        await wire.send(bytes);
        await until?.(wire, setting);
        wire[how]();
    }
};

const atProvider = (_, { provider }) => provider.activeReaches(1);
const withFirstByte = (wire) => wire.head();
const nothingTaken = async (wire) => {
    wire.socket.pause();
    await wire.head();
};
const script = (fields, more = {}) => messagesRequest({ script: fields, ...more });

const LEAVING = {
    'before a byte': leaves(''),
    'within the request line': leaves('POST /v1/mess'),
    'within the head': leaves(POST),
    'before the body': leaves(`${POST}content-length: 5000\r\n\r\n`),
    'within the body': leaves(LARGE.subarray(0, 1 << 20)),
    'within the size of a chunk': leaves(`${CHUNKED}1`),
    'within a chunk': leaves(`${CHUNKED}ff\r\n{`),
    'before the last line of the chunks': leaves(`${CHUNKED}2\r\n{}\r\n0\r\n`),
    'after its request': leaves(messagesRequest()),
    'after a large one': leaves(LARGE),
    'while the provider is silent': leaves(script({ stall: true }), atProvider),
    'within a stream': leaves(
        script({ events: 5, stall_after_events: 5 }, { stream: true }),
        withFirstByte,
    ),
    'within an answer': leaves(script({ raw_bytes: 20000000 }), withFirstByte),
    'taking nothing of a stream': leaves(
        script({ raw_bytes: 20000000 }, { stream: true }),
        nothingTaken,
    ),
    'with many requests behind': leaves(Buffer.concat(Array(200).fill(messagesRequest()))),
    'with many refusals behind': leaves(Buffer.concat(Array(200).fill(request('PUT', '/nowhere')))),
    'with half a request behind': leaves(
        Buffer.concat([messagesRequest(), raw(POST)]),
        withFirstByte,
    ),
};

const SPEAKING = {
    'all that led some reader astray': async (knock) => {
        for (const { bytes, status } of corpus.refused) await isRefused(raw(bytes), status)(knock);
    },
    'a greeting of TLS, where none is spoken': isRefused(
        raw('\x16\x03\x01\x02\x00\x01\x00\x01'),
        400,
    ),
    "HTTP/2's preface": isRefused('PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n', 505),
    'a request of HTTP/0.9': isRefused('GET /v1/models\r\n\r\n', 400),
    'a command for Redis': isRefused('*1\r\n$4\r\nPING\r\n\r\n', 400),
    zeros: isRefused(Buffer.alloc(4096), 400),
    'a target without end': isStopped('GET /', PIECE, 414),
    'a header without end': isStopped(`GET / HTTP/1.1\r\n${HOST}x: `, PIECE, 431),
    'headers without end': isStopped(`GET / HTTP/1.1\r\n${HOST}`, 'x: 1\r\n'.repeat(1000), 431),
    'a line without a colon': isRefused(`GET / HTTP/1.1\r\n${HOST}nothing\r\n\r\n`, 400),
    'a body longer than it said': async (knock) => {
        const wire = await knock();
        await wire.send(Buffer.concat([messagesRequest(), raw('\0\0 and more')]));
        assert.equal((await wire.answer()).status, 200);
        assert.equal((await wire.answer()).status, 400);
        wire.leave();
    },
    'a size of a chunk that is none': isRefused(`${CHUNKED}xyz\r\n`, 400),
    'an extension without end': isStopped(`${CHUNKED}5;`, PIECE, 400),
    'trailers without end': isStopped(`${CHUNKED}2\r\n{}\r\n0\r\n`, 'x: 1\r\n'.repeat(1000), 400),
    'chunks without end': isStopped(CHUNKED, `1000\r\n${'x'.repeat(4096)}\r\n`.repeat(16), 413),
    'chunks of a byte': async (knock) => {
        const wire = await knock();
        const body = raw(
            messagesRequest({ text: 'x'.repeat(20000) })
                .toString('latin1')
                .split('\r\n\r\n')[1],
        );
        const chunks = [...body].map((byte) => `1\r\n${String.fromCharCode(byte)}\r\n`).join('');
        await wire.send(`${CHUNKED}${chunks}0\r\n\r\n`);
        assert.equal((await wire.answer()).status, 200);
        wire.leave();
    },
    'a thousand requests at once': async (knock) => {
        const wire = await knock();
        wire.send(Buffer.concat(Array(1000).fill(request('GET', '/health')))).catch(() => {});
        for (let i = 0; i < 1000; i++) assert.equal((await wire.answer()).status, 200);
        wire.leave();
    },
};

/** Says its request and closes its side: that is taken for leaving. */
const halfClosed = (bytes) => async (knock) => {
    const wire = await knock();
    await wire.send(bytes);
    wire.finish();
    await wire.readAll();
};

const HALVES = {
    'before a byte': halfClosed(''),
    'within a head': halfClosed(POST),
    'within a body': halfClosed(LARGE.subarray(0, 1 << 20)),
    'behind a request': halfClosed(script({ stall: true })),
    'behind many': halfClosed(Buffer.concat(Array(20).fill(messagesRequest()))),
};

const SILENT = {
    'from the start': isClosed(''),
    'within the request line': isRefused('POST /v1/mess', 408),
    'within the head': isRefused(POST, 408),
    'within the body': isRefused(LARGE.subarray(0, 1 << 20), 408),
    'within the size of a chunk': isRefused(`${CHUNKED}1`, 408),
    'before the last line of the chunks': isRefused(`${CHUNKED}2\r\n{}\r\n0\r\n`, 408),
    'taking nothing of its answer': async (knock, { node }) => {
        const wire = await knock();
        await wire.send(script({ raw_bytes: 20000000 }));
        const answer = await wire.head();
        wire.socket.pause();
        await node.finished(answer);
        await assert.rejects(answer.readBody(), Closed);
    },
};

const crowd = (size, act) => async (knock) => {
    const wires = await Promise.all(Array.from({ length: size }, () => knock()));
    await Promise.all(wires.map((wire) => act(wire)));
    for (const wire of wires) wire.reset();
};

const FLOODS = {
    'that say nothing': crowd(500, () => {}),
    'with half a head': crowd(500, (wire) => wire.send(POST)),
    'with half a body': crowd(200, (wire) => wire.send(LARGE.subarray(0, 100000))),
    'that ask and leave': crowd(300, (wire) => wire.send(script({ delay_ms: 50 }))),
    'that greet nobody': crowd(300, (wire) => wire.send('\r\n'.repeat(20))),
};

// How a handshake begins, up to where its length says that more is to come.
const HELLO = Buffer.from('160301020001000001fc0303', 'hex');
const toItsEnd = (wire) => wire.readAll();

/** Who comes without TLS knocks by `setting.plain`. */
const HANDSHAKES = {
    'HTTP where TLS is spoken': (_, setting) =>
        leaves(request('GET', '/health'), toItsEnd)(setting.plain),
    zeros: (_, setting) => leaves(Buffer.alloc(1000), toItsEnd)(setting.plain),
    'a greeting of another length than it says': (_, setting) =>
        leaves(Buffer.concat([HELLO, Buffer.alloc(600)]), toItsEnd)(setting.plain),
    'half a greeting, then it leaves': (_, setting) => leaves(HELLO)(setting.plain),
    'half a greeting, then silence': (_, setting) => leaves(HELLO, toItsEnd)(setting.plain),
    'a close instead of a greeting': (_, setting) => halfClosed('')(setting.plain),
    'many halves at once': (_, setting) => crowd(200, (wire) => wire.send(HELLO))(setting.plain),
    'no trust in the node': async (_, { node }) => {
        await assert.rejects(connect(node.port, { secure: { ca: [] } }), /certificate/);
    },
    'no version in common': async (_, { node }) => {
        const secure = { maxVersion: 'TLSv1.1', minVersion: 'TLSv1.1', ciphers: 'ALL:@SECLEVEL=0' };
        await assert.rejects(connect(node.port, { secure }));
    },
    'silence behind the handshake': isClosed(''),
    'bytes below TLS within a request': async (knock) => {
        const wire = await knock();
        await wire.send(POST);
        wire.plain.write('these are no records');
        await wire.readAll();
        wire.leave();
    },
    'a close below TLS within an answer': async (knock, { provider }) => {
        const wire = await knock();
        await wire.send(script({ stall: true }));
        await provider.activeReaches(1);
        wire.plain.end();
        await provider.activeReaches(0);
        wire.leave();
    },
};

/** Runs a table, each with all that must hold after it. `front`: what the node itself speaks. */
async function runAll(world, t, table, { config, front = {} } = {}) {
    const env = FRUGAL;
    const server = { max_body_bytes: 8 << 20, names: ['weir.test'], ...front.server };
    const setting = await world.setting({ max: 1000, config: { ...config, server }, env });
    const { node } = setting;
    setting.plain = () => connect(node.port);
    const { secure } = front;
    node.secure = secure;
    const knock = () => connect(node.port, { secure });
    assert.equal((await post(node.port, { secure })).status, 200);
    const files = await filesOf(node);
    await inRounds(
        t,
        node,
        Object.keys(table),
        (name) => table[name](knock, setting),
        async () => {
            await nothingRemains({ ...setting, files });
            assert.equal((await post(node.port, { secure })).status, 200);
        },
    );
}

/** A node that itself speaks TLS, and who trusts it. */
async function tlsFront(world) {
    const ca = await authority(world.dir, 'front');
    const tls = await ca.issue('node', ['DNS:localhost']);
    return { server: { tls }, secure: { ca: await readFile(ca.file) } };
}

test('a caller that leaves in any phase leaves nothing', { ms: 120000 }, async (world, t) => {
    await runAll(world, t, LEAVING);
});

test('nor does one that leaves TLS', { ms: 120000 }, async (world, t) => {
    await runAll(world, t, LEAVING, { front: await tlsFront(world) });
});

test('whatever a caller says, it is answered, and nothing is kept of it', async (world, t) => {
    await runAll(world, t, SPEAKING);
});

test('a caller that closes its side has left', async (world, t) => {
    await runAll(world, t, HALVES);
});

test(
    'a caller that falls silent is waited for so long, in any phase',
    { ms: 120000 },
    async (world, t) => {
        await runAll(world, t, SILENT, { config: { timeouts: { client_ms: 500 } } });
    },
);

test('a flood of callers runs off', { ms: 120000 }, async (world, t) => {
    await runAll(world, t, FLOODS);
});

test('a handshake that fails or breaks off leaves nothing', { ms: 120000 }, async (world, t) => {
    const config = { timeouts: { client_ms: 500 } };
    await runAll(world, t, HANDSHAKES, { config, front: await tlsFront(world) });
});
