// What README and docs/clients.md tell a reader to type, word for word: only where the node listens
// is exchanged. Claude Code and OpenClaw have tests/clients.
import assert from 'node:assert/strict';
import { mkdir, writeFile } from 'node:fs/promises';
import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';
import { call, headersOf, key, run, test } from './harness/index.js';
import { block, recipe, typed } from './harness/readme.js';

const require = createRequire(import.meta.url);
const modules = join(dirname(require.resolve('redis/package.json')), '..');
const QUESTION = { model: 'claude-haiku-4-5', max_tokens: 99, messages: [{ role: 'user', content: 'Hello' }] };

/** Somebody at a shell, in a folder of their own that has these files. */
async function shell(world, line, files = {}) {
    const dir = world.place('somebody');
    await mkdir(dir);
    for (const [name, text] of Object.entries(files)) await writeFile(join(dir, name), text);
    const env = { PATH: `${dirname(process.execPath)}:${process.env.PATH}`, HOME: dir, NODE_PATH: modules };
    return run('sh', ['-c', line], { cwd: dir, env, ms: 30000 });
}

const SDKS = ['@anthropic-ai/sdk', 'anthropic-sdk-0']; // newest, and the line before it

const bot = (client, sdk = SDKS[0]) => `
    const { Anthropic } = require('${sdk}');
    const client = ${client};
    client.messages.create(${JSON.stringify(QUESTION)}).then(({ content }) => console.log(content[0].text));`;

/** It was answered by the provider, which was shown the subscription's key and no other. */
async function answered({ provider, node }, { code, out, err }, client) {
    assert.equal(code, 0, err);
    assert.match(out, /Hello/);
    const [record] = await provider.log();
    assert.equal(record.credential, key('alpha'));
    assert.doesNotMatch(JSON.stringify(record.headers), /"any"|Bearer/);
    const finished = await node.event('exchange finished');
    assert.equal(finished.client, client);
    return record;
}

test('a program with the SDK goes through Weir by two variables', async (world) => {
    for (const sdk of SDKS) {
        const setting = await world.setting();
        const line = recipe('Anthropic SDKs', setting.node.port);
        const said = await shell(world, line, { 'bot.js': bot('new Anthropic()', sdk) });
        const record = await answered(setting, said, '127.0.0.1');
        assert.match(headersOf(record, 'user-agent')[0], /^Anthropic\/JS/);
        assert.equal(line, block('docs/clients.md', "## Anthropic's SDKs", setting.node.port).trim());
    }
});

test('the SDK goes through Weir by what README says in code, and has a name by what docs/clients.md says', async (world) => {
    for (const [code, name] of [
        [(port) => recipe('the same in code', port), '127.0.0.1'],
        [(port) => block('docs/clients.md', 'A name, in code', port), 'grace'],
    ]) {
        const setting = await world.setting();
        const files = { 'bot.js': bot(code(setting.node.port)) };
        await answered(setting, await shell(world, 'node bot.js', files), name);
    }
});

test('the curl of docs/clients.md is answered', async (world) => {
    const setting = await world.setting();
    const line = block('docs/clients.md', '## curl', setting.node.port);
    await answered(setting, await shell(world, line), 'linus');
});

test(`a node's own Redis is where README says, and says how the pool is`, async (world) => {
    const provider = await world.provider();
    const node = await world.node({ config: { subscriptions: world.subscriptions(provider, 1) } });
    const look = typed('redis-cli --raw').replace('redis-cli', typed('redis-cli -s'));
    const env = { PATH: process.env.PATH, HOME: node.dir };
    const { code, out, err } = await run('sh', ['-c', look], { env, ms: 10000 });
    assert.equal(code, 0, err);
    assert.match(out, /^pool weir:\{main\} .*\n {2}0 of 5 slots in use, 5 free/);
});

test('why there is no recipe for Codex: what it asks is not known to the provider, and it hears so', async (world) => {
    const { node, provider } = await world.setting();
    const { status, json } = await call(node.port, 'POST', '/v1/responses', { body: '{}' });
    assert.equal(status, 404);
    assert.equal(json.error.type, 'not_found_error');
    assert.equal((await provider.log()).length, 1);
});
