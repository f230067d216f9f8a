// A stream ends by what it said, whatever its coding, its framing and its connection do: a matrix of
// ends, codings and framings; and what is booked when nobody told it.
import assert from 'node:assert/strict';
import { CODINGS } from './harness/codings.js';
import { connect, messagesRequest, test, within } from './harness/index.js';
import { takeRequest } from './harness/plays.js';

const event = (type, more = {}) =>
    `event: ${type}\ndata: ${JSON.stringify({ type, ...more })}\n\n`;
const delta = (text) =>
    event('content_block_delta', { index: 0, delta: { type: 'text_delta', text } });
const START = event('message_start', {
    message: { model: 'claude-x', usage: { input_tokens: 15, output_tokens: 1 } },
});
const PING = event('ping');
const ERROR = event('error', { error: { type: 'overloaded_error', message: 'Overloaded' } });
const CONTENT = [event('content_block_start', { index: 0 }), delta('some'), delta(' text')];
const STOP = [
    event('message_delta', { delta: {}, usage: { output_tokens: 7 } }),
    event('message_stop'),
];

// What becomes of the bytes behind the last event.
const FRAMED = 'as framed';
const FIN = 'FIN';
const RESET = 'RST';
const OPEN = 'nothing more';

/**
 * Says it all in this coding and framing, and ends so. An error behind content waits until the
 * caller `hears`: before that it would be the same as an error alone.
 */
async function say(socket, { events, coding, framing, end, hears }) {
    const coder = coding.coder();
    const parts = [];
    for (const text of events) parts.push(await coder.event(text));
    const rest = await coder.end();
    const total = parts.reduce((sum, part) => sum + part.length, 0) + rest.length;
    const head = ['HTTP/1.1 200 OK', 'content-type: text/event-stream; charset=utf-8'];
    if (coding.header) head.push(`content-encoding: ${coding.header}`);
    if (framing === 'sized') head.push(`content-length: ${total + (rest.length > 0 ? 0 : 5)}`);
    if (framing === 'chunked') head.push('transfer-encoding: chunked');
    if (framing === 'until close') head.push('connection: close');
    const framed = (bytes) =>
        framing !== 'chunked'
            ? bytes
            : Buffer.concat([Buffer.from(`${bytes.length.toString(16)}\r\n`), bytes, CRLF]);
    await put(socket, `${head.join('\r\n')}\r\n\r\n`);
    for (const [i, part] of parts.entries()) {
        if (events[i] === ERROR && i > 1) await hears;
        if (part.length > 0) await put(socket, framed(part));
    }
    if (end === FRAMED) {
        if (rest.length > 0) await put(socket, framed(rest));
        else if (framing === 'sized') await put(socket, ': end');
        if (framing === 'chunked') await put(socket, '0\r\n\r\n');
    }
    if (end === FIN || (end === FRAMED && framing === 'until close')) socket.end();
    // Behind what was sent: a reset throws away what the other side has not taken yet.
    if (end === RESET) setTimeout(() => socket.resetAndDestroy(), 30);
}
const CRLF = Buffer.from('\r\n');

const WHOLE = [START, PING, ...CONTENT, ...STOP];
const PART = [START, ...CONTENT];

/** [name, what is said, how it ends, what that is]. */
const ENDS = [
    ['all of it', WHOLE, FRAMED, 'whole'],
    ['all of it, then FIN', WHOLE, FIN, 'whole'],
    ['all of it, then RST', WHOLE, RESET, 'whole'],
    ['all of it, and the connection stays open', WHOLE, OPEN, 'whole'],
    ['content, an end in due form', PART, FRAMED, 'cut'],
    ['content, then FIN', PART, FIN, 'cut'],
    ['content, then RST', PART, RESET, 'cut'],
    ['nothing, an end in due form', [], FRAMED, 'elsewhere'],
    ['nothing, then FIN', [], FIN, 'elsewhere'],
    ['nothing, then RST', [], RESET, 'elsewhere'],
    ['pings only', [PING, PING], FRAMED, 'elsewhere'],
    ['an opening only, then RST', [START], RESET, 'elsewhere'],
    ['an error first', [START, ERROR], FRAMED, 'elsewhere'],
    ['an error alone, and the connection stays open', [ERROR], OPEN, 'elsewhere'],
    ['content, then an error', [...PART, ERROR], FRAMED, 'failed'],
    ['content, then an error and RST', [...PART, ERROR], RESET, 'failed'],
];

