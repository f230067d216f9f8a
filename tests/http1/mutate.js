// Thousands of requests that are almost right: ordinary ones, and parts of the corpus, each changed
// in a few places. The same seed gives the same cases.
import { corpus } from './corpus.js';

/** A generator of numbers below 1 that follow from the seed. */
export function random(seed) {
    let state = seed >>> 0;
    return () => {
        state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
        return (state >>> 8) / 2 ** 24;
    };
}

const SPECIAL = ['\0', '\t', '\n', '\v', '\f', '\r', '\r\n', ' ', '!', '"', '#', '+', ',', '-', '.', '/', '0', '1',
    '9', ':', ';', '=', '?', '@', 'A', 'F', 'a', 'f', 'x', '[', '\\', ']', '_', '\x7f', '\x80', '\x85', '\xa0', '\xff'];
const LINES = ['Content-Length: 0', 'Content-Length: 3', 'Content-Length: 2, 2', 'content-length:+2',
    'Transfer-Encoding: chunked', 'Transfer-Encoding: identity', 'Transfer-Encoding: x, chunked',
    'transfer-encoding : chunked', 'Transfer-Encoding:\x0bchunked', 'Host: weir.test', 'host: other.test',
    'Connection: close', 'Connection: keep-alive, upgrade', 'Upgrade: h2c', 'Upgrade: websocket',
    'Expect: 100-continue', 'Expect: x', 'Trailer: x', 'TE: trailers', 'Keep-Alive: timeout=5',
    'Proxy-Connection: keep-alive', ' folded', '\tfolded', ': no name', 'no colon', 'X-\xe4: b', 'X: \xe4', 'X:\ty\t'];
const WORDS = [['chunked', 'Chunked'], ['chunked', 'chunked, chunked'], ['chunked', ' chunked '],
    ['HTTP/1.1', 'HTTP/1.0'], ['HTTP/1.1', 'HTTP/1.2'], ['HTTP/1.1', 'HTTP/2.0'], ['HTTP/1.1', 'HTTP/0.9'],
    ['POST', 'GET'], ['POST', 'HEAD'], ['POST', 'OPTIONS'], ['POST', 'PUT'], ['POST', 'DELETE'], ['POST', 'get'],
    ['\r\n', '\n'], ['\r\n', '\r'], ['\r\n', '\r\r\n'], ['\r\n', ' \r\n'], ['\r\n', '\r\n '], ['\r\n', '\r\n\r\n'],
    [': ', ':'], [': ', ' : '], [': ', ':\t'], ['0\r\n\r\n', '0\r\nX-T: a\r\n\r\n'], ['0\r\n\r\n', '00;x=y\r\n\r\n'],
    ['/v1', 'http://weir.test/v1'], ['/v1', 'HTTP://WEIR.TEST:80/v1'], ['/v1', '//v1'], ['/v1', '*'], ['/v1', '?v1'],
    ['weir.test', 'weir.test:80'], ['weir.test', '[::1]'], ['weir.test', 'WEIR.test.']];

/** `count` cases. */
export function mutants(seed, count) {
    const next = random(seed);
    const pick = (list) => list[Math.floor(next() * list.length)];
    const seeds = corpus.filter(({ bytes }) => bytes.length < 2000);
    const ordinary = seeds.filter(({ expect }) => expect === 'accept');
    const change = (bytes) => {
        const at = Math.floor(next() * (bytes.length + 1));
        const [before, after] = [bytes.slice(0, at), bytes.slice(at)];
        switch (Math.floor(next() * 7)) {
        case 0: return before + pick(SPECIAL) + after;
        case 1: return before + pick(SPECIAL) + after.slice(1);
        case 2: return before + after.slice(1);
        case 3: return before + after.slice(Math.floor(next() * 8));
        case 4: return replaceOne(bytes, pick(WORDS), next());
        case 5: return replaceOne(bytes, ['\r\n', `\r\n${pick(LINES)}\r\n`], next());
        default: return before + pick(seeds).bytes.slice(0, Math.floor(next() * 40)) + after;
        }
    };
    return Array.from({ length: count }, () => {
        let { bytes } = next() < 0.8 ? pick(ordinary) : pick(seeds);
        for (let changes = 1 + Math.floor(next() * 3); changes > 0; changes--) bytes = change(bytes);
        return bytes;
    });
}

/** Replaces one of the places where `from` stands. */
function replaceOne(bytes, [from, to], chance) {
    const places = bytes.split(from);
    if (places.length < 2) return bytes;
    const chosen = 1 + Math.floor(chance * (places.length - 1));
    return places.slice(0, chosen).join(from) + to + places.slice(chosen).join(from);
}
