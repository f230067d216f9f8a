// Connections to providers that go wrong: closed where nobody expects it, silent in every phase,
// spoken to in the wrong language. Like bad_peers: the caller is served by the next subscription or
// sees that his answer broke off, and the node keeps nothing.
import { readFile } from 'node:fs/promises';
import { authority, pause, test, turn } from './harness/index.js';
import {
    chunked,
    early,
    GOOD,
    HALF,
    head,
    OK,
    runAll,
    says,
    saysOnce,
    setting,
    sized,
    takeRequest,
    well,
} from './harness/plays.js';

const LARGE = { text: 'x'.repeat(8 << 20) };

/** Says those bytes one by one, `every` ms, as long as somebody listens. */
async function drip(wire, bytes, every = 20) {
    for (const byte of Buffer.from(bytes)) {
        if (wire.end !== null) return;
        await wire.send(Buffer.from([byte]));
        await pause(every);
    }
}

const LINKS = {
    'closed as soon as it is there': ['next', (wire) => wire.leave()],
    'reset as soon as it is there': ['next', (wire) => wire.reset()],
    'closed to one side as soon as it is there': ['next', (wire) => wire.finish()],
    'closed within the request': ['next', early('', (wire) => wire.leave()), LARGE],
    'reset within the request': ['next', early('', (wire) => wire.reset()), LARGE],
    'closed instead of an answer': ['next', (wire) => takeRequest(wire).then(() => wire.leave())],
    'reset instead of an answer': ['next', (wire) => takeRequest(wire).then(() => wire.reset())],
    'closed within the head': [
        'next',
        (wire) => saysOnce('HTTP/1.1 200 OK\r\nconte')(wire).then(() => wire.leave()),
    ],
    'reset within the head': [
        'next',
        (wire) => saysOnce('HTTP/1.1 200 OK\r\nconte')(wire).then(() => wire.reset()),
    ],
    'an answer byte by byte': [
        'good',
        async (wire) => {
            await takeRequest(wire);
            await drip(wire, sized(GOOD), 1);
            await well(wire);
        },
    ],
    'an answer before there was a request, and a close': [
        'either',
        (wire) => wire.send(sized(GOOD)).then(() => wire.finish()),
    ],
    'a refusal before there was a request, and a close': [
        'next',
        (wire) =>
            wire.send(head(['HTTP/1.1 503 Busy', 'content-length: 0'])).then(() => wire.finish()),
    ],
    'an answer before there was a request, and another behind it': [
        'good',
        (wire) => wire.send(sized(GOOD)).then(() => says(sized('poisoned'))(wire)),
    ],
    'good words, then one nobody asked for': [
        'good',
        async (wire) => {
            await saysOnce(sized(GOOD))(wire);
            await pause(10);
            await wire.send(head(['HTTP/1.1 408 Too Late', 'content-length: 0']));
            wire.finish();
        },
    ],
    'good words, then a close': [
        'good',
        (wire) => saysOnce(sized(GOOD))(wire).then(() => wire.finish()),
    ],
    'good words, then a reset': [
        'good',
        async (wire) => {
            await saysOnce(sized(GOOD))(wire);
            await pause(20); // a reset takes with it what has not been read
            wire.reset();
        },
    ],
};

test('a connection that ends where it should not costs no caller his answer', async (world, t) => {
    await runAll(t, await setting(world), LINKS);
});

const CONTENT = [
    'event: message_start',
    'data: {"type":"message_start","message":{"usage":{"input_tokens":1,"output_tokens":1}}}',
    '',
    'event: content_block_delta',
    'data: {"type":"content_block_delta","index":0,"delta":{"type":"text_delta","text":"a"}}',
    '\n',
].join('\n');
const STREAM = 'HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\n\r\n';