/** Writes, and waits until the kernel has it. */
const put = (socket, bytes) => new Promise((resolve) => socket.write(bytes, () => resolve()));

/** A provider that says and does `speak(socket)` behind each request: another one in each case. */
async function aSpeaker(world) {
    const puppet = await world.puppet();
    puppet.asked = 0;
    puppet.play = async (wire) => {
        for (;;) {
            await takeRequest(wire);
            puppet.asked++;
            await puppet.speak(wire.socket);
        }
    };
    return puppet;
}

async function setting(world) {
    const speaker = await aSpeaker(world);
    const provider = await world.provider();
    const list = world.subscriptions(provider, 2, {});
    list[0].base_url = speaker.url;
    const redis = await world.redis();
    const config = {
        subscriptions: list,
        redis: { url: redis.url },
        server: { expose_subscription: true },
        retry: { percent: 100 },
    };
    const node = await world.node({ config });
    return { speaker, provider, redis, node };
}

/** The answer, as far as it came: {head, bytes, isWhole}. */
async function ask(node, onHead) {
    const wire = await connect(node.port);
    await wire.send(messagesRequest({ stream: true, headers: { 'x-client-id': 'asker' } }));
    const head = await wire.head();
    onHead();
    const pieces = [];
    let isWhole = true;
    try {
        for (let piece; (piece = await head.piece());) pieces.push(piece);
    } catch (error) {
        assert.equal(error.constructor.name, 'Closed', error.stack);
        isWhole = false;
    }
    wire.leave();
    return { head, bytes: Buffer.concat(pieces), isWhole };
}

const count = (text, what) => text.split(what).length - 1;

const CHECKS = {
    whole({ isWhole, text, coding, bytes }, events) {
        assert.equal(isWhole, true, 'it is whole');
        assert.ok(text === events.join('') || text === `${events.join('')}: end`, text);
        coding.readWhole?.(bytes);
    },
    cut({ isWhole, text, name, end }, events) {
        assert.equal(isWhole, false, 'it must not look whole');
        const canSay = !['br', 'zstd'].includes(name) && !(end === FRAMED && name !== 'identity');
        if (canSay) assert.equal(count(text, 'event: error'), 1, text);
        assert.ok(text.startsWith(events.join('')), text);
    },
    elsewhere({ head, text, isWhole }) {
        assert.equal(head.header('x-weir-subscription'), 'beta');
        assert.equal(isWhole, true);
        assert.equal(count(text, 'event: message_stop'), 1);
        assert.equal(count(text, 'event: message_start'), 1);
    },
    failed({ text, isWhole, name }, events) {
        assert.equal(isWhole, true);
        assert.equal(count(text, 'event: error'), 1, `${name}: ${text}`);
        assert.ok(text.startsWith(events.join('')), text);
    },
};

for (const [name, coding] of Object.entries(CODINGS)) {
    test(`a stream in ${name} ends by what it said`, { ms: 120000 }, async (world, t) => {
        const { speaker, redis, node } = await setting(world);
        for (const framing of ['chunked', 'sized', 'until close']) {
            for (const [title, events, end, kind] of ENDS) {
                await t.test(`${framing}: ${title}`, async () => {
                    await redis.cli('FCALL', 'weir_open', '1', 'weir:{main}', 'alpha');
                    const before = speaker.asked;
                    let onHead;
                    const hears = new Promise((resolve) => (onHead = resolve));
                    speaker.speak = (socket) =>
                        say(socket, { events, coding, framing, end, hears });
                    const { head, bytes, isWhole } = await ask(node, onHead);
                    const isAlphas = head.header('x-weir-subscription') === 'alpha';
                    const text = `${(isAlphas ? coding : CODINGS.identity).read(bytes)}`;
                    CHECKS[kind]({ head, text, bytes, isWhole, coding, name, end }, events);
                    assert.equal(speaker.asked, before + 1, 'alpha was asked once');
                    assert.equal(head.header('content-length'), undefined);
                    if (isAlphas)
                        assert.equal(head.header('cache-control'), 'no-cache, no-transform');
                    const line = await node.finished(head);
                    const words = { whole: 'ok', elsewhere: 'ok', cut: 'broken', failed: 'broken' };
                    assert.equal(line.end, words[kind]);
                });
            }
        }
        await node.activeReaches(0);
    });
}

