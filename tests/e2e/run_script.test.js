// scripts/run, the first command of all: the real script in a folder of its own, in which nothing
// has to be installed and Weir is built already.
import assert from 'node:assert/strict';
import { chmod, copyFile, mkdir, symlink, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { environment, freePort, PATHS, test } from './harness/index.js';
import { Child } from './harness/child.js';
import { Terminal } from './harness/terminal.js';

/** {root, elsewhere, env}: a checkout, a folder outside of it. */
async function checkout(world) {
    const dir = world.place('person');
    const root = join(dir, 'weir');
    const elsewhere = join(dir, 'elsewhere');
    for (const folder of ['weir/scripts', 'weir/build/release', 'elsewhere'])
        await mkdir(join(dir, folder), { recursive: true });
    for (const name of ['run', 'common.sh'])
        await copyFile(join(PATHS.root, 'scripts', name), join(root, 'scripts', name));
    for (const name of ['dependencies', 'build']) {
        await writeFile(join(root, 'scripts', name), '#!/bin/sh\n');
        await chmod(join(root, 'scripts', name), 0o755);
    }
    await symlink(PATHS.weir, join(root, 'build/release/weir'));
    await symlink(PATHS.provider, join(root, 'build/release/weir-provider'));
    const env = { ...environment(dir), TMPDIR: dir };
    return { root, elsewhere, env };
}

/** Starts scripts/run, waits for that line of its error output, ends it. All that it said there. */
async function runUntil(pattern, { root, env }, { cwd, args = [], more = {} }) {
    const child = new Child('scripts/run', join(root, 'scripts/run'), args, { cwd, env: { ...env, ...more } });
    try {
        await child.err.find(`${pattern}`, (line) => pattern.test(line), { ms: 20000 });
    } finally {
        await child.end({ signal: 'SIGINT', ms: 20000 });
    }
    return child.err.items.join('\n');
}

const LISTENING = /"?listening"?/;
const line = (key) => `ANTHROPIC_API_KEYS=sk-ant-api03-${key}-0123456789abcdef\n`;

test('keys in the .env beside Weir are found wherever scripts/run is called from, and it says so', async (world) => {
    const place = await checkout(world);
    await writeFile(join(place.root, '.env'), line('root'), { mode: 0o600 });
    for (const cwd of [place.root, place.elsewhere]) {
        const args = ['--port', `${await freePort()}`];
        const said = await runUntil(LISTENING, place, { cwd, args });
        assert.match(said, new RegExp(`keys: ${place.root}/\\.env`));
        assert.match(said, new RegExp(`127\\.0\\.0\\.1:${args[1]}`));
    }
});

test('a .env where scripts/run is called goes before the one beside Weir, a variable before both', async (world) => {
    const place = await checkout(world);
    await writeFile(join(place.root, '.env'), line('root'), { mode: 0o600 });
    await writeFile(join(place.elsewhere, '.env'), line('near'), { mode: 0o600 });
    const cwd = place.elsewhere;
    const args = ['--port', '0'];
    assert.match(await runUntil(LISTENING, place, { cwd, args }), new RegExp(`keys: ${cwd}/\\.env`));
    const more = { ANTHROPIC_API_KEYS: 'sk-ant-api03-said-0123456789abcdef' };
    assert.match(await runUntil(LISTENING, place, { cwd, args, more }), /keys: ANTHROPIC_API_KEYS/);
});

test('without keys it says where it looked, and elsewhere than on a terminal the demo logs its requests', async (world) => {
    const place = await checkout(world);
    const args = ['--port', `${await freePort()}`];
    const said = await runUntil(/exchange finished/, place, { cwd: place.elsewhere, args });
    const places = [`${place.elsewhere}/.env`, `${place.root}/.env`, `${place.root}/config.json`, 'ANTHROPIC_API_KEYS'];
    const looked = /no keys in (.*): this will be the demo/.exec(said)[1].split(', ');
    for (const name of places) assert.ok(looked.includes(name), `${name}: ${looked}`);
});

test('on a terminal the demo is a table that lives, and leaves the screen as it was', async (world) => {
    const place = await checkout(world);
    const port = await freePort();
    const terminal = new Terminal(`exec ${place.root}/scripts/run --demo --port ${port}`, {
        cwd: place.elsewhere,
        env: place.env,
    });
    const requests = () => [...terminal.text.matchAll(/^(?:alpha|beta|gamma) .*?\/\d+ +(\d+)/gm)].map(([, n]) => Number(n));
    try {
        await terminal.shows(/^SUBSCRIPTION .*BUSY/m, { ms: 60000 });
        await terminal.becomes('requests to be counted', () => requests().length === 3 && Math.max(...requests()) >= 2);
        await terminal.shows(new RegExp(`ANTHROPIC_BASE_URL=http://127.0.0.1:${port} ANTHROPIC_AUTH_TOKEN=any claude`));
        assert.doesNotMatch(terminal.text, /exchange finished/);
        assert.equal(terminal.text.match(/^SUBSCRIPTION/gm).length, 1);
    } finally {
        terminal.process.stdin.write('\x03');
        await terminal.ended;
    }
    assert.doesNotMatch(terminal.text, /SUBSCRIPTION/);
});
