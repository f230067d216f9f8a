// codings.js - codings of a body, an event at a time, as servers that stream do it; and their
// readers, which take what is there of one that was cut.
import zlib from 'node:zlib';

function zlibCoder(stream) {
    let out = [];
    stream.on('data', (piece) => out.push(piece));
    const taken = () => {
        const bytes = Buffer.concat(out);
        out = [];
        return bytes;
    };
    return {
        event: (text) =>
            new Promise((resolve) => {
                stream.write(text);
                stream.flush(() => resolve(taken()));
            }),
        end: () =>
            new Promise((resolve) => {
                stream.once('end', () => resolve(taken()));
                stream.end();
            }),
    };
}

// A frame of blocks that are stored as they are; RFC 8878, 3.1.1.
function zstdCoder() {
    const head = Buffer.from([0x28, 0xb5, 0x2f, 0xfd, 0x00, 0x50]);
    const block = (bytes, last) => {
        const sized = Buffer.alloc(3);
        sized.writeUIntLE((bytes.length << 3) | last, 0, 3);
        return Buffer.concat([sized, bytes]);
    };
    let isFirst = true;
    const withHead = (bytes) => {
        const all = isFirst ? Buffer.concat([head, bytes]) : bytes;
        isFirst = false;
        return all;
    };
    return {
        event: async (text) => withHead(block(Buffer.from(text), 0)),
        end: async () => withHead(block(Buffer.alloc(0), 1)),
    };
}

function readZstd(bytes) {
    const pieces = [];
    for (let at = 6, isLast = 0; !isLast && at + 3 <= bytes.length;) {
        const head = bytes.readUIntLE(at, 3);
        isLast = head & 1;
        pieces.push(bytes.subarray(at + 3, at + 3 + (head >> 3)));
        at += 3 + (head >> 3);
    }
    return Buffer.concat(pieces);
}

const loose = { finishFlush: zlib.constants.Z_SYNC_FLUSH };
const looseBrotli = { finishFlush: zlib.constants.BROTLI_OPERATION_FLUSH };

/** By what a test calls them: the content-encoding, a coder, and a reader of what may be cut. */
export const CODINGS = {
    identity: {
        coder: () => ({ event: async (text) => Buffer.from(text), end: async () => Buffer.alloc(0) }),
        read: (bytes) => bytes,
    },
    gzip: {
        header: 'gzip',
        coder: () => zlibCoder(zlib.createGzip()),
        read: (bytes) => zlib.gunzipSync(bytes, loose),
        readWhole: (bytes) => zlib.gunzipSync(bytes),
    },
    deflate: {
        header: 'deflate',
        coder: () => zlibCoder(zlib.createDeflate()),
        read: (bytes) => zlib.inflateSync(bytes, loose),
        readWhole: (bytes) => zlib.inflateSync(bytes),
    },
    'raw deflate': {
        header: 'deflate',
        coder: () => zlibCoder(zlib.createDeflateRaw()),
        read: (bytes) => zlib.inflateRawSync(bytes, loose),
        readWhole: (bytes) => zlib.inflateRawSync(bytes),
    },
    br: {
        header: 'br',
        coder: () => zlibCoder(zlib.createBrotliCompress()),
        read: (bytes) => zlib.brotliDecompressSync(bytes, looseBrotli),
    },
    zstd: { header: 'zstd', coder: zstdCoder, read: readZstd },
};
