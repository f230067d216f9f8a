// Providers that speak badly: whatever one says, its caller is served by the next subscription or
// sees that his answer broke off, and the node keeps nothing of it.
// tests/unit/net/http/upstream_fail_test.c asks the same of the parts.
import { pause, size, test } from './harness/index.js';
import {
    chunked,
    CRLF,
    early,
    GOOD,
    HALF,
    head,
    INVALID,
    OK,
    PIECE,
    runAll,
    says,
    saysAndLeaves,
    saysOnce,
    saysWithoutEnd,
    setting,
    sized,
} from './harness/plays.js';

const HEADS = {
    'a status of four digits': head(['HTTP/1.1 2000 OK', 'content-length: 0']),
    'a status of two digits': head(['HTTP/1.1 20 OK', 'content-length: 0']),
    'no status': head(['HTTP/1.1 OK', 'content-length: 0']),
    'a status below 100': head(['HTTP/1.1 099 Early', 'content-length: 0']),
    'two blanks before the status': head(['HTTP/1.1  200 OK', 'content-length: 0']),
    'a version of its own': head(['HTTP/9.9 200 OK', 'content-length: 0']),
    'a version in small letters': head(['http/1.1 200 OK', 'content-length: 0']),
    'a NUL in the status line': head(['HTTP/1.1 200 O\0K', 'content-length: 0']),
    'a bare CR in the status line': head(['HTTP/1.1 200 O\rK', 'content-length: 0']),
    'a line without a colon': head(['HTTP/1.1 200 OK', 'content-length 0']),
    'a header without a name': head(['HTTP/1.1 200 OK', ': 0', 'content-length: 0']),
    'a blank before the colon': head(['HTTP/1.1 200 OK', 'content-length : 0']),
    'a NUL in a header': head(['HTTP/1.1 200 OK', 'x: a\0b', 'content-length: 0']),
    'two lengths': head(['HTTP/1.1 200 OK', 'content-length: 2', 'content-length: 3'], 'ok!'),
    'a list of lengths': head(['HTTP/1.1 200 OK', 'content-length: 2, 3'], 'ok!'),
    'a negative length': head(['HTTP/1.1 200 OK', 'content-length: -2'], 'ok'),
    'a length in hex': head(['HTTP/1.1 200 OK', 'content-length: 0x2'], 'ok'),
    'a length of thirty digits': head(['HTTP/1.1 200 OK', `content-length: ${'9'.repeat(30)}`]),
    'a length and chunked': head(
        ['HTTP/1.1 200 OK', 'content-length: 5', 'transfer-encoding: chunked'],
        `0${CRLF}${CRLF}`,
    ),
    'chunked twice': head(['HTTP/1.1 200 OK', 'transfer-encoding: chunked, chunked'], '0\r\n\r\n'),
    'an upgrade nobody asked for': head(['HTTP/1.1 101 Switching Protocols', 'upgrade: h2c']),
    'an answer in HTTP/0.9': '<html>here you are</html>\n',
    'settings of HTTP/2': Buffer.from('00000604000000000000030000006400', 'hex'),
    "HTTP/2's preface": 'PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n',
    'an alert of TLS': Buffer.from('15030100020246', 'hex'),
    'an answer of Redis': '-ERR unknown command\r\n',
    'zeros only': Buffer.alloc(4096),
};

test('whoever gets no answer that can be understood is served by the next', async (world, t) => {
    const all = await setting(world);
    const table = {};
    for (const [name, bytes] of Object.entries(HEADS)) {
        table[`${name}, then a close`] = ['next', saysAndLeaves(bytes)];
    }
    await runAll(t, all, table);
});

const ENDLESS = {
    'a status line': saysWithoutEnd('HTTP/1.1 200 '),
    'a header': saysWithoutEnd('HTTP/1.1 200 OK\r\nx: '),
    'header lines': saysWithoutEnd('HTTP/1.1 200 OK\r\n', 'x-another: header\r\n'.repeat(1000)),
    'empty lines': saysWithoutEnd('\r\n', '\r\n'.repeat(1000)),
    zeros: saysWithoutEnd('', Buffer.alloc(64 * 1024)),
};

