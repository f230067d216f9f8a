// OpenClaw itself, with the config that docs/clients.md says: one turn of its agent, in an empty
// home, answered through a node. It is large, so it is here only where somebody asked for it.
import assert from 'node:assert/strict';
import { existsSync } from 'node:fs';
import { mkdir, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { key, run, test } from '../e2e/harness/index.js';
import { block } from '../e2e/harness/readme.js';
import { answering } from './answer.js';

const modules = join(import.meta.dirname, 'openclaw', 'node_modules');
const program = process.env.OPENCLAW_MJS ?? join(modules, 'openclaw', 'openclaw.mjs');
const node = join(dirname(dirname(program)), `node-linux-${process.arch}`, 'bin', 'node'); // npm brings both
const skip = existsSync(program) ? false : `no OpenClaw: ${program} (scripts/dependencies openclaw)`;
const ANSWER = 'Three metres and a half, at the old bridge.';

test('OpenClaw with the provider of docs/clients.md is answered, under the name it has there', { ms: 120000, skip }, async (world) => {
    const { provider, node: weir } = await world.setting();
    await provider.fault('alpha', answering(ANSWER));
    const home = world.place('home');
    await mkdir(join(home, '.openclaw'), { recursive: true });
    await writeFile(join(home, '.openclaw', 'openclaw.json'), block('docs/clients.md', '## OpenClaw', weir.port));
    const env = {
        HOME: home,
        PATH: `${dirname(node)}:${process.env.PATH}`,
        HTTPS_PROXY: 'http://127.0.0.1:9',
        NO_PROXY: '127.0.0.1',
    };
    const args = [program, 'agent', '--local', '--agent', 'main', '--message', 'How deep is the river?'];
    const { code, out, err } = await run(node, args, { cwd: home, env, ms: 100000 });
    assert.equal(code, 0, err);
    assert.match(out, new RegExp(ANSWER));
    const { client } = await weir.event('exchange finished');
    assert.equal(client, 'openclaw');
    const [{ credential }] = await provider.log();
    assert.equal(credential, key('alpha'));
});
