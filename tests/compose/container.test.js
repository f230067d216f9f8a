// What the documentation says of containers, run word for word and in its order, in a copy of this
// folder: only where it listens, what things are called and the keys are exchanged.
import assert from 'node:assert/strict';
import { cpSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { chmod, readFile, rename, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { basename, join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { run } from '../e2e/harness/child.js';
import { call } from '../e2e/harness/http.js';
import { freePort } from '../e2e/harness/redis.js';
import { eventually } from '../e2e/harness/wait.js';
import { composeCommand, ROOT } from './stack.js';

const KEYS = ['one', 'two'].map((name) => `sk-ant-api03-compose-test-${name}`).join(',');

/** The lines of code below that heading, up to the next. */
function documented(file, heading) {
    const [, text] = readFileSync(join(ROOT, file), 'utf8').split(`\n${heading}\n`);
    const section = text.split(/^##/m)[0];
    const indented = section.split('\n').filter((line) => /^ {4}\S/.test(line));
    const fenced = /^```sh\n([^]*?)^```$/m.exec(section)?.[1].trim().split('\n') ?? [];
    return [...indented.map((line) => line.trim()), ...fenced];
}

describe('the lines of the documentation', () => {
    const place = mkdtempSync(join(tmpdir(), 'weir-docs-'));
    const name = basename(place).toLowerCase();
    let port;

    before(async () => {
        port = await freePort();
        const isWanted = (path) => !/\/(\.git|build|node_modules|\.env|config)$/.test(path.slice(ROOT.length)) ||
            /\/(node|deploy|unit|compose)\/config$/.test(path);
        cpSync(ROOT, place, { recursive: true, filter: isWanted });
        await sh('docker build -t weir .', 500000);
    }, { timeout: 520000 });
    after(async () => {
        await sh('docker-compose down -v -t 5; docker rm -fv weir; docker volume rm weir; docker rmi --no-prune weir', 120000)
            .catch(() => {});
        rmSync(place, { recursive: true, force: true });
    }, { timeout: 150000 });

    /** A line of the documentation: what it said, or an error with that. */
    async function sh(line, ms = 120000) {
        const here = line
            .replaceAll('127.0.0.1:8080', `127.0.0.1:${port}`)
            .replaceAll(/key1,key2|sk-ant-first,sk-ant-second/g, KEYS)
            .replaceAll('docker-compose ', `${composeCommand().join(' ')} `)
            .replaceAll('--name weir', `--name ${name}`)
            .replaceAll('-v weir:', `-v ${name}:`)
            .replace(/(docker (?:exec|rm -fv|volume rm|rmi --no-prune|build -t)) weir\b/g, `$1 ${name}`)
            .replace(/ weir$/, line.startsWith('docker run') ? ` ${name}` : ' weir');
        const env = {
            PATH: process.env.PATH, HOME: process.env.HOME, WEIR_IMAGE: name, COMPOSE_PROJECT_NAME: name,
            WEIR_PUBLISH: `127.0.0.1:${port}`,
            ...(process.env.DOCKER_HOST && { DOCKER_HOST: process.env.DOCKER_HOST }),
        };
        const result = await run('bash', ['-c', here], { cwd: place, env, ms });
        const text = `${result.out}\n${result.err}`.trim();
        if (result.code !== 0) throw new Error(`${here}: status ${result.code}\n${text.slice(-4000)}`);
        return text;
    }

    const ids = async () => (await sh('docker-compose ps -q node')).split('\n').sort();
    const nodes = (count) =>
        eventually(`${count} nodes`, async () => {
            const text = await status();
            return [...text.matchAll(/^\w{12}-8080 /gm)].length === count && text;
        }, { ms: 30000, every: 300 });
    const status = () => sh('docker exec $(docker-compose ps -q node | head -n 1) weir status');

    test('without keys: up fails, no node runs, and one message says what is missing', async () => {
        await assert.rejects(sh('docker-compose up -d'), /status 1|exit 2|exited with code 2/);
        const said = await sh('docker-compose logs check node');
        assert.equal(said.match(/neither ANTHROPIC_API_KEYS nor ANTHROPIC_API_KEY is set/g).length, 1, said);
        assert.equal(await sh(`docker ps -q --filter label=com.docker.compose.project=${name} --filter ancestor=${name}`), '');
    });

    test('nodes with Docker, as deploy/README.md has it', async () => {
        const all = documented('deploy/README.md', '## Nodes with Docker');
        assert.equal(all.length, 8, all.join('\n'));
        for (const line of all.slice(0, 2)) await sh(line, 300000);
        assert.match(await nodes(3), /pool main/);
        assert.match(await sh(all[2]), /key-[0-9a-f]{8} .* 0\/5/);
        const three = await ids();
        for (const line of all.slice(3, 5)) await sh(line); // more of them
        await nodes(5);
        const five = await ids();
        assert.ok(three.every((id) => five.includes(id)), 'the others stay');
        await sh('docker-compose up -d');
        assert.deepEqual(await ids(), five, 'nothing is forgotten');
        for (const line of all.slice(5)) await sh(line, 200000); // a config of one's own
        await nodes(5);
        assert.equal((await ids()).filter((id) => five.includes(id)).length, 0);
        await sh('docker-compose up -d');
    });

    test('an edit of the config by rename is seen by every node', async () => {
        const file = join(place, 'config', 'config.json');
        const config = JSON.parse(await readFile(file, 'utf8'));
        const subscriptions = [{ name: 'mine', api_key: KEYS.split(',')[0], max_concurrent: 7 }];
        await writeFile(`${file}.new`, JSON.stringify({ ...config, subscriptions }));
        await rename(`${file}.new`, file);
        await eventually('the new limit', async () =>
            /^mine .* 0\/7 /m.test(await status()), { ms: 15000, every: 300 });
        await eventually('all nodes to have read it', async () =>
            (await sh('docker-compose logs --no-color node')).match(/"event":"reloaded"/g)?.length >= 5,
        { ms: 15000, every: 300 });
        await sh("sed -i 's/:7/:8/' config/config.json");
        await eventually('the newer limit', async () =>
            /^mine .* 0\/8 /m.test(await status()), { ms: 15000, every: 300 });
    });

    test('who may not read the config is told as which user it is, and what to do', async () => {
        await chmod(join(place, 'config', 'config.json'), 0o600);
        await assert.rejects(sh('scripts/roll --no-build'),
            /Permission denied, expected a file that user 10001, .*chown 10001[^]*nothing was changed/);
        await nodes(5);
        await sh('docker-compose down -v -t 5');
        assert.equal(await sh(`docker ps -aq --filter label=com.docker.compose.project=${name}`), '');
    });

    for (const [file, heading] of [['docs/macos.md', '## In a container'], ['deploy/README.md', '## One container']]) {
        test(`one container alone serves, as ${file} has it`, async () => {
            const [build, start, look, ...more] = documented(file, heading);
            assert.deepEqual(more, []);
            await sh(build, 300000);
            await sh(start);
            const ready = async () => (await call(port, 'GET', '/ready')).status === 200;
            await eventually('the container to serve', ready, { ms: 20000 });
            assert.equal((await call(port, 'GET', '/health')).json.redis, 'up');
            assert.match(await sh(look), /seen by node \w{12}-8080\n[^]*key-[0-9a-f]{8} /);
            await sh('docker rm -fv weir');
        });
    }

    test('a file that is mounted alone and replaced outside: the reload says so', async () => {
        const config = { subscriptions: [{ name: 'mine', api_key: KEYS.split(',')[0] }] };
        const file = join(place, 'alone.json');
        await writeFile(file, JSON.stringify(config));
        await sh(`docker run -d --name weir -v ${file}:/alone.json:ro -e WEIR_CONFIG=/alone.json weir`);
        await eventually('it to serve', () => sh('docker exec weir weir health --ready'), { ms: 20000, every: 200 });
        assert.match(await sh('docker exec weir weir reload'), /has read \/alone\.json/);
        await sh(`sed -i s/mine/yours/ ${file}`);
        await assert.rejects(sh('docker exec weir weir reload'), /has been replaced .*mount its folder/);
    });
});
