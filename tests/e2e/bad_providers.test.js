// Providers that break HTTP in every way, or say nothing: each costs its own request a try at most,
// and leaves nothing behind: no slot, no descriptor, no memory.
import assert from 'node:assert/strict';
import { eventually, messages, post, test } from './harness/index.js';
import { put } from './harness/speaker.js';

const JSON_HEAD = 'HTTP/1.1 200 OK\r\ncontent-type: application/json\r\n';
const WHOLE = '{"type":"message","model":"m","usage":{"input_tokens":3,"output_tokens":4}}';
const sized = (body, length = body.length) =>
    `${JSON_HEAD}content-length: ${length}\r\n\r\n${body}`;
const chunk = (text) => `${text.length.toString(16)}\r\n${text}\r\n`;
const chunked = (rest) => `${JSON_HEAD}transfer-encoding: chunked\r\n\r\n${rest}`;

/** Says that, then ends. */
const says = (text) => async (socket) => {
    await put(socket, Buffer.from(text, 'latin1'));
    socket.end();
};
/** Says that again and again until the node has enough. */
const endlessly = (first, more) => async (socket) => {
    await put(socket, first);
    while (!socket.destroyed && socket.writable) await put(socket, more.repeat(100));
};
const silent = async () => {};

const BETA = 'beta'; // the next subscription serves it
const ALPHA = 'alpha'; // it is an answer all the same
const CUT = 'cut'; // it has begun, and must not look whole

/** [what the provider does, what comes of it]. */
const CASES = {
    'closes without a word': [async (socket) => socket.end(), BETA],
    'resets without a word': [async (socket) => socket.resetAndDestroy(), BETA],
    'says no HTTP at all': [says('hello there\r\n\r\n'), BETA],
    'answers as HTTP/0.9 did': [says('<html>hello</html>'), BETA],
    'answers as HTTP/2': [says('\0\0\x12\x04\0\0\0\0\0\0\x03\0\0\0\x64\0\x04\0\0\xff\xff'), BETA],
    'answers as TLS': [says('\x15\x03\x01\0\x02\x02\x16'), BETA],
    'has a status that is no number': [says('HTTP/1.1 OK 200\r\n\r\n'), BETA],
    'has a status of four digits': [says('HTTP/1.1 2000 OK\r\n\r\n'), BETA],
    'has a header without a colon': [says(`${JSON_HEAD}nonsense\r\n\r\n`), BETA],
    'has a header with a NUL': [says(`${JSON_HEAD}a: b\0c\r\ncontent-length: 0\r\n\r\n`), BETA],
    'has half a head': [says(JSON_HEAD), BETA],
    'has two lengths': [says(`${JSON_HEAD}content-length: 3\r\ncontent-length: 4\r\n\r\nabc`), BETA],
    'has a length and chunks': [
        says(`${JSON_HEAD}content-length: 3\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n`),
        BETA,
    ],
    'has an unknown transfer coding': [
        says(`${JSON_HEAD}transfer-encoding: gzip, chunked\r\n\r\n0\r\n\r\n`),
        BETA,
    ],
    'has headers without end': [endlessly(JSON_HEAD, 'x-more: and more\r\n'), BETA],
    'has a header without end': [endlessly(`${JSON_HEAD}x: `, 'yyyyyyyyyyyyyyyyyyyy'), BETA],
    'has 100 and 103 before its answer': [
        says(`HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nlink: <a>\r\n\r\n${sized(WHOLE)}`),
        ALPHA,
    ],
    'says 100 without end': [endlessly('', 'HTTP/1.1 100 Continue\r\n\r\n'), BETA],
    'switches protocols unasked': [
        says('HTTP/1.1 101 Switching Protocols\r\nupgrade: x\r\nconnection: upgrade\r\n\r\n'),
        BETA,
    ],
    'promises more than it has': [says(sized(WHOLE, WHOLE.length + 5)), CUT],
    'has more than it promised': [says(`${sized(WHOLE)}HTTP/1.1 200 OK\r\n\r\nmore`), ALPHA],
    'has a chunk of no size': [says(chunked(`zz\r\n${WHOLE}\r\n0\r\n\r\n`)), BETA],
    'has a chunk of a size beyond all': [says(chunked(`fffffffffffffffff\r\n${WHOLE}`)), BETA],
    'has a chunk that is longer than it says': [
        says(chunked(`4\r\n{"ab"\r\n0\r\n\r\n`)),
        BETA,
    ],
    'has trailers': [
        says(chunked(`${chunk(WHOLE)}0\r\nx-trailer: 1\r\n\r\n`)),
        ALPHA,
    ],
    'has trailers without end': [
        endlessly(chunked(`${chunk(WHOLE)}0\r\n`), 'x-trailer: 1\r\n'),
        ALPHA,
    ],
    'has extensions without end': [endlessly(chunked('4;'), 'a=b;'), BETA],
    'is silent': [silent, BETA],
    'is silent behind half a head': [async (socket) => put(socket, JSON_HEAD), BETA],
    'is silent behind a head': [async (socket) => put(socket, chunked('')), BETA],
    'is silent within its body': [async (socket) => put(socket, chunked(chunk(WHOLE.slice(0, 40)))), CUT],
};

