// A program of named cases, run as "semantics CASE DIRECTORY": each does file operations in the directory, which must be
// empty, and prints what it saw, line by line. The tests run it on a local directory and on a mount, and compare.
// Lines hold nothing that differs between two runs on one file system: no times, inode numbers or descriptors.
#pragma once
#define _GNU_SOURCE
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/fs.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <sys/xattr.h>
#include <unistd.h>

struct semantics_case {
    const char *name;
    void (*run)(void);
};

extern const struct semantics_case create_cases[], data_cases[], space_cases[], attribute_cases[], privilege_cases[], directory_cases[], identity_cases[];

// Calls it and prints the text with "ok" or the errno's name; its value.
#define TRY(expression) report(#expression, (long)(expression))

// Calls it and prints the text with its value or the errno's name; its value.
#define VALUE(expression) value(#expression, (long)(expression))

// As TRY, with a text of its own.
#define TRY_AS(text, expression) report(text, (long)(expression))

// Must not fail: what prepares a case.
#define MUST(expression) must(#expression, __FILE__, __LINE__, (long)(expression))

long report(const char *text, long result);
long value(const char *text, long result);
long must(const char *text, const char *file, int line, long result);

// A 64-bit FNV-1a hash of a file's bytes from a descriptor.
uint64_t hash_of(int fd);

// Prints mode, owner, links, size and content of a name of this directory.
void show(const char *name);

// Makes a file with a content; it must not exist.
void make(const char *name, const char *content, mode_t mode, uid_t uid, gid_t gid);

// Runs a function in a child with this identity and umask, and waits for it.
void as(uid_t uid, gid_t gid, int group_count, const gid_t *groups, mode_t mask, void (*run)(void));
#define GROUPS(...) (int)(sizeof((gid_t[]){__VA_ARGS__}) / sizeof(gid_t)), (gid_t[]){__VA_ARGS__}
#define NO_GROUPS 0, NULL