test('a stream that stays silent is passed on after hold_ms, and is then the answer', async (world) => {
    const speaker = await aSpeaker(world);
    const provider = await world.provider();
    const { node } = await world.setting({
        provider,
        subscriptions: 2,
        url: speaker.url,
        config: { retry: { hold_ms: 200 }, server: { expose_subscription: true } },
    });
    let socketOf;
    speaker.speak = async (socket) => {
        socketOf = socket;
        await put(socket, 'HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\n\r\n');
        await put(socket, START);
    };
    const wire = await connect(node.port);
    await wire.send(messagesRequest({ stream: true }));
    const head = await wire.head();
    assert.equal(head.header('x-weir-subscription'), 'alpha');
    assert.equal(`${await head.piece()}`, START);
    socketOf.end(ERROR);
    await head.readBody();
    assert.equal(head.text, ERROR);
    assert.equal((await provider.log()).length, 0, 'nobody else was asked');
});

test('a provider that is silent within a stream is covered by pings of ours', async (world) => {
    const speaker = await aSpeaker(world);
    const { node } = await world.setting({
        url: speaker.url,
        config: { queue: { ping_ms: 150 } },
    });
    const half = CONTENT[1].slice(0, 20);
    let socketOf;
    speaker.speak = async (socket) => {
        socketOf = socket;
        await put(socket, 'HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\n\r\n');
        await put(socket, START + CONTENT[0]);
    };
    const wire = await connect(node.port);
    await wire.send(messagesRequest({ stream: true }));
    const head = await wire.head();
    let text = '';
    while (count(text, 'event: ping') < 2) text += await head.piece();
    assert.ok(text.startsWith(START + CONTENT[0]));
    const pings = text.slice((START + CONTENT[0]).length);
    for (const ping of pings.split('\n\n').slice(0, -1))
        assert.equal(ping, 'event: ping\ndata: {"type": "ping"}');
    // Within an event nothing of ours may stand: long enough for three pings.
    await put(socketOf, half);
    await new Promise((resolve) => setTimeout(resolve, 500));
    socketOf.end(CONTENT[1].slice(20) + STOP.join(''));
    await head.readBody();
    text += head.text;
    assert.ok(text.includes(CONTENT[1]), text);
    assert.ok(text.endsWith(STOP.join('')));
    assert.ok((await node.metrics()).value('weir_stream_pings_total') >= 2);
});

// What nobody told is booked as what passed, and says so.
const LEAVERS = {
    'the caller leaves within the text': async ({ wire }) => wire.leave(),
    'the provider breaks off within the text': async ({ socket }) => socket.resetAndDestroy(),
    'the provider ends within the text': async ({ socket }) => socket.end(),
};

for (const [title, leave] of Object.entries(LEAVERS)) {
    test(`${title}: near what was streamed is booked, as an estimate`, async (world) => {
        for (const name of ['identity', 'gzip', 'zstd']) {
            const coding = CODINGS[name];
            const speaker = await aSpeaker(world);
            const { redis, node } = await world.setting({ url: speaker.url });
            const coder = coding.coder();
            let socketOf;
            speaker.speak = async (socket) => {
                socketOf = socket;
                const type = 'HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\n';
                const code = coding.header ? `content-encoding: ${coding.header}\r\n` : '';
                await put(socket, `${type}${code}\r\n`);
                const texts = [START, CONTENT[0]];
                for (let i = 0; i < 8; i++) texts.push(delta('word word ').repeat(50));
                for (const one of texts) await put(socket, await coder.event(one));
            };
            const wire = await connect(node.port);
            await wire.send(messagesRequest({ stream: true }));
            const head = await wire.head();
            let bytes = Buffer.alloc(0);
            while (count(`${coding.read(bytes)}`, 'text_delta') < 400)
                bytes = Buffer.concat([bytes, await head.piece()]);
            await leave({ wire, socket: socketOf });
            const line = await node.finished(head);
            assert.equal(line.output_is, 'estimated', name);
            assert.ok(line.output >= 400 && line.output <= 1600, `${name}: ${line.output}`);
            assert.equal(line.input, 15);
            await redis.bookedReaches('sub:alpha', {
                input: 15,
                output: line.output,
                output_estimated: line.output,
            });
            assert.equal((await node.metrics()).value('weir_usage_estimated_total'), 1);
            const { tokens } = (await node.status()).subscriptions[0];
            assert.equal(tokens.output_estimated, line.output);
            await node.activeReaches(0);
        }
    });
}

