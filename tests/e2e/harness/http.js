// http.js - well-behaved requests to a node, in one call each.
import { connect } from './wire.js';

/** The bytes of a request. Headers: [[name, value], ...] or an object; a body gets its length. */
export function request(method, target, { headers = {}, body, host = 'localhost' } = {}) {
    const list = Array.isArray(headers) ? headers : Object.entries(headers);
    const has = (name) => list.some(([known]) => known.toLowerCase() === name);
    const lines = [`${method} ${target} HTTP/1.1`];
    if (!has('host')) lines.push(`host: ${host}`);
    for (const [name, value] of list) lines.push(`${name}: ${value}`);
    const bytes = body === undefined ? Buffer.alloc(0) : Buffer.from(body);
    if (body !== undefined && !has('content-length') && !has('transfer-encoding')) {
        lines.push(`content-length: ${bytes.length}`);
    }
    return Buffer.concat([Buffer.from(`${lines.join('\r\n')}\r\n\r\n`, 'latin1'), bytes]);
}

/** A Messages request's body. */
export function messages({
    stream = false,
    model = 'claude-test-1',
    text = 'hello',
    ...more
} = {}) {
    return JSON.stringify({
        model,
        max_tokens: 64,
        ...(stream ? { stream: true } : {}),
        messages: [{ role: 'user', content: text }],
        ...more,
    });
}

const JSON_HEADERS = { 'content-type': 'application/json', 'anthropic-version': '2023-06-01' };

/** A POST /v1/messages as bytes. `script` goes to the provider and says how it is to answer. */
export function messagesRequest({
    headers = {},
    script,
    target = '/v1/messages',
    body,
    ...more
} = {}) {
    const all = { ...JSON_HEADERS, ...headers };
    if (script) all['x-provider-script'] = JSON.stringify(script);
    return request('POST', target, { headers: all, body: body ?? messages(more) });
}

async function exchange(port, bytes, { method, secure, ms = 15000 }) {
    const wire = await connect(port, { secure });
    try {
        await wire.send(bytes);
        return await wire.answer({ method, ms });
    } finally {
        wire.leave();
    }
}

/** A promise that may be awaited late, after a test has failed for another reason. */
function unhurried(promise) {
    promise.catch(() => {});
    return promise;
}

/** One request on a connection of its own; the whole answer. */
export function call(port, method, target, options = {}) {
    return unhurried(exchange(port, request(method, target, options), { ...options, method }));
}

/** One POST /v1/messages on a connection of its own; the whole answer. */
export function post(port, options = {}) {
    return unhurried(exchange(port, messagesRequest(options), options));
}

/** Opens a POST /v1/messages and reads the answer's head: {wire, answer, events}. */
export async function open(port, options = {}) {
    const { secure, ms = 15000 } = options;
    const wire = await connect(port, { secure });
    await wire.send(messagesRequest({ stream: true, ...options }));
    const answer = await wire.head({ ms });
    return { wire, answer, events: new EventReader(answer) };
}

/** Reads server-sent events off an answer, one by one, no further than asked. */
export class EventReader {
    #rest = '';

    constructor(answer) {
        this.answer = answer;
        this.count = 0;
    }

    /** The next event as {event, data, json, raw}; null when the answer is complete. */
    async next({ ms = 10000 } = {}) {
        for (;;) {
            const at = this.#rest.indexOf('\n\n');
            if (at >= 0) {
                const raw = this.#rest.slice(0, at + 2);
                this.#rest = this.#rest.slice(at + 2);
                this.count++;
                return parseEvent(raw);
            }
            const piece = await this.answer.piece({ ms });
            if (piece === null) {
                if (this.#rest !== '')
                    throw new Error(`half an event: ${JSON.stringify(this.#rest)}`);
                return null;
            }
            this.#rest += piece.toString('latin1');
        }
    }

    /** The rest of them. */
    async all(options = {}) {
        const list = [];
        for (let event; (event = await this.next(options));) list.push(event);
        return list;
    }
}

export function parseEvent(raw) {
    const field = (name) => new RegExp(`^${name}: ?(.*)$`, 'm').exec(raw)?.[1];
    const data = field('data');
    return {
        event: field('event'),
        data,
        raw,
        json: data === undefined ? undefined : JSON.parse(data),
    };
}
