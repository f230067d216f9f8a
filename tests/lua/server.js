'use strict';
// A private redis-server for a test, and waiting for what it does.

const { spawn } = require('node:child_process');
const { once } = require('node:events');
const fs = require('node:fs');
const net = require('node:net');
const os = require('node:os');
const path = require('node:path');
const { setTimeout: sleep } = require('node:timers/promises');
const { createClient } = require('redis');

const SERVER = process.env.REDIS_SERVER || 'redis-server';

// `count` TCP ports that are free now. Somebody else may take one before we do.
async function freePorts(count) {
    const servers = [];
    for (let i = 0; i < count; i += 1) {
        servers.push(net.createServer().listen(0, '127.0.0.1'));
        await once(servers[i], 'listening');
    }
    const ports = servers.map((server) => String(server.address().port));
    for (const server of servers) {
        server.close();
        await once(server, 'close');
    }
    return ports;
}

// Poll until `condition` gives something true; fails after `deadlineMs`.
async function until(condition, what, deadlineMs = 10000, pauseMs = 10) {
    const deadline = Date.now() + deadlineMs;
    for (;;) {
        const value = await condition();
        if (value) {
            return value;
        }
        if (Date.now() > deadline) {
            throw new Error(`${what}: not within ${deadlineMs} ms`);
        }
        await sleep(pauseMs);
    }
}

// A redis-server of our own on a Unix socket; `args` are further options of its command line.
class Server {
    static async start(args = []) {
        const server = new Server();
        server.folder = fs.mkdtempSync(path.join(os.tmpdir(), 'weir-redis-'));
        server.socket = path.join(server.folder, 'redis.sock');
        server.args = args;
        server.clients = [];
        try {
            await server.run();
        } catch (error) {
            await server.stop();
            throw error;
        }
        return server;
    }

    async run() {
        this.process = spawn(
            SERVER,
            [
                '--port',
                '0',
                '--unixsocket',
                this.socket,
                '--dir',
                this.folder,
                '--save',
                '',
                '--logfile',
                path.join(this.folder, 'log'),
                ...this.args,
            ],
            { stdio: 'ignore' },
        );
        this.exited = once(this.process, 'exit');
        await until(() => this.hasEnded() || this.answers(), 'redis-server');
        if (this.hasEnded()) {
            const log = fs.readFileSync(path.join(this.folder, 'log'), 'utf8').trim();
            throw new Error(`redis-server did not start: ${log.split('\n').pop()}`);
        }
    }

    hasEnded() {
        return this.process.exitCode !== null || this.process.signalCode !== null;
    }

    async answers() {
        const link = net.connect(this.socket);
        try {
            await once(link, 'connect');
            return true;
        } catch {
            return false; // not there yet, or not listening yet
        } finally {
            link.destroy();
        }
    }

    async connect() {
        const client = createClient({
            RESP: 2, // as the node speaks
            socket: { path: this.socket, reconnectStrategy: (tries) => (tries > 200 ? false : 20) },
        });
        client.on('error', () => {}); // reconnects by itself; commands report what they met
        await client.connect();
        this.clients.push(client);
        return client;
    }

    // End this server, by its pid, and start it again on the same data.
    async restart(signal = 'SIGKILL') {
        this.process.kill(signal);
        await this.exited;
        fs.rmSync(this.socket, { force: true });
        await this.run();
    }

    async stop() {
        for (const client of this.clients) {
            client.destroy();
        }
        this.process.kill('SIGKILL');
        await this.exited;
        fs.rmSync(this.folder, { recursive: true, force: true });
    }
}

module.exports = { Server, freePorts, until };
