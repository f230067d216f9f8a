// redis.js - a real redis-server in a directory of its own, on a TCP port, to be stopped, killed,
// paused and started again under the same address.
import net from 'node:net';
import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import { createClient } from 'redis';
import { Child, run } from './child.js';
import { Arrivals, eventually } from './wait.js';

// Files that run side by side are told by scripts/test where each one's ports begin: a port that one
// leaves free on purpose must not become another's.
const { WEIR_TEST_PORTS: told } = process.env;
const [firstPort, portCount] = told ? [Number(told), 200] : [20000, 12000];

/** A port nobody has, below the range from which the kernel takes ports for connections. */
export async function freePort() {
    for (let tries = 0; tries < 100; tries++) {
        const port = firstPort + Math.floor(Math.random() * portCount);
        const isFree = await new Promise((resolve) => {
            const server = net.createServer();
            server.once('error', () => resolve(false));
            server.listen(port, '127.0.0.1', () => server.close(() => resolve(true)));
        });
        if (isFree) return port;
    }
    throw new Error('no free port');
}

export class Redis {
    #view = null;
    #monitors = new Set();

    /**
     * `keep`: an append-only file, so that a restart (even after a kill) finds everything again.
     * `port`: a certain one. `password`: for the default user.
     */
    constructor(dir, { keep = false, port = 0, password = '' } = {}) {
        this.dir = dir;
        this.keep = keep;
        this.port = port;
        this.password = password;
        this.child = null;
    }

    get url() {
        const user = this.password ? `:${this.password}@` : '';
        return `redis://${user}127.0.0.1:${this.port}`;
    }

    get socket() {
        return join(this.dir, 'redis.sock');
    }

    get pid() {
        return this.child.pid;
    }