const TIMEOUTS = { connect_ms: 1000, first_byte_ms: 400, idle_ms: 400 };

async function setting(world) {
    const speaker = await world.speaker();
    const provider = await world.provider();
    const redis = await world.redis();
    const list = world.subscriptions(provider, 2, { max_concurrent: 2 });
    list[0].base_url = speaker.url;
    const node = await world.node({
        config: {
            subscriptions: list,
            redis: { url: redis.url },
            server: { expose_subscription: true },
            retry: { percent: 100, hold_ms: 2000 },
            timeouts: TIMEOUTS,
        },
        env: { ASAN_OPTIONS: 'quarantine_size_mb=1' },
    });
    return { speaker, provider, redis, node };
}

/** What came of one request: alpha, beta or cut. */
async function outcome(node, options = {}) {
    try {
        const answer = await post(node.port, { ms: 8000, ...options });
        assert.equal(answer.status, 200, answer.text);
        if (answer.header('x-weir-subscription') === ALPHA) assert.equal(answer.text, WHOLE);
        return answer.header('x-weir-subscription');
    } catch (error) {
        assert.equal(error.constructor.name, 'Closed', error.stack);
        return CUT;
    }
}

/** Whoever is alpha again is asked first. */
const forgive = (redis) => redis.cli('FCALL', 'weir_open', '1', 'weir:{main}', 'alpha');

/** Nothing is left: connections to the speaker that it does not close are closed by the node. */
async function nothingIsLeft({ node, provider, idle }) {
    await node.activeReaches(0);
    await provider.activeReaches(0);
    await eventually('descriptors as before', async () => {
        const open = await node.openFiles();
        if (open > idle + 4) throw new Error(`${idle} before, ${open} now`);
        return true;
    });
}

test('a provider that breaks HTTP costs a request one try at most', { ms: 120000 }, async (world, t) => {
    const all = await setting(world);
    const { speaker, redis, node } = all;
    await post(node.port);
    const idle = await node.openFiles();
    for (const [title, [speak, expected]] of Object.entries(CASES)) {
        await t.test(`it ${title}`, async () => {
            await forgive(redis);
            const before = speaker.asked;
            speaker.speak = speak;
            assert.equal(await outcome(node), expected);
            assert.ok(speaker.asked - before <= 2, 'and one that met a dying connection');
        });
    }
    await nothingIsLeft({ ...all, idle });
});

test('round after round of it leaves no memory behind', { ms: 180000 }, async (world, t) => {
    const all = await setting(world);
    const { speaker, redis, node } = all;
    const quick = Object.entries(CASES).filter(([title]) => !title.includes('silent'));
    const round = async (times) => {
        for (let i = 0; i < times; i++) {
            for (const [, [speak]] of quick) {
                await forgive(redis);
                speaker.speak = speak;
                await outcome(node);
            }
        }
    };
    await round(2);
    const [idle, before] = [await node.openFiles(), await node.memory()];
    await round(4);
    const growth = (await node.memory()) - before;
    t.diagnostic(`grew by ${growth} KiB in ${4 * quick.length} requests`);
    assert.ok(growth < 8 * 1024, `grew by ${growth} KiB`);
    await nothingIsLeft({ ...all, idle });
});

// While a large body still goes up.
const EARLY = {
    'answers early and closes': [says(sized(WHOLE)), 'any'],
    'answers early and reads on': [
        async (socket) => {
            await put(socket, sized(WHOLE));
            socket.resume();
        },
        'any',
    ],
    'answers early and never reads': [
        async (socket) => {
            socket.pause();
            await put(socket, sized(WHOLE));
        },
        ALPHA,
    ],
    'refuses early': [says('HTTP/1.1 413 Too Large\r\ncontent-length: 0\r\n\r\n'), 'refused'],
    'closes in the middle': [async (socket) => socket.destroy(), BETA],
};

test('a provider that answers while a body goes up', { ms: 60000 }, async (world, t) => {
    const all = await setting(world);
    const { speaker, redis, node } = all;
    await post(node.port);
    const idle = await node.openFiles();
    const body = messages({ text: 'x'.repeat(8 << 20) });
    for (const [title, [speak, expected]] of Object.entries(EARLY)) {
        await t.test(`it ${title}`, async () => {
            await forgive(redis);
            speaker.speakEarly = speak;
            const answer = await post(node.port, { body, ms: 20000 });
            const who = answer.header('x-weir-subscription');
            if (expected === 'refused') assert.equal(answer.status, 413);
            else assert.equal(answer.status, 200);
            // A reset that overtakes the answer is the other outcome of a provider that closes early.
            if (expected === ALPHA || expected === BETA) assert.equal(who, expected);
            speaker.speakEarly = null;
        });
    }
    await nothingIsLeft({ ...all, idle });
});

test('bytes behind an answer answer nobody', async (world) => {
    const { speaker, redis, node } = await setting(world);
    speaker.speak = async (socket) => {
        await put(socket, sized(WHOLE) + sized('{"type":"message","model":"poisoned"}'));
    };
    assert.equal((await post(node.port)).text, WHOLE);
    await forgive(redis);
    speaker.speak = says(sized(WHOLE));
    assert.equal((await post(node.port)).text, WHOLE);
});
