// dpu-teller CONNECTION: writes what it receives on descriptor 0 (SOCK_SEQPACKET) to /dev/fuse on descriptor 3, and answers
// with what write(2) returned (8 bytes; a negated errno where it failed). It ends with its peer.
//
// A notification may wait in the kernel for a request under way in the same directory or on the same page, and no signal ends
// that. In a process of its own it holds up nothing: a runtime that is killed ends at once, and the next one answers the request.
// Where runtime and keeper have ended there is no next one, and the descriptor here would keep the mount alive: then FUSE
// connection CONNECTION is aborted, which ends whoever waits on it. Descriptor 4 is memory in which each runtime says who they are.
#define _GNU_SOURCE
#include "helper.h"

#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <stdint.h>
#include <stdio.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/socket.h>
#include <sys/syscall.h>

enum { PEER = 0, DEVICE = 3, MEMORY = 4, MEMORY_SIZE = 4096, LONGEST = 4096 };

// At the end of the memory.
struct guardians {
    _Atomic int32_t runtime;
    _Atomic int32_t keeper; // 0: none; -1: one that cannot be seen from here
};

static const char *connection;
static struct guardians *guardians;

// Through a mount of fusectl that has no place: it may be mounted nowhere.
static void abort_connection(void)
{
    char path[64];
    int context = fsopen("fusectl", FSOPEN_CLOEXEC);
    if (context < 0 || fsconfig(context, FSCONFIG_CMD_CREATE, NULL, NULL, 0) < 0)
        return;
    int root = fsmount(context, FSMOUNT_CLOEXEC, 0);
    snprintf(path, sizeof path, "%s/abort", connection);
    int control = root < 0 ? -1 : openat(root, path, O_WRONLY | O_CLOEXEC);
    if (control >= 0)
        (void)!write(control, "1", 1);
}

static void await_end(int process)
{
    while (process < 0)
        pause();
    struct pollfd end = {.fd = process > 0 ? (int)syscall(SYS_pidfd_open, process, 0) : -1, .events = POLLIN};
    if (end.fd < 0)
        return;
    while (poll(&end, 1, -1) < 0 && errno == EINTR)
        ;
    close(end.fd);
}

// Matters only while the main thread cannot end: else that ends the process when its peer has gone.
static void *watch(void *unused)
{
    int runtime;
    do {
        runtime = guardians->runtime;
        await_end(runtime);
        await_end(guardians->keeper);
    } while (guardians->runtime != runtime);
    abort_connection();
    return unused;
}

static int serve(void)
{
    char message[LONGEST];
    for (;;) {
        ssize_t length = recv(PEER, message, sizeof message, MSG_TRUNC);
        if (length < 0 && errno == EINTR)
            continue;
        if (length <= 0)
            return length == 0 ? 0 : 1;
        int64_t result = -EMSGSIZE;
        if ((size_t)length <= sizeof message) {
            result = write(DEVICE, message, (size_t)length);
            if (result < 0)
                result = -errno;
        }
        if (send(PEER, &result, sizeof result, MSG_NOSIGNAL) < 0)
            return 1;
    }
}

int main(int count, char **arguments)
{
    pthread_t watcher;
    if (count != 2)
        return 2;
    connection = arguments[1];
    char *memory = mmap(NULL, MEMORY_SIZE, PROT_READ, MAP_SHARED, MEMORY, 0);
    if (memory == MAP_FAILED)
        return 1;
    guardians = (struct guardians *)(memory + MEMORY_SIZE) - 1;

    if (!stand_alone())
        return 1;
    return pthread_create(&watcher, NULL, watch, NULL) == 0 ? serve() : 1;
}
