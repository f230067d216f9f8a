// stack.js - the containers of docker-compose.yml with the fake provider beside them, under a
// project name of their own; started, scaled, killed and taken away again.
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { dirname, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';
import { run } from '../e2e/harness/child.js';
import { call } from '../e2e/harness/http.js';
import { eventually, pause } from '../e2e/harness/wait.js';

const root = resolve(dirname(fileURLToPath(import.meta.url)), '../..');

// Version 2 is a plugin of docker, version 1 a program.
function composeCommand() {
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
        this.first = [
            ...first, '-p', this.project, '--project-directory', root,
            '-f', 'docker-compose.yml', '-f', 'tests/compose/docker-compose.override.yml',
        ];
        // Only what is named here: no keys of whoever runs the tests get into a container.
        this.env = {
            PATH: process.env.PATH,
            HOME: process.env.HOME,
            DOCKER_HOST: process.env.DOCKER_HOST ?? '',
            ANTHROPIC_API_KEYS: '',
            ANTHROPIC_API_KEY: '',
            WEIR_CONFIG_DIR: './tests/compose/config',
            WEIR_IMAGE: this.project,
            WEIR_PUBLISH: '127.0.0.1:', // and a port that is free
        };
        if (this.env.DOCKER_HOST === '') delete this.env.DOCKER_HOST;
    }

    async #run(program, args, ms) {
        const result = await run(program, args, { ms, cwd: root, env: this.env });
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

    /** Builds and starts all, and waits until as many nodes serve behind HAProxy. */
    async up(nodes) {
        await this.compose(['up', '-d', '--build', '--scale', `node=${nodes}`], { ms: 480000 });
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
        await this.docker('rmi', '--force', this.env.WEIR_IMAGE); // it has a name of its own
    }

    async #published(service, port) {
        const address = await this.compose(['port', service, `${port}`]);
        return Number(address.split(':').pop());
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