test('who leaves a stream that is silent, whole or not begun frees its slot', async (world, t) => {
    const MOMENTS = {
        'before a byte': [],
        'before content': [START],
        'within content': PART,
        'behind the last word': WHOLE,
    };
    const { speaker, node } = await setting(world);
    for (const [moment, events] of Object.entries(MOMENTS)) {
        await t.test(moment, async () => {
            const coding = CODINGS.identity;
            let isSaid;
            const said = new Promise((resolve) => (isSaid = resolve));
            speaker.speak = async (socket) => {
                await say(socket, { events, coding, framing: 'chunked', end: OPEN });
                isSaid({ closed: new Promise((resolve) => socket.once('close', resolve)) });
            };
            const wire = await connect(node.port);
            await wire.send(messagesRequest({ stream: true }));
            const { closed } = await said;
            wire.leave();
            await within(5000, 'the end of its connection', closed);
            await node.activeReaches(0);
        });
    }
});

test('a JSON answer that is an error goes elsewhere; one that breaks off too', async (world, t) => {
    const { speaker, provider, redis, node } = await setting(world);
    const error = '{"type":"error","error":{"type":"overloaded_error","message":"Overloaded"}}';
    const whole = '{"type":"message","model":"m","usage":{"input_tokens":3,"output_tokens":4}}';
    const CASES = {
        'an error, sized': [error, `content-length: ${error.length}`, 'beta'],
        'an error, until close': [error, 'connection: close', 'beta'],
        'no body': ['', 'content-length: 0', 'beta'],
        'the beginning of it': [whole.slice(0, 10), `content-length: ${whole.length}`, 'beta'],
        'all but the last chunk': [
            `${whole.length.toString(16)}\r\n${whole}\r\n`,
            'transfer-encoding: chunked',
            'alpha',
        ],
        'all of it': [whole, `content-length: ${whole.length}`, 'alpha'],
    };
    for (const [title, [body, framing, who]] of Object.entries(CASES)) {
        await t.test(title, async () => {
            await redis.cli('FCALL', 'weir_open', '1', 'weir:{main}', 'alpha');
            await provider.reset();
            speaker.speak = async (socket) => {
                const head = 'HTTP/1.1 200 OK\r\ncontent-type: application/json\r\n';
                await put(socket, `${head}${framing}\r\n\r\n${body}`);
                socket.end();
            };
            const wire = await connect(node.port);
            await wire.send(messagesRequest());
            const answer = await wire.answer();
            assert.equal(answer.status, 200);
            assert.equal(answer.header('x-weir-subscription'), who);
            if (who === 'alpha') assert.equal(answer.text, whole);
        });
    }
});

test('a JSON answer whose coding lacks its end keeps to the length it has promised', async (world, t) => {
    const { speaker, node } = await setting(world);
    const whole = '{"type":"message","model":"m","usage":{"input_tokens":3,"output_tokens":4}}';
    for (const name of ['gzip', 'deflate', 'raw deflate', 'br', 'zstd']) {
        const coding = CODINGS[name];
        const bytes = await coding.coder().event(whole);
        for (const framing of ['sized', 'chunked', 'until close']) {
            await t.test(`${name}, ${framing}`, async () => {
                const head = [`${OK}content-type: application/json`];
                head.push(`content-encoding: ${coding.header}`);
                if (framing === 'sized') head.push(`content-length: ${bytes.length}`);
                if (framing === 'chunked') head.push('transfer-encoding: chunked');
                const size = framing === 'chunked' ? `${bytes.length.toString(16)}\r\n` : '';
                speaker.speak = async (socket) => {
                    await put(socket, `${head.join('\r\n')}\r\n\r\n${size}`);
                    await put(socket, bytes);
                    socket.end(framing === 'chunked' ? '\r\n0\r\n\r\n' : '');
                };
                const wire = await connect(node.port);
                await wire.send(messagesRequest());
                const answer = await wire.answer();
                assert.equal(answer.header('x-weir-subscription'), 'alpha');
                assert.equal(`${coding.read(answer.body)}`, whole);
                if (framing === 'sized') assert.deepEqual(answer.body, bytes);
                assert.equal((await node.finished(answer)).end, 'ok');
            });
        }
    }
});

