// Coming from another program: docs/switch.md does what it says, in order, and what people bring
// along from there is met with the word that is used here, on every way in.
import assert from 'node:assert/strict';
import { mkdir, readFile, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { call, environment, freePort, PATHS, run, test, weir } from './harness/index.js';

const page = await readFile(new URL('../../docs/switch.md', import.meta.url), 'utf8');

/** A heading's address, as GitHub makes it. */
const addressOf = (heading) =>
    heading
        .toLowerCase()
        .replace(/[^\p{L}\p{N} _-]/gu, '')
        .replaceAll(' ', '-');

// { title, section, blocks: [shell], left: [what stands in backquotes in the first column] }
const sections = page
    .split('\n## ')
    .slice(1)
    .map((text) => {
        const title = text.slice(0, text.indexOf('\n'));
        const rows = [...text.matchAll(/^\| ([^|]*) \|/gm)].map(([, cell]) => cell);
        return {
            title,
            section: addressOf(title),
            blocks: [...text.matchAll(/^```sh\n(.*?)^```$/gms)].map(([, block]) => block),
            left: rows.flatMap((row) => [...row.matchAll(/`([^`]+)`/g)].map(([, word]) => word)),
        };
    });
const programs = sections.slice(1);

/** How a message names the page: with a section that is there. */
const PAGE = new RegExp(
    `docs/switch\\.md#(${programs.map(({ section }) => section).join('|')})(?![a-z-])`,
);

for (const name of ['switch.md', 'macos.md'])
    test(`each link of docs/${name} leads to a page, and to a section of it`, async () => {
        const docs = new URL('../../docs/', import.meta.url);
        const text = await readFile(new URL(name, docs), 'utf8');
        const links = [...text.matchAll(/\]\(([^)#\s]*)(?:#([^)\s]+))?\)/g)];
        assert.ok(links.length > 0);
        for (const [whole, file, section] of links) {
            const there = await readFile(new URL(file || name, docs), 'utf8');
            const headings = [...there.matchAll(/^#+ (.*)$/gm)].map(([, one]) => addressOf(one));
            assert.ok(section === undefined || headings.includes(section), whole);
        }
    });

let folders = 0;
async function folder(world) {
    const dir = join(world.dir, `switch-${folders++}`);
    await mkdir(dir);
    return dir;
}

for (const { title, blocks } of sections)
    test(`docs/switch.md, ${title}: its commands do what it says, in order`, async (world) => {
        assert.ok(blocks.length > 0);
        const dir = await folder(world);
        const port = await freePort();
        const script = [
            'set -euo pipefail',
            "trap 'jobs -p | xargs -r kill' EXIT", // whatever happened
            ...blocks,
        ].join('\n');
        const result = await run('bash', ['-c', script.replaceAll('8080', String(port))], {
            cwd: dir,
            env: {
                ...environment(dir, { PORT: String(port), WEIR_STATE_DIR: join(dir, 'state') }),
                PATH: `${dirname(PATHS.weir)}:${process.env.PATH}`,
            },
            ms: 60000,
        });
        assert.equal(result.code, 0, result.err + result.out);
        assert.match(result.out, /capacity +\d+ slots on [12] subscription/);
    });

const OURS =
    /^(ANTHROPIC_API_KEYS?|SERVICE_ENDPOINTS|OPENAI_API_KEYS?|PORT|LOG_LEVEL|LB_STRATEGY|SESSION_DURATION_MS)$/;

/** What the first columns of all programs' tables have in backquotes. */
const listed = programs.flatMap(({ left }) => left);

test('each variable that docs/switch.md lists is told of by weir check', async (world) => {
    const dir = await folder(world);
    const names = listed.map((word) => word.split('=')[0]);
    const theirs = names.filter((name) => /^(ccflare)?[A-Z_]{4,}$/.test(name) && !OURS.test(name));
    assert.ok(theirs.length > 20, `${theirs.length} variables`);
    for (const name of theirs) {
        await writeFile(join(dir, '.env'), `ANTHROPIC_API_KEYS=k\n${name}=7\n`);
        const result = await weir(['check'], { dir });
        assert.equal(result.code, 0, result.err);
        assert.match(result.err, new RegExp(`${name} \\(\\.env:2\\): .*${PAGE.source}`), name);
    }
});

test('each option that docs/switch.md lists is told of on the command line', async (world) => {
    const dir = await folder(world);
    const options = listed.filter((word) => word.startsWith('-'));
    assert.ok(options.length > 15, `${options.length} options`);
    for (const word of options) {
        const result = await weir(word.split(' '), { dir });
        assert.equal(result.code, 2, word);
        assert.match(result.err, new RegExp(`is of .*; here it is .*${PAGE.source}`), word);
    }
});

test('a node says at its start which variables of another program it found', async (world) => {
    const provider = await world.provider();
    const redis = await world.redis();
    const config = { subscriptions: world.subscriptions(provider, 1), redis: { url: redis.url } };
    const node = await world.node({ config, env: { CLAUDEFLARE_CONFIG_PATH: '/x', HOST: 'x' } });
    const words = /CLAUDEFLARE_CONFIG_PATH \(environment\): .*docs\/switch\.md#claudeflare/;
    const isTold = (line) => words.test(JSON.stringify(line));
    assert.equal((await node.log.find('the variable', isTold)).level, 'warn');
    assert.ok(!node.lines.some((line) => /\bHOST \(/.test(line)));
});

const SERVED = ['/', '/health', '/status', '/admin/reload', '/api/config/strategy', '/api/strategies'];

test('each path that docs/switch.md lists is answered with its equal here, and goes nowhere', async (world) => {
    const { node, provider } = await world.setting();
    let count = 0;
    for (const word of listed) {
        const [, method = 'GET', path] = /^(?:([A-Z]+) )?(\/\S*)$/.exec(word) ?? [];
        if (path === undefined || SERVED.includes(path)) continue;
        const target = path.replace('{id}', 'x').replace('...', 'x');
        const answer = await call(node.port, method, target);
        assert.equal(answer.status, 404, word);
        const { type, error } = answer.json;
        assert.equal(type, 'error');
        assert.equal(error.type, 'not_found_error');
        assert.match(error.message, new RegExp(`is a path of .*; here it is .*${PAGE.source}`));
        count++;
    }
    assert.ok(count > 20, `${count} paths`);
    const other = await call(node.port, 'GET', '/api/other');
    assert.equal(other.status, 404);
    assert.match(other.json.error.message, /there is nothing at this path/);
    assert.deepEqual(await provider.log(), []);
});

test('a strategy by another program\'s name is answered with its name here', async (world) => {
    const { node } = await world.setting();
    for (const [theirs, ours] of [['least-used', 'headroom'], ['round_robin', 'round-robin']]) {
        const body = JSON.stringify({ strategy: theirs });
        const answer = await call(node.port, 'POST', '/api/config/strategy', { body });
        assert.equal(answer.status, 400, theirs);
        assert.match(answer.json.error.message, new RegExp(`"${theirs}" is a word of .*"${ours}".*${PAGE.source}`));
    }
});