test('what has no end before an answer is read to a limit only', async (world, t) => {
    const all = await setting(world);
    const table = {};
    for (const [name, play] of Object.entries(ENDLESS)) table[name] = ['next', play];
    await runAll(t, all, table);
});

const TRAILERS = `0${CRLF}x-checksum: 1${CRLF}x-other: 2${CRLF}${CRLF}`;
const GOOD_CHUNK = `${GOOD.length.toString(16)}${CRLF}${GOOD}${CRLF}`;

const HALF_CHUNK = `${HALF.length.toString(16)}${CRLF}${HALF}${CRLF}`;

const BODIES = {
    'shorter than its length, then a close': ['cut', saysAndLeaves(sized(HALF, 5000))],
    'shorter than its length, then a reset': [
        'cut',
        async (wire) => {
            await saysOnce(sized(HALF, 5000))(wire);
            await pause(20); // a reset takes with it what has not been read
            wire.reset();
        },
    ],
    'longer than its length': ['good', says(`${sized(GOOD)} and more`)],
    'longer than its length, without end': ['good', saysWithoutEnd(sized(GOOD))],
    'none where a length was said': ['next', saysAndLeaves(sized('', 5000))],
    'behind a 204': ['empty', says(head(['HTTP/1.1 204 No Content'], 'a body'))],
    'behind a 304': ['empty', says(head(['HTTP/1.1 304 Same', 'content-length: 6'], 'a body'))],
    'a second answer behind the first': ['good', says(sized(GOOD) + sized('poisoned'))],
    'chunked, a size that is no number': ['next', says(chunked('xyz\r\n'))],
    'chunked, a size that is no number behind good ones': ['cut', says(chunked(`${HALF_CHUNK}-1`))],
    'chunked, an empty size': ['next', says(chunked('\r\nhello'))],
    'chunked, a size of seventeen digits': ['next', says(chunked(`${'0'.repeat(16)}5\r\nhello`))],
    'chunked, a size beyond all numbers': ['next', says(chunked('ffffffffffffffff\r\nhello'))],
    'chunked, more data than its size': ['cut', says(chunked('5\r\nhello world\r\n0\r\n\r\n'))],
    'chunked, bare line feeds': ['next', says(chunked('5\nhello\n0\n\n'))],
    'chunked, without a last chunk': ['cut', saysAndLeaves(chunked(HALF_CHUNK))],
    'chunked, closed within a chunk': ['cut', saysAndLeaves(chunked('ff\r\nhello'))],
    'chunked, closed within a size': ['cut', saysAndLeaves(chunked(`${HALF_CHUNK}f`))],
    'chunked, closed before its last line': ['cut', saysAndLeaves(chunked(`${HALF_CHUNK}0\r\n`))],
    'chunked, an extension without end': ['next', saysWithoutEnd(chunked('5;'), 'x'.repeat(60000))],
    'chunked, with trailers': ['good', says(chunked(GOOD_CHUNK + TRAILERS))],
    'chunked, a trailer that frames': [
        'cut',
        says(chunked(`${HALF_CHUNK}0\r\ncontent-length: 3\r\n\r\n`)),
    ],
    'chunked, trailers without end': [
        'cut',
        saysWithoutEnd(chunked(`${HALF_CHUNK}0\r\n`), 'x-t: 1\r\n'.repeat(1000)),
    ],
    'chunked, more behind its end': ['good', says(chunked(`${GOOD_CHUNK}0\r\n\r\n${GOOD_CHUNK}`))],
    'gzip that is none': [
        'good',
        says(`${OK}content-encoding: gzip\r\ncontent-length: ${GOOD.length}\r\n\r\n${GOOD}`),
    ],
    'no length, to the close': ['good', saysAndLeaves(`${OK}\r\n${GOOD}`)],
    'an event without end': ['cut', aStream('data: ', PIECE)],
    'events of nothing': ['cut', aStream('', '\n\n'.repeat(10000))],
    'events that are no JSON': [
        'cut',
        aStream('', 'event: content_block_delta\ndata: {"\n\n'.repeat(1000)),
    ],
};

