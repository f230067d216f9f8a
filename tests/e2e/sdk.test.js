// The official clients, unmodified, newest and the 0.x line: what they do against the provider they
// must be able to do through a node.
import assert from 'node:assert/strict';
import * as current from '@anthropic-ai/sdk';
import * as former from 'anthropic-sdk-0';
import { headersOf, key, post, quiet, test } from './harness/index.js';

const SDKS = { '1.x': current, '0.x': former };
const ASK = {
    model: 'claude-sonnet-4-5',
    max_tokens: 100,
    messages: [{ role: 'user', content: 'How deep is the river?' }],
};

/** A test for each SDK: run({sdk, client, ...setting}). */
function eachSdk(name, options, run) {
    if (typeof options === 'function') [options, run] = [{}, options];
    for (const [version, sdk] of Object.entries(SDKS)) {
        test(`${version}: ${name}`, async (world, t) => {
            const setting = await world.setting(options);
            const client = new sdk.Anthropic({
                apiKey: 'the-key-of-the-client',
                baseURL: `http://127.0.0.1:${setting.node.port}`,
                maxRetries: 0,
            });
            await run({ sdk, client, ...setting }, t);
        });
    }
}

eachSdk('create', async ({ client, provider }) => {
    const message = await client.messages.create(ASK);
    assert.match(message.content[0].text, /How deep is the river/);
    assert.equal(message.usage.input_tokens, 100);
    assert.match(message._request_id, /\S/);
    const [record] = await provider.log();
    assert.equal(record.credential, key('alpha'));
    assert.doesNotMatch(JSON.stringify(record.headers), /the-key-of-the-client/);
    assert.match(headersOf(record, 'user-agent')[0], /^Anthropic\/JS/);
    assert.equal(headersOf(record, 'x-stainless-lang')[0], 'js');
});

eachSdk('stream, by the helper and by iteration', async ({ client, provider, node }) => {
    const stream = client.messages.stream(ASK);
    const texts = [];
    stream.on('text', (text) => texts.push(text));
    const message = await stream.finalMessage();
    assert.equal(texts.join(''), message.content[0].text);
    assert.match(message.content[0].text, /How deep is the river/);
    assert.equal(message.usage.output_tokens, 40);

    const types = [];
    for await (const event of await client.messages.create({ ...ASK, stream: true })) {
        types.push(event.type);
    }
    assert.equal(types[0], 'message_start');
    assert.equal(types.at(-1), 'message_stop');
    await quiet({ node, provider });
});

eachSdk('tools, as JSON and streamed', async ({ client }) => {
    const tools = [
        {
            name: 'depth',
            description: 'How deep the water is.',
            input_schema: {
                type: 'object',
                properties: { place: { type: 'string' }, metres: { type: 'integer' } },
                required: ['place', 'metres'],
            },
        },
    ];
    const ask = { ...ASK, tools, tool_choice: { type: 'any' } };
    const first = await client.messages.create(ask);
    assert.equal(first.stop_reason, 'tool_use');
    const use = first.content.find((block) => block.type === 'tool_use');
    assert.equal(use.name, 'depth');
    assert.equal(typeof use.input.place, 'string');

    const streamed = await client.messages.stream(ask).finalMessage();
    assert.deepEqual(streamed.content[0].input, use.input);

    const result = { type: 'tool_result', tool_use_id: use.id, content: '4 metres' };
    const answer = await client.messages.create({
        ...ASK,
        tools,
        messages: [
            ...ASK.messages,
            { role: 'assistant', content: first.content },
            { role: 'user', content: [result] },
        ],
    });
    assert.equal(answer.stop_reason, 'end_turn');
});

eachSdk(
    'abort ends the request upstream and frees the slot',
    async ({ sdk, client, provider, node }) => {
        await provider.fault('alpha', { hold: true }, { stall: true });
        const stream = client.messages.stream(ASK);
        const started = new Promise((resolve) => stream.once('streamEvent', resolve));
        const ended = assert.rejects(stream.done(), sdk.APIUserAbortError);
        await provider.activeReaches(1);
        await provider.step('alpha', 4);
        await started;
        stream.abort();
        await ended;
        await provider.reaches({ active: 0, closed: 1 });

        const controller = new AbortController();
        const waiting = client.messages.create(ASK, { signal: controller.signal });
        await provider.activeReaches(1);
        controller.abort();
        await assert.rejects(waiting, sdk.APIUserAbortError);
        await provider.reaches({ active: 0, closed: 2 });
        await quiet({ node, provider });
    },
);

