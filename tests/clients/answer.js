// answer.js - what the provider is told to answer: words that a test then looks for.

/** An answer of these words to any request, streamed as the provider does. */
export function answering(text) {
    const usage = { input_tokens: 7, output_tokens: 9 };
    const message = { id: 'msg_1', type: 'message', role: 'assistant', model: 'claude-demo', content: [], usage };
    const events = [
        { type: 'message_start', message: { ...message, stop_reason: null, stop_sequence: null } },
        { type: 'content_block_start', index: 0, content_block: { type: 'text', text: '' } },
        { type: 'content_block_delta', index: 0, delta: { type: 'text_delta', text } },
        { type: 'content_block_stop', index: 0 },
        { type: 'message_delta', delta: { stop_reason: 'end_turn', stop_sequence: null }, usage },
        { type: 'message_stop' },
    ];
    const body = events.map((event) => `event: ${event.type}\ndata: ${JSON.stringify(event)}\n\n`).join('');
    return { times: -1, headers: { 'content-type': 'text/event-stream' }, body };
}