/** A stream that goes on with the same for more than is held back, and then breaks off. */
function aStream(start, again, bytes = Math.max(size(4 << 20), 1 << 18)) {
    const type = 'HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\n';
    return async (wire) => {
        await saysOnce(`${type}content-length: ${bytes * 2}\r\n\r\n${start}`)(wire);
        for (let sent = 0; sent < bytes; sent += again.length) {
            if (wire.socket.writableLength > 1 << 20) await wire.send(again);
            else wire.send(again).catch(() => {});
        }
        wire.finish();
    };
}

test(
    'a body that is not what was said of it never looks whole',
    { ms: 120000 },
    async (world, t) => {
        await runAll(t, await setting(world), BODIES);
    },
);

const CONTINUE = 'HTTP/1.1 100 Continue\r\n\r\n';

const INTERIM = {
    'a 100 before the answer': ['good', says(`HTTP/1.1 100 Continue\r\n\r\n${sized(GOOD)}`)],
    'a 103 with links before it': [
        'good',
        says(`HTTP/1.1 103 Early Hints\r\nlink: </a>; rel=preload\r\n\r\n${sized(GOOD)}`),
    ],
    'a 102 of the longest kind': [
        'good',
        says(`HTTP/1.1 102 Wait\r\nx: ${'x'.repeat(60000)}\r\n\r\n${sized(GOOD)}`),
    ],
    'a 199 with a length': [
        'next',
        saysAndLeaves(`HTTP/1.1 199 Odd\r\ncontent-length: 5\r\n\r\nhello${sized(GOOD)}`),
    ],
    'a thousand of them': ['good', says(`${CONTINUE.repeat(1000)}${sized(GOOD)}`)],
    'one more': ['next', says(`${CONTINUE.repeat(1001)}${sized(GOOD)}`)],
    'one after the other without end': ['next', saysWithoutEnd('', CONTINUE.repeat(500))],
    'a 100 and a close': ['next', saysAndLeaves('HTTP/1.1 100 Continue\r\n\r\n')],
    'a 101 behind a 100': [
        'next',
        says('HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 101 Switching\r\nupgrade: x\r\n\r\n'),
    ],
};

test('answers before the answer are skipped, and are none', async (world, t) => {
    await runAll(t, await setting(world), INTERIM);
});

const leaves = (wire) => wire.leave();
const closesItsSide = (wire) => wire.finish();
const readsOn = async (wire) => {
    while ((await wire.read()) !== null);
};

const error = (status, body) =>
    head(
        [`HTTP/1.1 ${status}`, 'content-type: application/json', `content-length: ${body.length}`],
        body,
    );
const LARGE = { text: 'x'.repeat(12 << 20) };

const EARLY = {};
for (const [how, then] of Object.entries({
    'never reads on': undefined,
    'reads on': readsOn,
    'closes its side': closesItsSide,
})) {
    EARLY[`a 200, and ${how}`] = ['good', early(sized(GOOD), then), LARGE];
    EARLY[`a 400, and ${how}`] = ['refused', early(error('400 Bad Request', INVALID), then), LARGE];
    EARLY[`a 529, and ${how}`] = ['next', early(error('529 Overloaded', '{}'), then), LARGE];
    EARLY[`nonsense, and ${how}`] = ['next', early('nonsense\r\n\r\n', then), LARGE];
}
// What it said may be lost with a reset; what is certain is that one of both comes.
EARLY['half a 200, and closes its side'] = ['cut', early(sized(HALF, 5000), closesItsSide), LARGE];
EARLY['a 500, and leaves'] = ['next', early(error('500 Oh', '{}'), leaves), LARGE];
EARLY['nothing, and leaves'] = ['next', early('', leaves), LARGE];
EARLY['a 200, and leaves'] = ['either', early(sized(GOOD), leaves), LARGE];

test('an answer that comes while a large body still goes up', { ms: 120000 }, async (world, t) => {
    await runAll(t, await setting(world), EARLY);
});
