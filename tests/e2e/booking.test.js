// What was used is booked once: per subscription, client, model and day, from JSON and streams.
import assert from 'node:assert/strict';
import { call, eventually, messages, post, quiet, test } from './harness/index.js';

const USAGE = {
    input_tokens: 1234,
    output_tokens: 567,
    cache_read_input_tokens: 89,
    cache_creation: { ephemeral_5m_input_tokens: 12, ephemeral_1h_input_tokens: 34 },
};
const BOOKED = { input: 1234, output: 567, cache_read: 89, cache_write_5m: 12, cache_write_1h: 34 };
const today = () => `day:${new Date().toISOString().slice(0, 10)}`;

for (const stream of [false, true]) {
    for (const gzip of [false, true]) {
        const kind = `${stream ? 'a stream' : 'JSON'}${gzip ? ', gzipped' : ''}`;
        test(`usage of ${kind} is booked by subscription, client, model, day`, async (world) => {
            const { provider, redis, node } = await world.setting();
            const headers = { 'x-client-id': 'team-a', 'accept-encoding': 'gzip' };
            const script = { usage: USAGE, gzip };
            const options = { stream, headers, script, model: 'claude-opus-4-5' };
            const date = today();
            const answer = await post(node.port, options);
            assert.equal(answer.status, 200);
            const wanted = { requests: 1, errors: 0, cancelled: 0, ...BOOKED };
            for (const field of ['sub:alpha', 'client:team-a', 'model:claude-opus-4-5']) {
                await redis.bookedReaches(field, wanted);
                if (date === today()) await redis.bookedReaches(field, wanted, date);
            }
            const line = await node.finished(answer);
            assert.equal(line.input, 1234);
            assert.equal(line.output, 567);
            assert.equal(line.cache_read, 89);
            assert.equal(line.cache_write, 46);
            await quiet({ node, provider });
        });
    }
}

test('the totals add up over requests, clients and models', async (world) => {
    const { redis, node } = await world.setting();
    const usage = (input, output) => ({ input_tokens: input, output_tokens: output });
    const calls = [
        ['a', 'm-1', 10, 1],
        ['a', 'm-2', 20, 2],
        ['b', 'm-1', 40, 4],
    ];
    for (const [client, model, input, output] of calls) {
        const headers = { 'x-client-id': client };
        await post(node.port, { headers, model, script: { usage: usage(input, output) } });
    }
    await redis.bookedReaches('sub:alpha', { requests: 3, input: 70, output: 7 });
    await redis.bookedReaches('client:a', { requests: 2, input: 30, output: 3 });
    await redis.bookedReaches('client:b', { requests: 1, input: 40, output: 4 });
    await redis.bookedReaches('model:m-1', { requests: 2, input: 50, output: 5 });
    await redis.bookedReaches('model:m-2', { requests: 1, input: 20, output: 2 });
});

test('of several values of a field in a stream the last one counts', async (world) => {
    const { redis, node } = await world.setting();
    const event = (name, data) =>
        `event: ${name}\ndata: ${JSON.stringify({ type: name, ...data })}\n\n`;
    const body = [
        event('message_start', {
            message: { model: 'claude-x', usage: { input_tokens: 5, output_tokens: 1 } },
        }),
        event('content_block_start', { index: 0, content_block: { type: 'text', text: '' } }),
        event('message_delta', { usage: { output_tokens: 10 } }),
        event('message_delta', {
            usage: { input_tokens: 7, output_tokens: 30, cache_read_input_tokens: 2 },
        }),
        event('message_stop', {}),
    ].join('');
    const script = { body, headers: { 'content-type': 'text/event-stream' } };
    await post(node.port, { stream: true, script });
    await redis.bookedReaches('sub:alpha', { input: 7, output: 30, cache_read: 2 });
});

test('usage is found wherever it stands in a large answer', async (world) => {
    const { redis, node } = await world.setting();
    await post(node.port, { script: { text_bytes: 3000000, usage: USAGE } });
    await redis.bookedReaches('sub:alpha', { requests: 1, ...BOOKED });
});

test('words in the text that look like usage are not booked', async (world) => {
    const { redis, node } = await world.setting();
    const text = 'so "usage":{"input_tokens":999999,"output_tokens":999999} it says';
    for (const stream of [false, true])
        await post(node.port, { stream, text, script: { usage: USAGE } });
    await redis.bookedReaches('sub:alpha', { requests: 2, input: 2468, output: 1134 });
});

test('an answer without usage is booked as a request', async (world) => {
    const { redis, node } = await world.setting();
    await post(node.port, { script: { usage: null } });
    await call(node.port, 'GET', '/v1/models');
    await redis.bookedReaches('sub:alpha', { requests: 2, errors: 0, input: 0, output: 0 });
});

test("a client's mistake is booked as a request, not as a subscription's fault", async (world) => {
    const { redis, node } = await world.setting();
    await post(node.port, { body: '{"nonsense":' });
    await redis.bookedReaches('sub:alpha', { requests: 1, input: 0 });
    assert.equal((await node.status()).subscriptions[0].in_cooldown, false);
});

test('an error of the provider is booked as one', async (world) => {
    const { provider, redis, node } = await world.setting();
    await provider.fault('alpha', { status: 500 });
    await post(node.port);
    await redis.bookedReaches('sub:alpha', { requests: 1, errors: 1 });
});

test('/status shows what Redis has', async (world) => {
    const { redis, node } = await world.setting();
    await post(node.port, { script: { usage: USAGE } });
    await redis.bookedReaches('sub:alpha', { requests: 1 });
    const [alpha] = (await node.status()).subscriptions;
    assert.equal(alpha.total_requests, 1);
    assert.equal(alpha.total_errors, 0);
});

test('an operator sees the pool in redis-cli', async (world) => {
    const { provider, redis, node } = await world.setting();
    const held = post(node.port, { headers: { 'x-client-id': 'seen' }, script: { hold: true } });
    await provider.activeReaches(1);
    const pool = await redis.cli('FCALL_RO', 'weir_status', '1', 'weir:{main}');
    for (const word of ['alpha', 'seen', node.id]) assert.match(pool, new RegExp(word), pool);
    assert.match(await redis.cli('HGETALL', 'weir:{main}:roster'), /alpha/);
    await provider.step('alpha', -1);
    assert.equal((await held).status, 200);
    await eventually('the totals to say so', async () => {
        return /requests=1 /.test(await redis.cli('HGETALL', 'weir:{main}:totals'));
    });
});

test('a body that cannot be parsed is still relayed and booked under a name', async (world) => {
    const { provider, redis, node } = await world.setting();
    const body = Buffer.concat([Buffer.from(messages().slice(0, 40)), Buffer.from([0xff, 0xfe])]);
    await post(node.port, { body });
    assert.equal((await provider.log())[0].body_bytes, body.length);
    await redis.bookedReaches('sub:alpha', { requests: 1 });
});
