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
static inline uint64_t signal_bit(int number) { return (uint64_t)1 << (number - 1); }

// And its struct sigaction.
struct action {
    uintptr_t handler, flags, restorer;
    uint64_t mask;
};

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
    int terminal; // a descriptor; -1: none
    bool beside;  // that one is none of the program's
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

// terminal.c: the terminal, which is the program's while the stub is in its foreground.
// The descriptor that the program's is made of, and whether it is none of the program's; -1 where it is to have none. 'waits': the program can be stopped
// when it reads in the background.
int find_terminal(const int *inherited, size_t count, bool waits, bool *beside);
// Takes it, or lets it be, as it is now; asked for, if the program has read it in the background. Whether it is the program's.
bool look_at_terminal(bool ask);
// It may have been stopped, and another one has changed it meanwhile: then it is to be taken anew.
void miss_terminal(void);
// As it was before it was taken.
void leave_terminal(void);
// It is the parent's: this is a stand-in.
void forget_terminal(void);
extern bool terminal_wanted, terminal_ours; // the program reads it, or is to; it does so now
// 'soon': as it will be once it is looked at.
struct process_job job_now(bool soon);

// die.c: ends as wait(2) is to tell, or stops, with its group or alone. False where that was not to be: the group is an orphaned one.
_Noreturn void die(int status);
bool stop(int number, bool group, bool alone);
