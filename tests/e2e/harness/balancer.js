// balancer.js - HAProxy as deploy/haproxy/haproxy.cfg has it, before nodes whose ports are known: what is
// tested is that file, with its listening port and the way it finds nodes exchanged.
import net from 'node:net';
import { mkdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { Child } from './child.js';
import { PATHS } from './paths.js';
import { freePort } from './redis.js';
import { eventually } from './wait.js';
import { connect } from './wire.js';

/** Exchanges what must be there exactly so often. */
function exchanged(text, what, by, times = 1) {
    const parts = text.split(what);
    if (parts.length !== times + 1) throw new Error(`deploy/haproxy/haproxy.cfg: ${what} ${parts.length - 1} times`);
    return parts.join(by);
}

export class Balancer {
    /** `ports`: of nodes on 127.0.0.1. */
    constructor(dir, ports) {
        this.dir = dir;
        this.ports = ports;
        this.socket = join(dir, 'stats.sock');
    }

    async #config() {
        const servers = this.ports.map((port, i) => `server node-${i + 1} 127.0.0.1:${port}`);
        let text = await readFile(join(PATHS.root, 'deploy', 'haproxy', 'haproxy.cfg'), 'utf8');
        text = exchanged(text, /^resolvers docker\n(?: .*\n)+/m, '');
        text = exchanged(text, /^ +default-server init-addr none resolvers docker.*\n/m, '');
        text = exchanged(text, /^ +server first node:.*\n/m, '');
        text = exchanged(text, /server-template .*/, servers.join('\n    '), 2); // ready or not
        text = exchanged(text, /^global\n/m, `global\n    stats socket ${this.socket}\n`);
        text = exchanged(text, 'bind :9090', `bind 127.0.0.1:${this.scrapes}`);
        text = exchanged(text, 'set-dst-port int(8080)', 'set-dst-port url_port');
        return exchanged(text, 'bind :8080', `bind 127.0.0.1:${this.port}`);
    }

    async start() {
        await mkdir(this.dir, { recursive: true });
        this.port = await freePort();
        this.scrapes = await freePort();
        const file = join(this.dir, 'haproxy.cfg');
        await writeFile(file, await this.#config());
        const env = { PATH: process.env.PATH };
        this.child = new Child('haproxy', 'haproxy', ['-db', '-f', file], { env, cwd: this.dir });
        await eventually('HAProxy to listen', async () => {
            if (!this.child.isRunning) throw new Error(this.child.tail());
            (await connect(this.port)).leave();
            return true;
        });
        return this;
    }

    /** How often a node refused it and it went on to another, without its caller noticing. */
    async triedAgain() {
        const text = await new Promise((resolve, reject) => {
            const pieces = [];
            const socket = net.connect(this.socket, () => socket.end('show stat\n'));
            socket.on('data', (piece) => pieces.push(piece));
            socket.on('error', reject);
            socket.on('close', () => resolve(pieces.join('')));
        });
        const [head, ...rows] = text.trim().split('\n').map((line) => line.split(','));
        const all = rows.find(([pool, name]) => pool === 'nodes' && name === 'BACKEND');
        return Number(all[head.indexOf('wretr')]) + Number(all[head.indexOf('wredis')]);
    }

    async stop() {
        await this.child?.end({ signal: 'SIGKILL' });
    }
}