test('lines of JSON are no answer that ends with the first of them', async (world, t) => {
    const { speaker, node } = await setting(world);
    const lines = ['{"custom_id":"a"}\n', '{"custom_id":"b"}\n', '{"custom_id":"c"}\n'];
    const LATER_MS = 500; // than what is waited for behind a last word
    const CASES = {
        'application/jsonl': [LATER_MS, LATER_MS],
        'application/json-seq': [LATER_MS, LATER_MS],
        'application/json': [0, LATER_MS],
    };
    for (const [type, pauses] of Object.entries(CASES)) {
        await t.test(type, async () => {
            let onHead;
            const heard = new Promise((resolve) => (onHead = resolve));
            speaker.speak = async (socket) => {
                await put(socket, `${OK}content-type: ${type}\r\nconnection: close\r\n\r\n`);
                await put(socket, lines[0]);
                await heard;
                for (const [i, ms] of pauses.entries()) {
                    if (ms > 0) await new Promise((resolve) => setTimeout(resolve, ms));
                    await put(socket, lines[i + 1]);
                }
                socket.end();
            };
            const { head, bytes, isWhole } = await ask(node, onHead);
            assert.equal(head.header('x-weir-subscription'), 'alpha');
            assert.equal(`${bytes}`, lines.join(''));
            assert.equal(isWhole, true);
            assert.equal((await node.finished(head)).end, 'ok');
        });
    }
});

test('alone, a provider that says nothing is an error of ours', async (world) => {
    const speaker = await aSpeaker(world);
    const { node } = await world.setting({ url: speaker.url });
    speaker.speak = async (socket) => {
        socket.end('HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\n\r\n');
    };
    const wire = await connect(node.port);
    await wire.send(messagesRequest({ stream: true }));
    const answer = await wire.answer();
    assert.equal(answer.status, 502);
    assert.match(answer.json.error.message, /without a word/);
});

// What says something is passed before hold_ms is over, and then that moment comes.
const LONG_ANSWERS = {
    ...Object.fromEntries(
        Object.entries(CODINGS).map(([name, coding]) => [
            `a stream in ${name}`,
            async (socket, later) => {
                const coder = coding.coder();
                const type = `${OK}content-type: text/event-stream\r\n`;
                const code = coding.header ? `content-encoding: ${coding.header}\r\n` : '';
                await put(socket, `${type}${code}\r\n`);
                for (const text of PART) await put(socket, await coder.event(text));
                await later();
                for (const text of STOP) await put(socket, await coder.event(text));
                socket.end(await coder.end());
                return [...PART, ...STOP].join('');
            },
        ]),
    ),
    'a message longer than is held back': async (socket, later) => {
        const text = JSON.stringify({ type: 'message', pad: 'x'.repeat(300000) });
        await put(socket, `${OK}content-type: application/json\r\n\r\n`);
        await put(socket, text.slice(0, 200000));
        await later();
        socket.end(text.slice(200000));
        return text;
    },
};
const OK = 'HTTP/1.1 200 OK\r\n';
const HOLD_MS = 100;

test('an answer that takes longer than hold_ms has one head', async (world, t) => {
    const speaker = await aSpeaker(world);
    const config = { retry: { hold_ms: HOLD_MS }, queue: { ping_ms: 0 } };
    const { node } = await world.setting({ url: speaker.url, config });
    for (const [title, answer] of Object.entries(LONG_ANSWERS)) {
        await t.test(title, async () => {
            let onHead;
            const begun = new Promise((resolve) => (onHead = resolve));
            const later = async () => {
                await begun;
                await new Promise((resolve) => setTimeout(resolve, HOLD_MS * 3));
            };
            let said;
            speaker.speak = (socket) => (said = answer(socket, later));
            const wire = await connect(node.port);
            await wire.send(messagesRequest({ stream: title.startsWith('a stream') }));
            const head = await wire.head();
            onHead();
            await head.readBody();
            const name = title.replace('a stream in ', '');
            assert.equal(`${(CODINGS[name] ?? CODINGS.identity).read(head.body)}`, await said);
            wire.leave();
        });
    }
    await node.activeReaches(0);
});