const CLASSES = [
    [400, 'BadRequestError'],
    [404, 'NotFoundError'],
    [409, 'ConflictError'],
    [413, 'APIError'],
    [422, 'UnprocessableEntityError'],
    [500, 'InternalServerError'],
    [503, 'InternalServerError'],
    // What speaks of the subscription is said in the node's own words.
    [429, 'RateLimitError', 429],
    [529, 'InternalServerError', 529],
    [403, 'InternalServerError', 503],
    [401, 'InternalServerError', 503], // last: it cools the subscription
];

eachSdk("errors have the class and words they have at the provider's", async (setting, t) => {
    const { sdk, client, provider } = setting;
    for (const [status, name, own] of CLASSES) {
        await t.test(`${status}: ${name}`, async () => {
            await provider.fault('alpha', {
                status,
                headers: { 'request-id': `req_${status}`, 'retry-after': '0' },
            });
            await assert.rejects(client.messages.create(ASK), (error) => {
                assert.ok(error instanceof sdk[name], `${error.constructor.name}, not ${name}`);
                assert.equal(error.status, own ?? status);
                if (!own) assert.equal(error.requestID, `req_${status}`);
                assert.equal(error.error.type, 'error');
                return true;
            });
        });
    }
});

eachSdk('errors of the node itself are understood', { max: 1 }, async (setting) => {
    const { sdk, client, provider, node } = setting;
    const held = post(node.port, { script: { hold: true } });
    await provider.activeReaches(1);
    await assert.rejects(client.messages.create(ASK), (error) => {
        assert.ok(error instanceof sdk.InternalServerError);
        assert.equal(error.status, 529);
        assert.equal(error.error.error.type, 'overloaded_error');
        return true;
    });
    await provider.step('alpha', -1);
    await held;
});

eachSdk('a full pool is waited for, as retry-after says', { max: 1 }, async (setting) => {
    const { client, provider, node } = setting;
    const held = post(node.port, { script: { hold: true } });
    await provider.activeReaches(1);
    const from = node.mark();
    const waiting = client.withOptions({ maxRetries: 5 }).messages.create(ASK);
    await node.event('exchange finished', (line) => line.status === 529, { from });
    await provider.step('alpha', -1);
    await held;
    assert.match((await waiting).content[0].text, /How deep/);
});

eachSdk('a 429 is tried again after its retry-after', async ({ client, provider }) => {
    await provider.fault('alpha', { status: 429, headers: { 'retry-after': '1' } });
    const message = await client.withOptions({ maxRetries: 3 }).messages.create(ASK);
    assert.match(message.content[0].text, /How deep/);
    const [first, second] = await provider.log();
    assert.ok(second.started_ms - first.started_ms >= 950, 'it came too early');
});

eachSdk('a 429 of one subscription is not seen at all', { subscriptions: 2 }, async (setting) => {
    const { client, provider } = setting;
    await provider.fault('alpha', { status: 429, headers: { 'retry-after': '30' } });
    assert.equal((await client.messages.stream(ASK).finalMessage()).stop_reason, 'end_turn');
    assert.deepEqual(await provider.asked(), { alpha: 1, beta: 1 });
});

eachSdk('a stream that breaks off is an error', async ({ sdk, client, provider, node }) => {
    await provider.fault('alpha', { close_after_events: 5 });
    await assert.rejects(client.messages.stream(ASK).finalMessage(), sdk.APIError);
    await provider.fault('alpha', { error_event: { type: 'overloaded_error', after_events: 5 } });
    await assert.rejects(client.messages.stream(ASK).finalMessage(), (error) => {
        assert.match(JSON.stringify(error.error ?? error.message), /overloaded_error/);
        return error instanceof sdk.APIError;
    });
    await quiet({ node, provider });
});

eachSdk('count_tokens, models and files', async ({ sdk, client, provider }) => {
    const { max_tokens: _, ...ask } = ASK;
    assert.ok((await client.messages.countTokens(ask)).input_tokens > 0);
    const models = await client.models.list();
    assert.ok(models.data.length > 0);
    assert.equal((await client.models.retrieve(models.data[0].id)).id, models.data[0].id);
    const bytes = Buffer.alloc(300000, 'file ');
    const file = await client.beta.files.upload({ file: await sdk.toFile(bytes, 'river.txt') });
    assert.match(file.id, /^file_/);
    assert.ok((await provider.log()).at(-1).body_bytes > bytes.length);
});

eachSdk('many at once on kept connections', { max: 20 }, async ({ client, provider, node }) => {
    const messages = await Promise.all(
        Array.from({ length: 20 }, (_, i) => {
            const ask = { ...ASK, messages: [{ role: 'user', content: `question ${i}` }] };
            return i % 2 ? client.messages.create(ask) : client.messages.stream(ask).finalMessage();
        }),
    );
    messages.forEach((message, i) => {
        assert.equal(message.content[0].text, `question ${i}`);
    });
    await quiet({ node, provider });
});
