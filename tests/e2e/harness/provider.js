// provider.js - the fake provider: what it is told to do, and what it says happened upstream.
// Its control port and scripts are described in tests/provider/README.md. Credentials are named by
// the subscription they belong to (see key() in world.js).
import http from 'node:http';
import { createHash } from 'node:crypto';
import { Child } from './child.js';
import { PATHS } from './paths.js';
import { within } from './wait.js';

/** The credential of the subscription of that name, as World.subscriptions() makes them. */
export const key = (name) => (name === '*' ? '*' : `sk-ant-api03-${name}-0123456789abcdef`);

export class Provider {
    #agent = new http.Agent({ keepAlive: true, maxSockets: 16 });

    /**
     * Options as on its command line: {limit: 5} is `--limit 5`, {'no-log': true} is `--no-log`.
     * `tls`: {cert, key} files.
     */
    constructor({ tls, ...options } = {}) {
        this.options = tls ? { ...options, 'tls-port': 0, cert: tls.cert, key: tls.key } : options;
    }

    async start() {
        const args = Object.entries(this.options).flatMap(([k, v]) =>
            v === true ? [`--${k}`] : [`--${k}`, `${v}`],
        );
        const env = { PATH: process.env.PATH, ASAN_OPTIONS: process.env.ASAN_OPTIONS ?? '' };
        this.child = new Child('provider', PATHS.provider, args, { env });
        const isReady = (line) => line.startsWith('{');
        const ready = await this.child.out
            .find('the provider to be ready', isReady)
            .catch((error) => {
                throw new Error(`${error.message}\n${this.child.tail()}`);
            });
        const { port, tls_port: tlsPort, control_port: controlPort } = JSON.parse(ready);
        Object.assign(this, { port, tlsPort, controlPort });
        this.options = { ...this.options, port, 'control-port': controlPort };
        if (tlsPort > 0) this.options['tls-port'] = tlsPort;
        return this;
    }

    get url() {
        return `http://127.0.0.1:${this.port}`;
    }

    /** By name, since certificates are for names. */
    get tlsUrl() {
        return `https://localhost:${this.tlsPort}`;
    }

    async stop() {
        this.#agent.destroy();
        if (!this.child) return;
        const { code, signal } = await this.child.end();
        if (code !== 0 && signal !== 'SIGKILL') {
            throw new Error(`the provider ended with ${code ?? signal}: ${this.child.tail(20)}`);
        }
    }

    /** Gone at once; start() brings it back under the same ports. */
    async kill() {
        await this.child.end({ signal: 'SIGKILL' });
    }

    suspend() {
        this.child.signal('SIGSTOP');
    }

    resume() {
        this.child.signal('SIGCONT');
    }

    async #control(method, path, body) {
        const text = body === undefined ? '' : JSON.stringify(body);
        const reply = new Promise((resolve, reject) => {
            const request = http.request({
                agent: this.#agent,
                host: '127.0.0.1',
                port: this.controlPort,
                method,
                path,
                headers: { 'content-length': Buffer.byteLength(text) },
            });
            request.on('error', reject);
            request.on('response', (response) => {
                const pieces = [];
                response.on('data', (piece) => pieces.push(piece));
                response.on('error', reject);
                response.on('end', () => {
                    resolve({
                        status: response.statusCode,
                        text: Buffer.concat(pieces).toString(),
                    });
                });
            });
            request.end(text);
        });
        const { status, text: answer } = await within(
            30000,
            `the provider: ${method} ${path}`,
            reply,
        );
        if (status !== 200) throw new Error(`provider: ${method} ${path}: ${status} ${answer}`);
        return JSON.parse(answer);
    }

    /** Queues scripts for the next requests of a subscription's credential ('*': any). */
    async fault(name, ...faults) {
        await this.#control('POST', '/faults', { credential: key(name), faults });
    }

    /** At most `limit` requests of that credential at once, more get a 429; 0 for any number. */
    async limit(name, limit) {
        await this.#control('POST', '/limit', { credential: key(name), limit });
    }

    /** Lets held answers of a credential go on by `events`; -1: to their end. */
    async step(name, events = 1) {
        return (await this.#control('POST', '/step', { credential: key(name), events })).streams;
    }

    /** Forgets log, counts and scripts; with `connections` closes all of those too. */
    async reset({ connections = false } = {}) {
        await this.#control('POST', '/reset', { connections });
    }

    /** Every request received, oldest first. */
    async log({ name, since = 0, limit = 20000 } = {}) {
        const only = name ? `&credential=${key(name)}` : '';
        return (await this.#control('GET', `/log?since=${since}&limit=${limit}${only}`)).requests;
    }

    async stats() {
        return this.#control('GET', '/stats');
    }

    /** The counts of one subscription's credential: active, high_water, requests, ... */
    async credential(name) {
        const none = {
            active: 0,
            high_water: 0,
            requests: 0,
            complete: 0,
            closed: 0,
            faulted: 0,
            limited: 0,
        };
        return (await this.stats()).credentials[key(name)] ?? none;
    }

    /** How often each subscription was asked: {alpha: 2, beta: 1}. */
    async asked() {
        const counts = {};
        for (const { credential } of await this.log()) {
            const name = /^sk-ant-api03-(.*)-0123456789abcdef$/.exec(credential)?.[1] ?? credential;
            counts[name] = (counts[name] ?? 0) + 1;
        }
        return counts;
    }

    /** Waits for counts: {active: 0} exactly, {requests: 3} at least; of one credential or all. */
    async reaches(wanted, { name = '*', ms = 10000 } = {}) {
        const query = Object.entries(wanted)
            .map(([k, v]) => `${k}=${v}`)
            .join('&');
        const path = `/wait?${query}&credential=${key(name)}&timeout_ms=${ms}`;
        return this.#control('GET', path);
    }

    async activeReaches(count, options) {
        return this.reaches({ active: count }, options);
    }

    digest(bytes) {
        return createHash('sha256').update(bytes).digest('hex');
    }
}

/** The provider's clock (monotonic, in ms) as seen from here. */
export const clockMs = () => Number(process.hrtime.bigint() / 1000000n);
