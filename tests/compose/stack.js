// stack.js - the containers of docker-compose.yml with the fake provider beside them, under a
// project name of their own; started, scaled, killed and taken away again.
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { dirname, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';
import { Child, run } from '../e2e/harness/child.js';
import { call } from '../e2e/harness/http.js';
import { eventually, pause } from '../e2e/harness/wait.js';

export const ROOT = resolve(dirname(fileURLToPath(import.meta.url)), '../..');

// What docker-compose.yml takes from the environment, or from .env.
const CHOICES = [...readFileSync(`${ROOT}/docker-compose.yml`, 'utf8').matchAll(/^    ([A-Z_]+):(?: #.*)?$|\$\{(\w+)/gm)]
    .map(([, passed, asked]) => passed ?? asked);

// Version 2 is a plugin of docker, version 1 a program.
export function composeCommand() {
    try {
        execFileSync('docker', ['compose', 'version'], { stdio: 'ignore' });
        return ['docker', 'compose'];
    } catch {
        return ['docker-compose'];
    }
}

export class Stack {
    constructor() {
        this.project = `weir-test-${process.pid}`;
        const [program, ...first] = composeCommand();
        this.program = program;
        this.first = first;
        // Only what is named here: nothing of whoever runs the tests gets into a container, nor of a
        // .env in this folder, before which the environment goes.
        this.env = {
            ...Object.fromEntries(CHOICES.map((name) => [name, ''])),
            PATH: process.env.PATH,
            HOME: process.env.HOME,
            DOCKER_HOST: process.env.DOCKER_HOST ?? '',
            WEIR_CONFIG_DIR: './tests/compose/config',
            WEIR_IMAGE: this.project,
            WEIR_PUBLISH: '127.0.0.1:', // and a port that is free
            // For scripts/roll, as an operator would have them.
            COMPOSE_PROJECT_NAME: this.project,
            COMPOSE_FILE: 'docker-compose.yml:tests/compose/docker-compose.override.yml',
        };
        if (this.env.DOCKER_HOST === '') delete this.env.DOCKER_HOST;
    }

    async #run(program, args, ms) {
        const result = await run(program, args, { ms, cwd: ROOT, env: this.env });
        if (result.code !== 0) {
            const words = `${result.out}\n${result.err}`.slice(-4000);
            throw new Error(`${[program, ...args].join(' ')}: status ${result.code}\n${words}`);
        }
        return result.out.trim();
    }

    compose(args, { ms = 60000 } = {}) {
        return this.#run(this.program, [...this.first, ...args], ms);
    }

    docker(...args) {
        return this.#run('docker', args, 60000);
    }

    /** Builds the image, in all but its age the one that docker-compose builds. */
    async buildOldImage() {
        const label = ['--label', 'age=old', '--target', 'node'];
        await this.#run('docker', ['build', ...label, '-t', this.env.WEIR_IMAGE, '.'], 480000);
    }

    /** An image of that name whose nodes end at once, though it takes the config. */
    async breakImage() {
        const [node] = await this.nodes();
        await this.docker('commit', '--change', 'CMD ["version"]', node, this.env.WEIR_IMAGE);
    }

    /** Starts all, building what is missing, and waits until as many nodes serve behind HAProxy. */
    async up(nodes) {
        await this.compose(['up', '-d', '--scale', `node=${nodes}`], { ms: 480000 });
        this.port = await this.#published('haproxy', 8080);
        this.controlPort = await this.#published('provider', 9001);
        await this.serving(nodes);
    }

    async scale(nodes) {
        await this.compose(['up', '-d', '--no-build', '--scale', `node=${nodes}`], { ms: 120000 });
    }

    /** Takes everything away, with its data and the images made for it. */
    async down() {
        const all = ['-v', '--rmi', 'local', '--remove-orphans', '-t', '5'];
        await this.compose(['down', ...all], { ms: 120000 });
        // It has a name of its own. What it was built from stays, as a cache for the next.
        const image = await this.docker('images', '-q', this.env.WEIR_IMAGE);
        if (image !== '') await this.docker('rmi', '--no-prune', this.env.WEIR_IMAGE);
    }

    async #published(service, port) {
        const address = await this.compose(['port', service, `${port}`]);
        return Number(address.split(':').pop());
    }

    /** `scripts/roll ARG...` under way, as an operator has called it. */
    roll(...args) {
        return new Child('scripts/roll', 'scripts/roll', args, { cwd: ROOT, env: this.env });
    }

    /** What docker inspect says of a container, by a template. */
    inspect(id, template) {
        return this.docker('inspect', '--format', template, id);
    }

    /** The containers of the nodes that run. */
    async nodes() {
        const label = (what, is) => ['--filter', `label=com.docker.compose.${what}=${is}`];
        const ours = [...label('project', this.project), ...label('service', 'node')];
        const ids = await this.docker('ps', '-q', ...ours);
        return ids.split('\n').filter((id) => id !== '');
    }

    /** What Docker still has under the project's name. */
    async remains() {
        const label = ['--filter', `label=com.docker.compose.project=${this.project}`];
        const lists = await Promise.all([
            this.docker('ps', '-aq', ...label),
            this.docker('volume', 'ls', '-q', ...label),
            this.docker('network', 'ls', '-q', ...label),
        ]);
        return lists.join('\n').split('\n').filter((id) => id !== '');
    }

    /** What redis-cli prints, as lines. */
    async redis(...args) {
        const text = await this.compose(['exec', '-T', 'redis', 'redis-cli', ...args]);
        return text.split('\n');
    }

    /** What the provider counted, by credential. */
    async credentials() {
        return (await call(this.controlPort, 'GET', '/stats')).json.credentials;
    }

    /** Leases that are held. */
    async leases() {
        const lines = await this.redis('FCALL_RO', 'weir_status', '1', 'weir:{main}');
        return Number(lines.join('\n').match(/(\d+) leases/)[1]);
    }

    /** Waits until for a while `count` nodes, and no others, have answered behind HAProxy. */
    async serving(count, { ms = 60000, while_ms = 2000 } = {}) {
        await eventually(`${count} nodes behind HAProxy`, async () => {
            const seen = new Set();
            // HAProxy takes the node with the fewest connections: each has its turn, in time.
            for (const end = Date.now() + while_ms; Date.now() < end; await pause(20)) {
                const answer = await call(this.port, 'GET', '/health', { ms: 2000 });
                assert.equal(answer.status, 200);
                seen.add(answer.json.node);
            }
            assert.equal(seen.size, count, [...seen].join(' '));
            return true;
        }, { ms });
    }
}
