// What the parts of dpu-keeper know of each other.
#pragma once
#define _GNU_SOURCE
#include "keeper.h"

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

enum { CLIENTS_MAX = 64 };

// For the log, with the level of syslog(3).
enum { ERROR = 3, WARNING = 4, INFO = 6 };
void say(int level, const char *format, ...) __attribute__((format(printf, 2, 3)));

extern struct keeper_status status; // counts and bounds, as clients are told them

// held.c: what is held, sorted by name.
struct entry {
    int descriptor; // -1: none
    uint32_t kind;
    uint64_t size;
    uint32_t name_length, note_length;
    struct entry *next_running; // runs.c
    char bytes[]; // name, note
};

extern struct entry **entries;
extern size_t entry_count;

// The place of the first entry whose name is not before this one.
size_t find(const char *name, size_t length);
bool is_at(size_t place, const char *name, size_t length);
bool begins_at(size_t place, const char *prefix, size_t length);
void remove_entries(size_t place, size_t count);
// 0 or an errno; takes the descriptor only where it returns 0.
int add_entry(const char *name, size_t name_length, const char *note, size_t note_length, int descriptor, uint32_t kind, uint64_t size);
// A descriptor, or a negated errno.
int make_memory(const char *name, size_t length, uint64_t size);

// Closes a descriptor, on another thread: that may take long.
void let_go(int descriptor);
bool start_closer(void);
size_t count_closing(void);

// runs.c: processes.
extern const char *launcher;
extern struct rlimit files_before; // what the keeper had of RLIMIT_NOFILE at its start
int run_process(struct entry *entry, int socket, pid_t number, int cgroup); // 0 or an errno; the entry becomes the process's. -1: the keeper's own cgroup
void forget_process(const struct entry *entry);
void reap(void);

// requests.c: the clients.
void tell_watchers(const struct entry *entry);
extern int poller; // what the keeper waits with
void accept_client(int listener);
void serve_client(void *client);
