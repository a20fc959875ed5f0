// What the parts of dpu-stub know of each other.
#pragma once
#define _GNU_SOURCE
#include "process.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

// The kernel's set of signals: glibc keeps two of them for itself.
static inline uint64_t signal_bit(int number)
{
    return (uint64_t)1 << (number - 1);
}

static inline uint64_t mask_signals(int how, uint64_t set)
{
    uint64_t before = 0;
    (void)syscall(SYS_rt_sigprocmask, how, &set, &before, sizeof set);
    return before;
}

static inline uint64_t pending_signals(void)
{
    uint64_t set = 0;
    (void)syscall(SYS_rt_sigpending, &set, sizeof set);
    return set;
}

// gather.c
struct wish {
    const char *program, *host; // host NULL: not told
    char **arguments;
    uint64_t blocked, ignored; // what the program is to have
};

// The records of PROCESS_START, allocated; NULL where there is no memory.
char *gather(const struct wish *wish, size_t *size);
uint64_t ignored_signals(void);
// Numbers of all descriptors, allocated, ascending; NULL where there is no memory, or no /proc.
int *list_descriptors(size_t *count);
// NULL where there is no memory, or no working directory.
const char *absolute(const char *path);

// standin.c: fork(2), with that number where it may be (0: any): the child's number, 0 in the child, -1 where there is none; 'error' says why it is
// another one. The child leads a session of its own, stands in /, and has no descriptor but one.
pid_t fork_as(int32_t number, int32_t *error, int kept);

// die.c: ends as wait(2) is to tell, or stops.
_Noreturn void die(int status);
void stop(int number);
