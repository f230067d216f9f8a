// A Redis that is none, or out of its mind: requests hear 503, the log says why, memory has a
// ceiling, and a real one in its place is found. Away, standing still or emptied: outage.
import assert from 'node:assert/strict';
import { eventually, FRUGAL, isSanitized, ownError, post, test, turn } from './harness/index.js';

const PIECE = Buffer.alloc(64 * 1024, 'x');

/** Hears a word and says that. */
const says = (bytes) => async (wire) => {
    await wire.read({ ms: 60000 });
    await wire.send(bytes);
};

/** The same, and goes on with `again` as long as somebody listens. */
const saysWithoutEnd = (start, again) => async (wire) => {
    await says(start)(wire);
    for (; wire.end === null; await turn()) await wire.send(again);
};

const PROTOCOL = /not its protocol/;
const NO_ANSWER = /did not answer its greeting/;
const STRANGE = {
    'a server of HTTP': [says('HTTP/1.1 400 Bad Request\r\n\r\n'), PROTOCOL],
    zeros: [says(Buffer.alloc(4096)), PROTOCOL],
    'more elements than can be': [says('*4294967295\r\n'), PROTOCOL],
    'a map of all there is': [says('%2147483647\r\n'), PROTOCOL],
    'lists in lists': [says('*1\r\n'.repeat(100000)), PROTOCOL],
    'a negative length': [says('$-5\r\n'), PROTOCOL],
    'news nobody subscribed to': [saysWithoutEnd('', '>2\r\n+a\r\n+b\r\n'.repeat(100)), PROTOCOL],
    'answers nobody asked for': [saysWithoutEnd('', '+OK\r\n'.repeat(1000)), /nobody asked for/],
    'an answer of two gigabytes': [saysWithoutEnd('$2000000000\r\n', PIECE), /larger than \d+ MiB/],
    'a line without end': [saysWithoutEnd('+', PIECE), /larger than|did not answer/],
    'one that loads for ever': [saysWithoutEnd('', '-LOADING later\r\n'), /is loading/],
    silence: [() => {}, NO_ANSWER],
    'half an answer, and silence': [says('*14\r\n$6\r\nserver\r\n'), NO_ANSWER],
    'a close': [(wire) => wire.leave(), /closed the connection/],
    'a reset': [(wire) => wire.reset(), /closed the connection|reset/],
};
const PEAK_KIB = 200 * 1024; // an answer of 64 MiB, once more while it grows, and the node

test(
    'a Redis out of its mind costs 503s, until it is right again',
    { ms: 200000 },
    async (world, t) => {
        const puppet = await world.puppet();
        const provider = await world.provider();
        const config = {
            subscriptions: world.subscriptions(provider, 1),
            redis: { url: `redis://127.0.0.1:${puppet.port}` },
        };
        const node = await world.node({ config, env: FRUGAL });
        for (const [name, [play, reason]] of Object.entries(STRANGE)) {
            await t.test(name, async () => {
                puppet.play = play;
                puppet.hangUp();
                const saysWhy = async () => {
                    const { status, text } = await node.get('/status');
                    if (status !== 503 || !reason.test(text)) throw new Error(`${status} ${text}`);
                    return true;
                };
                await eventually('/status to say why', saysWhy, { ms: 30000 });
                const answer = await post(node.port);
                ownError(answer, 503, 'api_error');
                assert.match(answer.header('retry-after'), /^[1-9]\d*$/);
                assert.equal((await node.get('/ready')).status, 503);
            });
        }
        if (!isSanitized()) assert.ok((await node.memory('VmHWM')) < PEAK_KIB);
        await puppet.stop();
        await world.redis({ port: puppet.port });
        await eventually(
            'a request to be served',
            async () => (await post(node.port)).status === 200,
            {
                ms: 30000,
            },
        );
    },
);
