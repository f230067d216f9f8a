/* request.c - a head, and a body that is a file's or made up.
 *
 * A made-up body is what an agent sends in the middle of its work: instructions, tools, and turns
 * of a call of a tool and its result, with the newlines, quotes and foreign letters of code, for a
 * proxy that reads bodies pays for each of them. The last question fills up what is missing to the
 * wanted size; in a small body there is nothing but it. "stream" comes last, as clients put it. */
#include "request.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "fail.h"

static const char OPENING[] = "{\"model\":\"claude-sonnet-4-5\",\"max_tokens\":1024,";
static const char MESSAGES[] = "\"messages\":[";
static const char QUESTION[] = "{\"role\":\"user\",\"content\":\"";
static const char AFTER_QUESTION[] = "\"}],\"stream\":";

static const char INSTRUCTIONS[] =
    "\"system\":[{\"type\":\"text\",\"text\":\"You are a careful programmer's assistant.\\n\\n"
    "# How to work\\n- Read a file before you change it.\\n- Say what you did, briefly; "
    "\\\"done\\\" is not enough.\\n- Answer in the language of the question \xe2\x80\x94 "
    "S\xc3\xa4tze bleiben kurz.\\n\",\"cache_control\":{\"type\":\"ephemeral\"}}],"
    "\"tools\":[{\"name\":\"read_file\",\"description\":\"Reads a file of the project and returns "
    "its text.\",\"input_schema\":{\"type\":\"object\",\"properties\":{\"path\":{\"type\":"
    "\"string\",\"description\":\"Relative to the project's folder\"},\"first_line\":{\"type\":"
    "\"integer\",\"minimum\":1},\"lines\":{\"type\":\"integer\",\"default\":200}},\"required\":["
    "\"path\"]}}],";

/* A call of the tool and what it gave; %06zu makes its id. */
static const char TURN[] =
    "{\"role\":\"user\",\"content\":\"What does the parser do with a line that never ends?\"},"
    "{\"role\":\"assistant\",\"content\":[{\"type\":\"text\",\"text\":\"Let me look at "
    "`parser.c` first.\"},{\"type\":\"tool_use\",\"id\":\"toolu_%06zu\",\"name\":\"read_file\","
    "\"input\":{\"path\":\"src/parser.c\",\"first_line\":120,\"lines\":40}}]},"
    "{\"role\":\"user\",\"content\":[{\"type\":\"tool_result\",\"tool_use_id\":\"toolu_%06zu\","
    "\"content\":\"   120\\tstatic int parse_line(struct parser *parser, const char *at, size_t "
    "len)\\n   121\\t{\\n   122\\t    const char *end = memchr(at, '\\\\n', len);\\n   123\\t    "
    "if (end == NULL && parser->used + len > LINE_BYTES_MAX) {\\n   124\\t        "
    "fprintf(stderr, \\\"%%s:%%zu: line too long\\\\n\\\", parser->name, parser->line);\\n   "
    "125\\t  "
    "      return -1;\\n   126\\t    }\\n   127\\t    size_t take = end == NULL ? len : "
    "(size_t)(end - at) + 1;\\n   128\\t    memcpy(parser->text + parser->used, at, take);\\n   "
    "129\\t    parser->used += take;\\n   130\\t    /* a caf\xc3\xa9 is five bytes \xe2\x80\x94 "
    "count bytes, never letters */\\n   131\\t    return end == NULL ? 0 : "
    "finish_line(parser);\\n   132\\t}\\n\"}]},"
    "{\"role\":\"assistant\",\"content\":\"It refuses the line: `parse_line` returns -1 as soon as "
    "more than `LINE_BYTES_MAX` bytes have come without a newline, and says \\\"line too long\\\" "
    "with the file's name and the line's number.\"},";

static char *read_file(const char *path, size_t *len)
{
    FILE *file = fopen(path, "re");
    if (file == NULL || fseek(file, 0, SEEK_END) != 0)
        fail(path);
    long size = ftell(file);
    if (size < 0)
        fail(path);
    char *text = make((size_t)size + 1, 1);
    rewind(file);
    *len = fread(text, 1, (size_t)size, file);
    fclose(file);
    return text;
}

static FILE *open_text(char **text, size_t *len)
{
    FILE *out = open_memstream(text, len);
    if (out == NULL)
        fail("memory");
    return out;
}

static void close_text(FILE *out)
{
    if (fclose(out) != 0)
        fail("memory");
}

static size_t put_turn(FILE *out, size_t number)
{
    int len = fprintf(out, TURN, number, number);
    return len > 0 ? (size_t)len : 0;
}

static char *make_body(const struct options *options, size_t *len)
{
    const char *stream = options->is_stream ? "true}" : "false}";
    size_t question = sizeof(QUESTION) - 1 + sizeof(AFTER_QUESTION) - 1 + strlen(stream);
    size_t wanted = (size_t)options->body_bytes;
    size_t used = sizeof(OPENING) - 1 + sizeof(MESSAGES) - 1;
    char *body = NULL;
    FILE *out = open_text(&body, len);
    fputs(OPENING, out);
    bool has_turns = used + sizeof(INSTRUCTIONS) + sizeof(TURN) + question <= wanted;
    if (has_turns) {
        fputs(INSTRUCTIONS, out);
        used += sizeof(INSTRUCTIONS) - 1;
    }
    fputs(MESSAGES, out);
    for (size_t turn = 1; has_turns && used + sizeof(TURN) + question <= wanted; turn++)
        used += put_turn(out, turn);
    fputs(QUESTION, out);
    for (size_t i = 0; used + question + i < wanted; i++)
        fputc(i % 8 == 7 ? ' ' : 'w', out);
    fprintf(out, "%s%s", AFTER_QUESTION, stream);
    close_text(out);
    return body;
}

char *request_build(const struct options *options, size_t *len)
{
    bool has_body = strcmp(options->method, "GET") != 0 && strcmp(options->method, "HEAD") != 0;
    char *body = NULL, *request = NULL;
    size_t body_len = 0;
    if (has_body)
        body = options->body_file != NULL ? read_file(options->body_file, &body_len)
                                          : make_body(options, &body_len);
    FILE *out = open_text(&request, len);
    fprintf(out, "%s %s HTTP/1.1\r\nHost: %s:%d\r\n", options->method, options->path, options->host,
            options->port);
    for (size_t i = 0; i < options->header_count; i++)
        fprintf(out, "%s\r\n", options->headers[i]);
    if (!options->is_keep_alive)
        fputs("Connection: close\r\n", out);
    if (has_body)
        fprintf(out, "Content-Type: application/json\r\nContent-Length: %zu\r\n", body_len);
    fputs("\r\n", out);
    fwrite(body_len > 0 ? body : "", 1, body_len, out);
    close_text(out);
    free(body);
    return request;
}
