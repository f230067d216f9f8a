// wire.js - a client that can misbehave: one socket, bytes as they are written, answers piece by
// piece.
// Nothing is read ahead of whoever asks (beyond READ_AHEAD), so a test that does not read is a slow
// client, and backpressure reaches the node.
import net from 'node:net';
import tls from 'node:tls';
import { createHash } from 'node:crypto';
import { within } from './wait.js';

const READ_AHEAD = 64 * 1024;
const wires = new Set(); // open ones

/** Closes whatever a test left open. */
export function forgetWires() {
    for (const wire of wires) wire.leave();
}

/** Opens a connection to 127.0.0.1:port (`to`: another address, `from`: a certain own one). With `secure` (options of tls.connect) over TLS. */
export async function connect(port, { secure, ms = 5000, from, to = '127.0.0.1' } = {}) {
    const where = { port, host: to, localAddress: from };
    const plain = net.connect({ ...where, allowHalfOpen: true, noDelay: true });
    const socket = secure
        ? tls.connect({ socket: plain, servername: 'localhost', ...secure })
        : plain;
    const ready = new Promise((resolve, reject) => {
        socket.once(secure ? 'secureConnect' : 'connect', resolve);
        socket.once('error', reject);
    });
    await within(ms, `a connection to port ${port}`, ready);
    return new Wire(socket, plain);
}

export class Wire {
    #chunks = []; // received and not yet taken
    #held = 0; // bytes in them
    #wake = null; // of whoever waits for more

