// dpu-binder TARGET MINOR NAME: binds sockets in the directory NAME of the FUSE mount at TARGET, whose device is 0:MINOR, and connects
// sockets to those that are bound to files there, and opens FIFOs there.
// On descriptor 0 (SOCK_SEQPACKET) it receives a struct request, the file name (at most 100 bytes) last and as long as it is, and
// answers with 0 or a negated errno (4 bytes), and beside 0 with the socket. It begins with such an answer of its own, without a
// socket, when it has entered the directory, and ends with its peer.
//
// It binds through a copy of the mount that no path leads to (OPEN_TREE_CLONE), for a bound socket pins its mount. In a process of
// its own, since each step asks the runtime that serves the mount, and nothing ends such a wait: a runtime that is killed in the
// middle ends at once, and the next one answers. The names are relative: nothing on the way to the directory is looked up.
#define _GNU_SOURCE
#include "helper.h"

#include <errno.h>
#include <grp.h>
#include <linux/capability.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <sys/uio.h>
#include <sys/un.h>

#ifndef SYS_open_tree
#define SYS_open_tree 428
#endif
#ifndef OPEN_TREE_CLONE
#define OPEN_TREE_CLONE 1
#endif
#ifndef OPEN_TREE_CLOEXEC
#define OPEN_TREE_CLOEXEC O_CLOEXEC
#endif

enum { PEER = 0, LONGEST = 100 };
enum { BIND = 0, CONNECT = 1, OPEN = 2 };

static int enter(const char *target, unsigned long minor_number, const char *name)
{
    int tree = (int)syscall(SYS_open_tree, AT_FDCWD, target, OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC);
    if (tree < 0)
        return -errno;

    // A read-only mount's sockets are connected to as any. Before Linux 5.12 they are not.
    struct mount_attr writable = {.attr_clr = MOUNT_ATTR_RDONLY};
    (void)!mount_setattr(tree, "", AT_EMPTY_PATH, &writable, sizeof writable);

    // Another mount may cover this one. The device's number is known without asking who serves it.
    struct statx status;
    int result = statx(tree, "", AT_EMPTY_PATH | AT_STATX_DONT_SYNC, 0, &status) < 0 ? -errno
                 : status.stx_dev_major != 0 || status.stx_dev_minor != minor_number ? -EXDEV
                                                                                     : 0;
    if (result == 0) {
        int directory = openat(tree, name, O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
        result = directory < 0 || fchdir(directory) < 0 ? -errno : 0;
        if (directory >= 0)
            close(directory);
    }
    close(tree);
    return result;
}

static int answer(int32_t result, int passed)
{
    struct iovec bytes = {&result, sizeof result};
    union {
        struct cmsghdr head;
        char room[CMSG_SPACE(sizeof(int))];
    } control;
    struct msghdr message = {.msg_iov = &bytes, .msg_iovlen = 1};
    if (passed >= 0) {
        memset(&control, 0, sizeof control);
        message.msg_control = &control;
        message.msg_controllen = sizeof control;
        struct cmsghdr *head = CMSG_FIRSTHDR(&message);
        head->cmsg_level = SOL_SOCKET;
        head->cmsg_type = SCM_RIGHTS;
        head->cmsg_len = CMSG_LEN(sizeof(int));
        memcpy(CMSG_DATA(head), &passed, sizeof(int));
    }
    return sendmsg(PEER, &message, MSG_NOSIGNAL) < 0 ? -1 : 0;
}

static int bind_one(int type, const char *name, size_t length)
{
    int bound = socket(AF_UNIX, type | SOCK_CLOEXEC, 0);
    if (bound < 0)
        return -errno;
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    memcpy(address.sun_path, name, length);
    if (bind(bound, (struct sockaddr *)&address, (socklen_t)(offsetof(struct sockaddr_un, sun_path) + length + 1)) == 0)
        return bound;
    int error = -errno;
    close(bound);
    return error;
}

// The user and group that who accepts will see. What it may connect to has been decided elsewhere: the files' modes do not matter.
static int become(uid_t uid, gid_t gid)
{
    struct __user_cap_header_struct head = {.version = _LINUX_CAPABILITY_VERSION_3};
    struct __user_cap_data_struct data[_LINUX_CAPABILITY_U32S_3];
    if (setgroups(0, NULL) < 0 || setresgid((gid_t)-1, gid, (gid_t)-1) < 0 || setresuid((uid_t)-1, uid, (uid_t)-1) < 0)
        return -errno;
    if (uid == 0)
        return 0;

    // Permitted still, as only the effective user has changed.
    if (syscall(SYS_capget, &head, data) < 0)
        return -errno;
    data[0].effective |= data[0].permitted & (1u << CAP_DAC_OVERRIDE);
    return syscall(SYS_capset, &head, data) < 0 ? -errno : 0;
}

// Never waits for who accepts: EAGAIN where the queue is full.
static int connect_one(int type, uid_t uid, gid_t gid, const char *name, size_t length)
{
    int connected = socket(AF_UNIX, type | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (connected < 0)
        return -errno;
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    memcpy(address.sun_path, name, length);
    int error = become(uid, gid);
    if (error == 0 && connect(connected, (struct sockaddr *)&address, (socklen_t)(offsetof(struct sockaddr_un, sun_path) + length + 1)) < 0)
        error = -errno;
    if (setresuid((uid_t)-1, getuid(), (uid_t)-1) < 0 || setresgid((gid_t)-1, getgid(), (gid_t)-1) < 0)
        _exit(1);
    if (error == 0)
        return connected;
    close(connected);
    return error;
}

// A FIFO, whose other end programs of this machine have. Never waits: O_NONBLOCK is among the flags.
static int open_one(int flags, const char *name)
{
    int opened = open(name, flags | O_NONBLOCK | O_NOCTTY | O_NOFOLLOW | O_CLOEXEC);
    return opened < 0 ? -errno : opened;
}

int main(int count, char **arguments)
{
    if (count != 4)
        return 2;

    if (!stand_alone())
        return 1;
    (void)umask(0);

    int entered = enter(arguments[1], strtoul(arguments[2], NULL, 10), arguments[3]);
    if (answer(entered, -1) < 0 || entered < 0)
        return 1;

    struct {
        // SOCK_STREAM or another.
        int32_t type;
        // BIND, CONNECT or OPEN; of the last the type is how to open (open(2)).
        int32_t what;
        // As whom to connect.
        uint32_t uid;
        uint32_t gid;
        char name[LONGEST + 1];
    } request;
    for (;;) {
        memset(&request, 0, sizeof request);
        ssize_t length = recv(PEER, &request, sizeof request - 1, 0);
        if (length < 0 && errno == EINTR)
            continue;
        if (length <= (ssize_t)offsetof(__typeof__(request), name))
            return length == 0 ? 0 : 1;
        size_t named = strlen(request.name);
        int bound = request.what == CONNECT ? connect_one(request.type, request.uid, request.gid, request.name, named)
                    : request.what == OPEN  ? open_one(request.type, request.name)
                                            : bind_one(request.type, request.name, named);
        int sent = answer(bound < 0 ? bound : 0, bound);
        if (bound >= 0)
            close(bound);
        if (sent < 0)
            return 1;
    }
}
