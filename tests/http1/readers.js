// The two readers that are compared: each takes a list of byte strings (what a client sends on one
// connection) and says for each which requests it read.
import { spawn } from 'node:child_process';
import http from 'node:http';
import net from 'node:net';

const DEADLINE_MS = 60_000;
const SILENCE_MS = 10_000;
const CONNECTIONS_AT_ONCE = 50;
const HEAD_BYTES_MAX = 1 << 20; // far beyond ours: Node's own limits are not what is compared

/** Ours: an array of {requests, end, status, why, rest}. */
export async function readWithOurs(program, cases) {
    const child = spawn(program, { stdio: ['pipe', 'pipe', 'inherit'], timeout: DEADLINE_MS });
    const frames = cases.flatMap((bytes) => {
        const size = Buffer.alloc(4);
        size.writeUInt32BE(bytes.length);
        return [size, Buffer.from(bytes, 'latin1')];
    });
    const exit = new Promise((resolve, reject) => {
        child.on('error', reject);
        child.on('close', (code) => resolve(code));
    });
    let output = '';
    child.stdout.setEncoding('latin1').on('data', (text) => (output += text));
    child.stdin.on('error', () => {}); // its exit code says more
    child.stdin.end(Buffer.concat(frames));
    const code = await exit;
    if (code !== 0) throw new Error(`${program} ended with ${code}`);
    return output.split('\n').filter(Boolean).map((line) => JSON.parse(line));
}

/** Node's strict parser behind a real server: an array of {requests, error}. */
export async function readWithNode(cases) {
    const bySocket = new WeakMap(); // server's side -> what was read there
    const byPort = new Map(); // client's port -> the same
    const onRequest = (request, response) => {
        const entry = {
            method: request.method,
            target: request.url,
            headers: pairs(request.rawHeaders),
            body: '',
            isComplete: false,
        };
        bySocket.get(request.socket).requests.push(entry);
        request.setEncoding('hex');
        request.on('data', (text) => (entry.body += text));
        request.on('error', () => {});
        request.on('end', () => {
            entry.isComplete = true;
            response.end();
        });
    };
    const server = http.createServer({ insecureHTTPParser: false, maxHeaderSize: HEAD_BYTES_MAX }, onRequest);
    server.httpAllowHalfOpen = true; // a client that has sent everything still gets its answers
    server.on('checkContinue', onRequest);
    server.on('connection', (socket) => {
        const result = { requests: [], error: null };
        bySocket.set(socket, result);
        byPort.set(socket.remotePort, result);
    });
    server.on('clientError', (error, socket) => {
        bySocket.get(socket).error ??= error.code;
        socket.destroy();
    });
    await new Promise((resolve) => server.listen(0, '127.0.0.1', resolve));
    const results = new Array(cases.length);
    let next = 0;
    const work = async () => {
        while (next < cases.length) {
            const index = next++;
            const port = await send(server.address().port, cases[index]);
            results[index] = byPort.get(port);
        }
    };
    await Promise.all(Array.from({ length: CONNECTIONS_AT_ONCE }, work));
    const closed = new Promise((resolve) => server.close(resolve));
    server.closeAllConnections();
    await closed;
    return results;
}

/** Sends everything, then waits until the other side has closed. The port it was sent from. */
function send(port, bytes) {
    return new Promise((resolve, reject) => {
        const socket = net.connect(port, '127.0.0.1');
        let from;
        socket.setTimeout(SILENCE_MS, () => socket.destroy()); // Node waits on after some it dislikes
        socket.on('connect', () => {
            from = socket.localPort;
            socket.end(Buffer.from(bytes, 'latin1'));
        });
        socket.on('error', (error) => {
            if (!['ECONNRESET', 'EPIPE'].includes(error.code)) reject(error);
        });
        socket.on('close', () => resolve(from));
        socket.resume();
    });
}

function pairs(flat) {
    const result = [];
    for (let i = 0; i < flat.length; i += 2) result.push([flat[i], flat[i + 1]]);
    return result;
}