    async start() {
        await mkdir(this.dir, { recursive: true });
        for (let tries = 0; tries < 5; tries++) {
            const isFirst = this.port === 0;
            if (isFirst) this.port = await freePort();
            if (await this.#launch()) return this;
            if (isFirst) this.port = 0; // someone was faster
        }
        throw new Error(
            `redis-server does not start: ${this.child.out.items.slice(-5).join('\n')}`,
        );
    }

    async #launch() {
        this.child = new Child('redis-server', 'redis-server', this.#arguments(), {
            cwd: this.dir,
            env: { PATH: process.env.PATH },
        });
        const ready = (line) => line.includes('Ready to accept connections');
        const out = this.child.out.find('redis-server to be ready', ready, { ms: 10000 });
        return out.then(
            () => true,
            (error) => {
                if (this.child.isRunning) throw error;
                return false;
            },
        );
    }

    #arguments() {
        const settings = {
            port: this.port,
            bind: '127.0.0.1',
            unixsocket: this.socket,
            requirepass: this.password,
            save: '',
            appendonly: this.keep ? 'yes' : 'no',
            appendfsync: 'always',
            'proto-max-bulk-len': '64mb',
        };
        return Object.entries(settings).flatMap(([name, value]) => [`--${name}`, `${value}`]);
    }

    /** Asks it to leave, as a service manager does. */
    async stop() {
        if (!this.child?.isRunning) return;
        this.#view?.destroy();
        this.#view = null;
        for (const socket of this.#monitors) socket.destroy();
        await this.child.end({ ms: 10000 });
    }

    async kill() {
        await this.child.end({ signal: 'SIGKILL' });
        this.#view?.destroy();
        this.#view = null;
    }

    /** Stands still: connections stay, nothing is answered. */
    suspend() {
        this.child.signal('SIGSTOP');
    }

    resume() {
        this.child.signal('SIGCONT');
    }

    /** A connection of the `redis` package, for looking at keys. */
    async view() {
        if (this.#view?.isOpen) return this.#view;
        this.#view = createClient({ url: this.url, socket: { reconnectStrategy: false } });
        this.#view.on('error', () => {}); // a killed server; the next command says so
        await this.#view.connect();
        return this.#view;
    }

    /**
     * From now on: every command this server takes, as MONITOR tells it, in the order in which it
     * took them. `calls(verb)`: how often a function was called so far; after `catchUp()`, all that
     * was taken before it is there.
     */
    async monitor() {
        const seen = new Arrivals();
        const socket = net.connect(this.port, '127.0.0.1');
        let rest = '';
        socket.setEncoding('latin1');
        socket.on('data', (text) => {
            const lines = (rest + text).split('\r\n');
            rest = lines.pop();
            for (const line of lines) seen.push(line);
        });
        socket.on('error', () => {}); // a killed server; what waits hears of the end
        socket.on('close', () => seen.close('the server has closed the connection'));
        this.#monitors.add(socket);
        if (this.password) socket.write(`AUTH ${this.password}\r\n`);
        socket.write('MONITOR\r\n');
        await seen.find('MONITOR to begin', (line) => line === '+OK');
        seen.calls = (verb) =>
            seen.items.filter((line) => line.includes(`"FCALL" "weir_${verb}_`)).length;
        let marks = 0;
        seen.catchUp = async () => {
            const mark = `mark ${++marks}`;
            await (await this.view()).echo(mark);
            await seen.find('the server to tell of it', (line) => line.endsWith(`"${mark}"`));
        };
        return seen;
    }

    /** What redis-cli prints, for what an operator sees. */
    async cli(...args) {
        const env = { PATH: process.env.PATH };
        const result = await run('redis-cli', ['-p', `${this.port}`, ...args], { env });
        if (result.code !== 0) throw new Error(`redis-cli ${args.join(' ')}: ${result.err}`);
        return result.out;
    }

    /**
     * What is booked under a field such as 'sub:alpha', 'client:bot' or 'model:x', as numbers.
     * Since the beginning, that is the totals plus what is not posted yet; or what a day's book has
     * (docs/redis-keys.md).
     */
    async booked(field, book = 'totals') {
        const view = await this.view();
        const [line, open, posting, roster] = await view
            .multi()
            .hGet(`weir:{main}:${book}`, field)
            .hGetAll('weir:{main}:open')
            .hGetAll('weir:{main}:posting')
            .hGetAll('weir:{main}:roster')
            .exec();
        const accounts = Object.entries(roster)
            .filter(([name]) => `sub:${name.replace(/~.*$/, '')}` === field)
            .map(([, settings]) => settings.match(/account=(\S+)/)[1]);
        const lines = [line ?? ''];
        if (book === 'totals') {
            const [kind, name] = [field.split(':', 1)[0], field.slice(field.indexOf(':') + 1)];
            const place = ['sub', 'client', 'model'].indexOf(kind);
            const isMeant = ([key]) =>
                place === 0
                    ? accounts.includes(key.split(' ')[0])
                    : key.split(' ')[place] === name;
            lines.push(
                ...[...Object.entries(open), ...Object.entries(posting)]
                    .filter(isMeant)
                    .map(([, value]) => value),
            );
        }
        const sum = {};
        for (const [, key, value] of lines.join(' ').matchAll(/(\w+)=(\d+)/g)) {
            sum[key] = (sum[key] ?? 0) + Number(value);
        }
        return sum;
    }

    /** What is held: the ids of all leases. */
    async leases() {
        const view = await this.view();
        const ids = [];
        for (const holder of await view.zRange('weir:{main}:holders', 0, -1)) {
            const seqs = await view.hKeys(`weir:{main}:held:${holder}`);
            ids.push(...seqs.filter((seq) => seq !== '@').map((seq) => `${holder}-${seq}`));
        }
        return ids;
    }

    /** Until when the holder of a lease need not renew it, in ms; null if nobody holds it. */
    async expiryOf(id) {
        const view = await this.view();
        const [, holder, seq] = id.match(/^(.*)-(\d+)$/);
        const isHeld = await view.hExists(`weir:{main}:held:${holder}`, seq);
        return isHeld ? view.zScore('weir:{main}:holders', holder) : null;
    }

    /** Waits until the numbers given are booked there; returns all of that line. */
    async bookedReaches(field, wanted, book) {
        let line;
        await eventually(`${field} to be booked with ${JSON.stringify(wanted)}`, async () => {
            line = await this.booked(field, book);
            const isWrong = Object.entries(wanted).some(([name, value]) => line[name] !== value);
            if (isWrong) throw new Error(JSON.stringify(line));
            return true;
        });
        return line;
    }

    /** Waits until a hash has the values given (numbers or text); returns the whole hash. */
    async hashReaches(key, wanted, options) {
        const view = await this.view();
        let hash;
        await eventually(
            `${key} to have ${JSON.stringify(wanted)}`,
            async () => {
                hash = await view.hGetAll(key);
                const wrong = Object.entries(wanted).filter(([k, v]) => `${hash[k]}` !== `${v}`);
                if (wrong.length > 0) throw new Error(JSON.stringify(hash));
                return true;
            },
            options,
        );
        return hash;
    }
}