const SILENCE = {
    'at once': ['next', () => {}],
    'within a request': ['next', early(''), LARGE],
    'behind a request': ['next', saysOnce('')],
    'within a status line': ['next', saysOnce('HTTP/1.1 20')],
    'within a header': ['next', saysOnce('HTTP/1.1 200 OK\r\ncontent-ty')],
    'behind a 100': ['next', saysOnce('HTTP/1.1 100 Continue\r\n\r\n')],
    'behind the head': ['next', saysOnce(sized('', 100))],
    'behind the head of a chunked answer': ['next', saysOnce(chunked(''))],
    'within a body': ['cut', saysOnce(sized(HALF, 100))],
    'within a body, and within a request': ['cut', early(sized(HALF, 100)), LARGE],
    'within the size of a chunk': ['next', saysOnce(chunked('1'))],
    'within a chunk': ['cut', saysOnce(chunked('ff\r\nhello'))],
    'before the last line of a chunked answer': ['cut', saysOnce(chunked('5\r\nhello\r\n0\r\n'))],
    'within a trailer': ['cut', saysOnce(chunked('5\r\nhello\r\n0\r\nx-a: '))],
    'before the content of a stream': ['next', saysOnce(STREAM)],
    'within a stream': ['cut', saysOnce(STREAM + CONTENT), { stream: true }],
    'within an error': ['next', saysOnce('HTTP/1.1 500 Oh\r\ncontent-length: 100\r\n\r\n{')],
    'never, but a head byte by byte': [
        'next',
        (wire) =>
            takeRequest(wire).then(() => drip(wire, `HTTP/1.1 200 OK\r\nx: ${'x'.repeat(500)}`)),
    ],
    'never, but a 103 now and then': [
        'next',
        async (wire) => {
            await takeRequest(wire);
            for (; wire.end === null; await pause(20)) {
                await wire.send('HTTP/1.1 103 Early Hints\r\n\r\n');
            }
        },
    ],
};
const HASTY = { timeouts: { connect_ms: 600, first_byte_ms: 600, idle_ms: 600 } };

test('silence has an end in every phase', { ms: 200000 }, async (world, t) => {
    await runAll(t, await setting(world, { config: HASTY }), SILENCE);
});

/** A play below TLS. */
const plainly = (play) => Object.assign((wire) => play(wire), { isSecure: false });
const secured = (play) => Object.assign((wire) => play(wire), { isSecure: true });
const HELLO = Buffer.from('16030300', 'hex'); // how a record of a handshake begins

const TLS = {
    'HTTP where TLS is spoken': [
        'next',
        plainly((wire) => wire.send(`HTTP/1.1 400 Bad Request\r\n\r\n${OK}`)),
    ],
    'silence in the handshake': ['next', plainly(() => {})],
    'a close in the handshake': ['next', plainly((wire) => wire.finish())],
    'a reset in the handshake': ['next', plainly((wire) => wire.reset())],
    'an alert in the handshake': [
        'next',
        plainly((wire) => wire.send(Buffer.from('15030300020228', 'hex'))),
    ],
    'zeros in the handshake': ['next', plainly((wire) => wire.send(Buffer.alloc(60000)))],
    'a handshake byte by byte': [
        'next',
        plainly((wire) =>
            drip(wire, Buffer.concat([HELLO, Buffer.from([200]), Buffer.alloc(200)])),
        ),
    ],
    'a handshake without end': [
        'next',
        plainly(async (wire) => {
            const piece = Buffer.concat([
                Buffer.from('160303400002ffffff0303', 'hex'),
                Buffer.alloc(16377),
            ]);
            for (; wire.end === null; await turn()) await wire.send(piece);
        }),
    ],
    'a close below TLS within an answer without a length': [
        'cut',
        async (wire) => {
            await saysOnce(`${OK}\r\n${HALF}`)(wire);
            await pause(20);
            wire.plain.end();
        },
    ],
    'bytes below TLS within an answer': [
        'cut',
        async (wire) => {
            await saysOnce(sized(HALF, 1000))(wire);
            await pause(20);
            wire.plain.write('these are no records');
        },
    ],
    'a good answer': ['good', says(sized(GOOD))],
};

/** The identity of a provider called localhost, and who vouches for it. */
async function identity(world) {
    const ca = await authority(world.dir, 'ours');
    const files = await ca.issue('leaf', ['DNS:localhost']);
    const tls = { cert: await readFile(files.cert), key: await readFile(files.key) };
    return { ca_file: ca.file, tls };
}

test(
    'a provider that fails at TLS is no provider, in every phase',
    { ms: 120000 },
    async (world, t) => {
        const { ca_file, tls } = await identity(world);
        const all = await setting(world, {
            scheme: 'https',
            ca_file,
            puppet: { tls },
            config: HASTY,
        });
        await runAll(t, all, TLS);
    },
);

test('TLS where none is spoken is no answer', async (world, t) => {
    const { tls } = await identity(world);
    const all = await setting(world, { puppet: { tls, isSecure: false }, config: HASTY });
    const HANDSHAKE = Buffer.concat([HELLO, Buffer.alloc(1000)]);
    await runAll(t, all, {
        'a server of TLS': ['next', secured(well)],
        'an alert, and a close': [
            'next',
            (wire) => wire.send(Buffer.from('15030100020246', 'hex')).then(() => wire.finish()),
        ],
        "another's handshake": ['next', (wire) => wire.send(HANDSHAKE).then(() => wire.finish())],
    });
});
