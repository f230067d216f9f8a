// expect.js - what several tests check in the same words.
import assert from 'node:assert/strict';

/** An error of the node's own, in Anthropic's shape. */
export function ownError(answer, status, type) {
    assert.equal(answer.status, status, answer.text);
    assert.match(answer.header('content-type') ?? '', /^application\/json/);
    const body = answer.json;
    assert.equal(body.type, 'error');
    assert.equal(body.error.type, type);
    assert.equal(typeof body.error.message, 'string');
    assert.notEqual(body.error.message, '');
    // What never became a request has no id.
    assert.equal(body.request_id, answer.header('x-weir-request-id'));
    return body;
}

/** No slot is taken any more, and no request runs at the provider. */
export async function quiet({ node, provider }) {
    await node.activeReaches(0);
    await provider.activeReaches(0);
}

/** The headers a request had at the provider, of one name, in order. */
export function headersOf(record, name) {
    return record.headers
        .filter(([known]) => known.toLowerCase() === name)
        .map(([, value]) => value);
}
