// strangers.js - peers that are no good provider: one that takes a connection and says nothing, one
// that does not even take it, one that says whatever a test wants.
import net from 'node:net';
import tls from 'node:tls';
import { Child } from './child.js';
import { Arrivals, eventually, within } from './wait.js';
import { Wire } from './wire.js';

/** Takes connections, reads, and never answers: as an https origin, a handshake without end. */
export class Mute {
    async start() {
        this.arrivals = new Arrivals();
        this.sockets = new Set();
        this.server = net.createServer((socket) => {
            this.sockets.add(socket);
            socket.on('error', () => {});
            socket.on('data', () => {});
            socket.closedByPeer = new Promise((resolve) => socket.on('close', resolve));
            this.arrivals.push(socket);
        });
        await new Promise((resolve) => this.server.listen(0, '127.0.0.1', resolve));
        this.port = this.server.address().port;
        return this;
    }

    /** The next connection, from number `from` on; its `closedByPeer` tells when it ends. */
    async connection(from = 0) {
        return this.arrivals.find('a connection', () => true, { from });
    }

    async stop() {
        for (const socket of this.sockets) socket.destroy();
        await new Promise((resolve) => this.server.close(resolve));
    }
}

/** A port at which a connect waits for ever: its queue is full and nobody takes from it. */
export class FullPort {
    #fillers = [];

    async start() {
        const script = `const s = require('net').createServer();
            const where = { port: 0, host: '127.0.0.1', backlog: 1 };
            s.listen(where, () => console.log(s.address().port));`;
        this.child = new Child('a full port', process.execPath, ['-e', script]);
        this.port = Number(await this.child.out.find('its port', (line) => /^\d+$/.test(line)));
        this.child.signal('SIGSTOP');
        await eventually('the queue to be full', () => this.#fill(), { every: 1 });
        return this;
    }

    async #fill() {
        const socket = net.connect(this.port, '127.0.0.1');
        socket.on('error', () => {});
        this.#fillers.push(socket);
        const connected = new Promise((resolve) => socket.once('connect', resolve));
        return within(300, 'a connection', connected).then(
            () => false,
            () => true,
        );
    }

    async stop() {
        for (const socket of this.#fillers) socket.destroy();
        if (this.child) await this.child.end({ signal: 'SIGKILL' });
    }
}

/**
 * A provider of which a test writes every byte: `play(wire)` has each connection, from its start.
 * With `tls` ({cert, key} as texts) it speaks TLS, unless `play.isSecure` says otherwise; below that
 * is `wire.plain`, the TCP socket.
 */
export class Puppet {
    constructor({ tls: identity, isSecure = identity !== undefined } = {}) {
        this.context = identity && tls.createSecureContext(identity);
        this.isSecure = isSecure;
        this.sockets = new Set();
        this.play = (wire) => wire.leave();
    }

    async start() {
        const options = { allowHalfOpen: true, noDelay: true };
        this.server = net.createServer(options, (socket) => this.#take(socket));
        await new Promise((resolve) => this.server.listen(0, '127.0.0.1', resolve));
        this.port = this.server.address().port;
        this.url = `http://127.0.0.1:${this.port}`;
        return this;
    }

    #take(socket) {
        this.sockets.add(socket);
        const { play } = this;
        if (!(play.isSecure ?? this.isSecure)) {
            this.#perform(play, socket, socket);
            return;
        }
        const options = { isServer: true, secureContext: this.context };
        const secure = new tls.TLSSocket(socket, options);
        secure.on('error', () => {}); // of a handshake
        secure.on('secure', () => this.#perform(play, secure, socket));
    }

    /** A play ends however its connection does: that it was left is no error of the test's. */
    #perform(play, socket, plain) {
        Promise.resolve(play(new Wire(socket, plain))).catch(() => {});
    }

    /** Closes all connections there are. */
    hangUp() {
        for (const socket of this.sockets) socket.destroy();
        this.sockets.clear();
    }

    async stop() {
        this.hangUp();
        await new Promise((resolve) => this.server.close(resolve));
    }
}
