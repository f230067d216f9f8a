#include "net/redis/value.h"

#include <hiredis/hiredis.h>

#include "check.h"

static const struct redis_value *made(redisReader **reader, const char *bytes)
{
    void *reply = NULL;
    *reader = redisReaderCreate();
    redisReaderFeed(*reader, bytes, strlen(bytes));
    CHECK(redisReaderGetReply(*reader, &reply) == REDIS_OK && reply != NULL);
    return redis_value_of(reply);
}

static void forget(redisReader *reader, const struct redis_value *value)
{
    redisReaderFree(reader);
    freeReplyObject((void *)(uintptr_t)value);
}

static void test_nothing(const struct redis_value *value)
{
    CHECK(redis_value_slice(value).len == 0 && redis_value_number(value) == 0);
    CHECK(redis_value_count(value) == 0 && redis_value_at(value, 0) == NULL);
    CHECK(!redis_value_is_error(value));
}

static void test_shapes(void)
{
    redisReader *reader;
    const struct redis_value *value;
    PROMISE("text is text, and a number where it spells one")
    {
        value = made(&reader, "$5\r\nhello\r\n");
        CHECK_TEXT(redis_value_slice(value), "hello");
        CHECK(redis_value_number(value) == 0 && redis_value_count(value) == 0);
        forget(reader, value);
        value = made(&reader, "$2\r\n42\r\n");
        CHECK(redis_value_number(value) == 42);
        forget(reader, value);
    }
    PROMISE("a number is a number, never text; below zero it is none")
    {
        value = made(&reader, ":7\r\n");
        CHECK(redis_value_number(value) == 7 && redis_value_slice(value).len == 0);
        forget(reader, value);
        value = made(&reader, ":-7\r\n");
        CHECK(redis_value_number(value) == 0);
        forget(reader, value);
    }
    PROMISE("a list is counted and read by position, and nothing lies behind its end")
    {
        value = made(&reader, "*2\r\n$1\r\na\r\n*1\r\n:3\r\n");
        CHECK(redis_value_count(value) == 2 && redis_value_slice(value).len == 0);
        CHECK_TEXT(redis_value_slice(redis_value_at(value, 0)), "a");
        CHECK(redis_value_number(redis_value_at(redis_value_at(value, 1), 0)) == 3);
        CHECK(redis_value_at(value, 2) == NULL);
        forget(reader, value);
    }
}

static void test_errors_and_nothing(void)
{
    redisReader *reader;
    const struct redis_value *value;
    PROMISE("an error is known as one, and its words are there")
    {
        value = made(&reader, "-ERR no\r\n");
        CHECK(redis_value_is_error(value));
        CHECK_TEXT(redis_value_slice(value), "ERR no");
        forget(reader, value);
    }
    PROMISE("nothing, and no value at all, give nothing")
    {
        value = made(&reader, "$-1\r\n");
        test_nothing(value);
        forget(reader, value);
        value = made(&reader, "*-1\r\n");
        test_nothing(value);
        forget(reader, value);
        test_nothing(NULL);
    }
}

int main(void)
{
    test_shapes();
    test_errors_and_nothing();
    return check_done();
}
