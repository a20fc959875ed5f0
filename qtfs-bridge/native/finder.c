// dpu-finder: finds what a program names, for a runtime that must not look itself: the path may lie in a mount that the runtime serves, and a process that
// waits for its own answer there cannot be killed. This one can be left behind.
//
// It receives on descriptor 0 (SOCK_SEQPACKET) the program's number (4 bytes), whether a link at the path's end is followed (4 bytes) and the path, and answers
// with four numbers of 8 bytes: 0 or a negated errno, the device (major << 32 | minor), the FUSE node there or 0, and whether it is what a mount begins with.
// It ends with its peer.
#define _GNU_SOURCE
#include "helper.h"

#include <errno.h>
#include <limits.h>
#include <linux/openat2.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>

enum {
    PEER = 0,
    HEAD = 8,
    ATTEMPTS = 8,       // openat2(2): a rename anywhere makes a bounded walk with ".." give up
    NODE_HANDLE = 0x81, // FILEID_INO64_GEN of the kernel: two words of the node, one of its generation
    FOR_IDENTITY = 0x200, // AT_HANDLE_FID (Linux 6.5): a handle that only tells files apart
};

static const uint64_t BOUNDED = RESOLVE_BENEATH | RESOLVE_NO_MAGICLINKS;

static int walk(int from, const char *path, int flags, uint64_t resolve)
{
    struct open_how how = {.flags = (uint64_t)(O_PATH | O_CLOEXEC | flags), .resolve = resolve};
    for (int attempt = 0;; attempt++) {
        int found = (int)syscall(SYS_openat2, from, path, &how, sizeof how);
        if (found >= 0 || errno != EAGAIN || attempt == ATTEMPTS)
            return found < 0 ? -errno : found;
    }
}

// Where ".." or a link leads above the working directory: by the path of that.
static int walk_whole(uint32_t thread, int root, const char *path, int flags)
{
    char name[64], top[PATH_MAX], directory[PATH_MAX], whole[2 * PATH_MAX + 2];
    snprintf(name, sizeof name, "/proc/%u/root", thread);
    ssize_t size = readlink(name, top, sizeof top - 1);
    snprintf(name, sizeof name, "/proc/%u/cwd", thread);
    ssize_t length = readlink(name, directory, sizeof directory - 1);
    if (size <= 0 || length <= 0)
        return -ENOENT;
    top[size] = directory[length] = 0;
    size_t skip = size == 1 ? 0 : (size_t)size;
    if (directory[0] != '/' || strncmp(directory, top, skip) || (skip && directory[skip] && directory[skip] != '/'))
        return -EXDEV;
    snprintf(whole, sizeof whole, "%s/%s", directory + skip, path);
    return walk(root, whole, flags, RESOLVE_IN_ROOT);
}

// Of the magic links of /proc those that programs mount by: here they would be this process's own.
static int by_descriptor(uint32_t thread, const char *path, int flags)
{
    char name[64], *end;
    unsigned long number = strtoul(path, &end, 10);
    if (end == path || number > INT_MAX || (*end && *end != '/'))
        return -ENOENT;
    snprintf(name, sizeof name, "/proc/%u/fd/%lu", thread, number);
    int from = open(name, O_PATH | O_CLOEXEC);
    while (*end == '/')
        end++;
    if (from < 0 || !*end)
        return from < 0 ? -errno : from;
    int found = walk(from, end, flags, BOUNDED);
    close(from);
    return found;
}

static int find(uint32_t thread, bool follow, const char *path)
{
    static const char *const descriptors[] = {"/proc/self/fd/", "/proc/thread-self/fd/", "/dev/fd/"};
    int flags = follow ? 0 : O_NOFOLLOW;
    for (size_t i = 0; i < sizeof descriptors / sizeof *descriptors; i++)
        if (!strncmp(path, descriptors[i], strlen(descriptors[i])))
            return by_descriptor(thread, path + strlen(descriptors[i]), flags);
    char name[64];
    snprintf(name, sizeof name, "/proc/%u/root", thread);
    int root = open(name, O_PATH | O_CLOEXEC | O_DIRECTORY), found;
    if (root < 0)
        return -errno;
    if (path[0] == '/') {
        found = walk(root, path, flags, RESOLVE_IN_ROOT);
    } else {
        snprintf(name, sizeof name, "/proc/%u/cwd", thread);
        int directory = open(name, O_PATH | O_CLOEXEC | O_DIRECTORY);
        found = directory < 0 ? -errno : walk(directory, path, flags, BOUNDED);
        if (found == -EXDEV)
            found = walk_whole(thread, root, path, flags);
        if (directory >= 0)
            close(directory);
    }
    close(root);
    return found;
}

// The kernel's own number of a FUSE file, without a question to its host.
static uint64_t node_of(int file)
{
    struct {
        struct file_handle head;
        uint32_t words[MAX_HANDLE_SZ / sizeof(uint32_t)];
    } handle;
    int mount;
    for (int flags = 0; flags <= FOR_IDENTITY; flags += FOR_IDENTITY) {
        handle.head.handle_bytes = MAX_HANDLE_SZ;
        if (name_to_handle_at(file, "", &handle.head, &mount, AT_EMPTY_PATH | flags) == 0)
            return handle.head.handle_type == NODE_HANDLE && handle.head.handle_bytes == 3 * sizeof(uint32_t) ? (uint64_t)handle.words[0] << 32 | handle.words[1] : 0;
    }
    return 0;
}

static void answer(uint32_t thread, bool follow, const char *path, int64_t said[4])
{
    struct statx status;
    int file = find(thread, follow, path);
    said[0] = file < 0 ? file : 0;
    if (file < 0)
        return;
    if (statx(file, "", AT_EMPTY_PATH | AT_STATX_DONT_SYNC | AT_NO_AUTOMOUNT, STATX_TYPE, &status) < 0) {
        said[0] = -errno;
    } else {
        said[1] = (int64_t)status.stx_dev_major << 32 | status.stx_dev_minor;
        said[2] = (int64_t)node_of(file);
        said[3] = (status.stx_attributes & STATX_ATTR_MOUNT_ROOT) != 0;
    }
    close(file);
}

int main(void)
{
    char message[HEAD + PATH_MAX + 1];
    if (!stand_alone())
        return 1;
    for (;;) {
        ssize_t length = recv(PEER, message, sizeof message - 1, MSG_TRUNC);
        if (length < 0 && errno == EINTR)
            continue;
        if (length <= 0)
            return length == 0 ? 0 : 1;
        int64_t said[4] = {-EINVAL};
        uint32_t head[2];
        if (length > HEAD && (size_t)length < sizeof message) {
            memcpy(head, message, sizeof head);
            message[length] = 0;
            answer(head[0], head[1] != 0, message + HEAD, said);
        }
        if (send(PEER, said, sizeof said, MSG_NOSIGNAL) < 0)
            return 1;
    }
}
