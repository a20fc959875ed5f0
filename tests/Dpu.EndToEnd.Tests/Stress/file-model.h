// What file-stress knows of its file, what it did last, and what it says where the file is another.
#pragma once
#include "stress.h"

enum { LAST = 40, LINE = 160 };

static char history[LAST][LINE];
static uint64_t seed, state, done;
static const char *path, *host_path;
static int settle = -1, part = -1;
static off_t start; // Of the part, in the file.
static unsigned char *model, *buffer;
static off_t size, limit = 256 << 10;
static int fd = -1, direct_fd = -1;
static bool stale; // The host wrote, and an open file may still show what was.

static void note(const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    char *line = history[done % LAST];
    int length = snprintf(line, LINE, "%lu: ", (unsigned long)done);
    vsnprintf(line + length, LINE - length, format, arguments);
    va_end(arguments);
}

__attribute__((noreturn, format(printf, 1, 2))) static void fail(const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    printf("FAILED: ");
    vprintf(format, arguments);
    va_end(arguments);
    printf("\nplay it again with --seed %lu --operations %lu --size %ld%s\nthe file: %s, %ld bytes\n", (unsigned long)seed, (unsigned long)done + 1,
        (long)limit, settle >= 0 ? " and --host-writes" : "", path, (long)size);
    for (uint64_t i = done >= LAST ? done - LAST + 1 : 0; i <= done; i++)
        printf("  %s\n", history[i % LAST]);
    fflush(stdout);
    _exit(1);
}

#define OK(call) ok(#call, (long)(call))
static long ok(const char *text, long result)
{
    if (result < 0)
        fail("%s: %s", text, strerrorname_np(errno));
    return result;
}

static void whole(const char *what, ssize_t result, size_t expected)
{
    if (result < 0)
        fail("%s: %s", what, strerrorname_np(errno));
    if ((size_t)result != expected)
        fail("%s: %zd bytes instead of %zu", what, result, expected);
}

// Where the first difference is, or -1.
static off_t difference(const unsigned char *seen, off_t at, size_t length)
{
    if (memcmp(seen, model + at, length) == 0)
        return -1;
    for (size_t i = 0; i < length; i++)
        if (seen[i] != model[at + i])
            return at + i;
    return -1;
}

static void compare(const char *how, const unsigned char *seen, off_t at, size_t length)
{
    off_t wrong = difference(seen, at, length);
    if (wrong < 0)
        return;
    size_t count = 0;
    for (size_t i = 0; i < length; i++)
        count += seen[i] != model[at + i];
    fail("%s of %zu at %#lx: the byte at %#lx (page %ld) is %02x instead of %02x; %zu bytes differ", how, length, (long)at, (long)wrong,
        (long)(wrong >> 12), seen[wrong - at], model[wrong], count);
}
