'use strict';
// What README and docs/ tell a reader to type into redis-cli, word for word, and what a terminal then
// shows. Only where the server listens is added.
const assert = require('node:assert/strict');
const { execFile, spawn } = require('node:child_process');
const fs = require('node:fs');
const path = require('node:path');
const { after, before, beforeEach, test } = require('node:test');
const { startPool, until } = require('./helper');

const ROOT = path.join(__dirname, '..', '..');
const LOOK = 'docs/redis-keys.md';
const read = (file) => fs.readFileSync(path.join(ROOT, file), 'utf8');

let server, pool, env;
before(async () => {
    ({ server, pool } = await startPool());
    // A terminal's output where there is none; what a recipe says behind it holds.
    const words = `#!/bin/sh\nPATH=${process.env.PATH}\nexec redis-cli -s ${server.socket} --no-raw "$@"\n`;
    fs.writeFileSync(path.join(server.folder, 'redis-cli'), words, { mode: 0o755 });
    env = { PATH: `${server.folder}:${process.env.PATH}` };
});
beforeEach(() => pool.wipe());
after(() => server.stop());

function type(line) {
    return new Promise((resolve, reject) => {
        execFile('sh', ['-c', line], { env, timeout: 10000 }, (error, out, err) =>
            error ? reject(new Error(`${line}: ${error.message} ${out}`)) : resolve(out + err),
        );
    });
}

// What the documentation shows: one subscription has been limited a moment ago and still runs one.
async function documented() {
    const weir = pool.as({ node: 'weir-1' });
    await weir.join();
    await weir.declare({
        alpha: { max: 2, burst: 10, account: 'aaaaaaaaaaaa' },
        beta: { max: 1, account: 'bbbbbbbbbbbb' },
    });
    await weir.sweep({ version: '0.2', digest: '3c1f', active: 2 });
    const take = (seq) => weir.admit({ id: `${weir.holder}-${seq}`, model: 'm' });
    const limited = await take(1);
    await take(2);
    await take(3);
    const why = { status: 429, outcome: 'error', cooldownMs: 5000, reason: 'rate limited' };
    const windows = '5h:4200:4000000000 7d:8100:4000000000';
    await weir.settle(limited, { ...why, input: 10, output: 20, health: 'none', windows });
}

// Numbers are of another moment, and how wide a column is may follow from them.
const alike = (text) =>
    text
        .trim()
        .replaceAll(/[\da-f]{8}(?=[ "])(?<!0000000a)/g, 'HEX')
        .replaceAll(/\d+/g, 'N')
        .replaceAll(/ +/g, ' ')
        .split('\n')
        .map((line) => line.trim().replace(/^N\) /, ''))
        .sort();

const shown = [...read(LOOK).matchAll(/^ {4}\$ (redis-cli .*)\n((?: {4}.*\n|\n(?= {4}[^$]))+)/gm)].map(
    ([, line, text]) => ({ line, text }),
);

test(`what ${LOOK} shows is what redis-cli shows`, async () => {
    await documented();
    const looks = shown.filter(({ line }) => !line.includes('SSUBSCRIBE'));
    assert.equal(looks.length, 5);
    for (const { line, text } of looks) {
        assert.deepEqual(alike(await type(line)), alike(text), line);
    }
});

test(`what ${LOOK} says of the notice channel is heard`, async () => {
    await documented();
    const [{ line, text }] = shown.filter((one) => one.line.includes('SSUBSCRIBE'));
    const child = spawn('sh', ['-c', `exec ${line}`], { env });
    let out = '';
    child.stdout.on('data', (data) => (out += data));
    try {
        await until(() => out.includes('(integer) 1'), 'the subscription');
        await pool.as({ node: 'weir-1' }).declare({ alpha: { max: 3, account: 'aaaaaaaaaaaa' } });
        await until(() => out.includes('generation='), 'the message');
        assert.deepEqual(alike(out.split('(integer) 1\n')[1]), alike(text));
    } finally {
        child.kill();
    }
});

const FILES = ['README.md', 'docker-compose.yml', 'deploy/README.md', ...fs.readdirSync(path.join(ROOT, 'docs')).map((name) => `docs/${name}`)];

// All commands that stand in the text, without those that need something filled in.
function recipes() {
    const found = FILES.filter((file) => /\.(md|yml)$/.test(file)).flatMap((file) =>
        [...read(file).matchAll(/redis-cli (?:--?\S+ )*[A-Z]{2}[^`\n|#]*[^`\n|# ]/g)].map(([line]) => ({ file, line })),
    );
    return found.filter(({ line }) => !/SSUBSCRIBE|</.test(line));
}

test('every recipe for redis-cli in README and docs does what it says, in words a person can read', async () => {
    await documented();
    const lines = recipes();
    const names = lines.map(({ line }) => line.match(/weir_\w+|HGETALL|DEL|XREVRANGE|FUNCTION \w+/)?.[0]);
    for (const name of ['status', 'cool', 'open', 'enable', 'free', 'strategy', 'reload']) {
        assert.ok(names.includes(`weir_${name}`), `weir_${name} in ${names}`);
    }
    assert.ok(lines.length >= 16, `${lines.length}`);
    for (const { file, line } of lines) {
        const out = await type(line);
        assert.doesNotMatch(out, /\(error\)|ERR /, `${file}: ${line}`);
        // Bytes that are no letters, quotes in quotes, fractions and powers of a float.
        assert.doesNotMatch(out, /\\x|\\"|(?<![\w.-])\d+\.\d{3}|\de\+\d/, `${file}: ${line}`);
    }
});