    /** `plain`: the TCP socket, where `socket` is a TLS one on it. */
    constructor(socket, plain = socket) {
        this.socket = socket;
        this.plain = plain;
        this.end = null; // 'end' or an error's code, once the other side is done
        this.received = 0;
        socket.on('data', (bytes) => this.#take(bytes));
        socket.on('end', () => this.#over('end'));
        socket.on('error', (error) => this.#over(error.code ?? error.message));
        socket.on('close', () => {
            wires.delete(this);
            this.#over('close');
        });
        wires.add(this);
    }

    #take(bytes) {
        this.received += bytes.length;
        this.#chunks.push(bytes);
        this.#held += bytes.length;
        if (this.#held > READ_AHEAD) this.socket.pause();
        this.#wake?.();
    }

    #over(how) {
        this.end ??= how;
        this.#wake?.();
    }

    /** Sends bytes or text; resolves when the kernel has taken them. */
    send(bytes) {
        return new Promise((resolve, reject) => {
            this.socket.write(bytes, (error) => (error ? reject(error) : resolve()));
        });
    }

    /** No more will be sent (FIN); the answer can still be read. */
    finish() {
        this.socket.end();
    }

    /** Leaves as a process does that ends: FIN, and whatever comes is answered with RST. */
    leave() {
        this.socket.destroy();
    }

    /** Leaves with a RST. */
    reset() {
        this.plain.resetAndDestroy();
        this.socket.destroy();
    }

    /** More bytes are there, or the other side is done. */
    async #more(ms, what) {
        while (this.#held === 0 && this.end === null) {
            this.socket.resume();
            const news = new Promise((resolve) => (this.#wake = resolve));
            await within(ms, () => `${what} (${this.received} bytes so far)`, news);
            this.#wake = null;
        }
        return this.#held > 0;
    }

    /** The next bytes as they came, at most `max`; null at the end. */
    async read({ ms = 10000, max = Infinity, what = 'bytes' } = {}) {
        if (this.#held === 0 && !(await this.#more(ms, what))) return null;
        return this.#cut(max);
    }

    /** The first bytes that are here, at most `max`. */
    #cut(max) {
        const first = this.#chunks[0];
        const piece = first.length > max ? first.subarray(0, max) : first;
        if (piece === first) this.#chunks.shift();
        else this.#chunks[0] = first.subarray(max);
        this.#held -= piece.length;
        return piece;
    }

    /** Puts bytes back in front. */
    #unread(bytes) {
        if (bytes.length === 0) return;
        this.#chunks.unshift(bytes);
        this.#held += bytes.length;
    }

    /** What readUntil() would give, if it is here already: thousands of chunks, no promises. */
    takeUntil(mark) {
        const at = this.#held === 0 ? -1 : this.#chunks[0].indexOf(mark);
        return at < 0 ? null : this.#cut(at + mark.length);
    }

    /** Bytes up to and including `mark`; throws if the other side is done before. */
    async readUntil(mark, { ms = 10000, what = 'a line' } = {}) {
        let seen = Buffer.alloc(0);
        for (;;) {
            const piece = await this.read({ ms, what });
            if (piece === null) throw new Closed(this.end, seen);
            const from = Math.max(0, seen.length - mark.length);
            seen = seen.length === 0 ? piece : Buffer.concat([seen, piece]);
            const at = seen.indexOf(mark, from);
            if (at >= 0) {
                this.#unread(seen.subarray(at + mark.length));
                return seen.subarray(0, at + mark.length);
            }
        }
    }

    /** All there is until the other side is done: {bytes, end}. */
    async readAll({ ms = 10000 } = {}) {
        const pieces = [];
        for (let piece; (piece = await this.read({ ms, what: 'the end of the connection' }));) {
            pieces.push(piece);
        }
        return { bytes: Buffer.concat(pieces), end: this.end };
    }

    /** Waits until the other side closes without saying more. Returns how. */
    async closed({ ms = 10000 } = {}) {
        const { bytes, end } = await this.readAll({ ms });
        if (bytes.length > 0) {
            throw new Error(`expected the connection's end, got ${JSON.stringify(bytes + '')}`);
        }
        return end;
    }

    /** The head of the next answer, and its body to be read piece by piece. */
    async head({ method = 'GET', ms = 10000 } = {}) {
        const bytes = await this.readUntil('\r\n\r\n', { ms, what: 'the head of an answer' });
        return new Answer(this, bytes, method);
    }

    /** A whole answer. */
    async answer(options = {}) {
        const answer = await this.head(options);
        await answer.readBody(options);
        return answer;
    }
}

/** The other side closed before the answer was whole. */
export class Closed extends Error {
    constructor(end, seen) {
        super(`the connection ended (${end}) after ${JSON.stringify(seen.toString('latin1'))}`);
        this.end = end;
        this.seen = seen;
    }
}

export class Answer {
    constructor(wire, head, method) {
        this.wire = wire;
        this.raw = head.toString('latin1');
        const lines = this.raw.slice(0, -4).split('\r\n');
        const start = /^HTTP\/1\.([01]) (\d{3}) (.*)$/.exec(lines.shift());
        if (!start) throw new Error(`not an answer: ${JSON.stringify(this.raw)}`);
        this.minor = Number(start[1]);
        this.status = Number(start[2]);
        this.headers = lines.map((line) => {
            const field = /^([!#$%&'*+.^_`|~0-9A-Za-z-]+):[ \t]*(.*?)[ \t]*$/.exec(line);
            if (!field) throw new Error(`not a header: ${JSON.stringify(line)}`);
            return [field[1].toLowerCase(), field[2]];
        });
        this.body = null; // Buffer, once read whole
        this.isComplete = false; // the framing says that nothing is missing
        this.#frame(method);
    }

    #frame(method) {
        const length = this.header('content-length');
        this.isChunked = this.header('transfer-encoding') === 'chunked';
        if (this.isChunked && length !== undefined) throw new Error('length with chunked');
        const bodiless = method === 'HEAD' || this.status < 200 || [204, 304].includes(this.status);
        if (bodiless) this.left = 0;
        else if (this.isChunked) this.left = null;
        else this.left = length === undefined ? Infinity : Number(length);
        if (this.left === 0) this.isComplete = true;
        this.mustClose = this.left === Infinity || this.header('connection') === 'close';
    }

    /** The first header of that name, or undefined. */
    header(name) {
        return this.headers.find(([known]) => known === name)?.[1];
    }

    /** The next piece of the body, or null at its end. Throws Closed if it is cut off. */
    async piece({ ms = 10000 } = {}) {
        if (this.isComplete) return null;
        if (this.isChunked && this.left === null) await this.#chunkLine(ms);
        if (this.isComplete) return null;
        const what = `more of the body of a ${this.status}`;
        const piece = await this.wire.read({ ms, max: this.left, what });
        if (piece === null) {
            if (this.left !== Infinity || this.wire.end !== 'end')
                throw new Closed(this.wire.end, '');
            this.isComplete = true;
            return null;
        }
        this.left -= piece.length;
        if (this.left === 0 && this.isChunked) await this.#chunkEnd(ms);
        else if (this.left === 0) this.isComplete = true;
        return piece;
    }

    async #chunkLine(ms) {
        const line =
            this.wire.takeUntil('\r\n') ??
            (await this.wire.readUntil('\r\n', { ms, what: 'a chunk' }));
        const size = /^([0-9a-fA-F]+)(;[^\r\n]*)?\r\n$/.exec(line.toString('latin1'));
        if (!size) throw new Error(`not a chunk: ${JSON.stringify(line + '')}`);
        this.left = parseInt(size[1], 16);
        if (this.left > 0) return;
        await this.#chunkEnd(ms);
        this.isComplete = true;
    }

    async #chunkEnd(ms) {
        const line =
            this.wire.takeUntil('\r\n') ??
            (await this.wire.readUntil('\r\n', { ms, what: "a chunk's end" }));
        if (line.length !== 2) throw new Error(`after a chunk: ${JSON.stringify(line + '')}`);
        this.left = null;
    }

    /** Reads the rest of the body into `body`. */
    async readBody(options = {}) {
        const pieces = [];
        for (let piece; (piece = await this.piece(options));) pieces.push(piece);
        this.body = Buffer.concat(pieces);
        return this.body;
    }

    /** Reads the rest, keeping only its length and SHA-256. */
    async digestBody(options = {}) {
        const hash = createHash('sha256');
        let bytes = 0;
        for (let piece; (piece = await this.piece(options));) {
            hash.update(piece);
            bytes += piece.length;
        }
        return { bytes, sha256: hash.digest('hex') };
    }

    get text() {
        return this.body.toString();
    }

    get json() {
        return JSON.parse(this.text);
    }
}
