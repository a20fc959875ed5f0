// dpu-view: the first process of a view, which has its mounts made, and holds its namespaces (view.h has its arguments). dpu-keeper executes it, so that
// neither a runtime's end nor an upgrade ends a view. Of two processes the outer one is the keeper's child and waits; the inner one is number 1 of the
// view: it reaps orphans, and lets numbers of processes be high, so that they are hardly ever a host's.
//
// All sources are taken before anything is mounted, and no path is walked through a symbolic link unless the runtime says so: a host names what lies
// in its trees.
#define _GNU_SOURCE
#include "view.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <mntent.h>
#include <net/if.h>
#include <sched.h>
#include <signal.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

enum { RUNTIME = 0, NAMESPACE = 3, FIXED = 6, EACH = 4, FORKS_A_SECOND = 20000 };

static char **steps;
static int step_count, *sources;

static void tell(const char *text)
{
    (void)send(RUNTIME, text, strlen(text), MSG_NOSIGNAL);
}

static _Noreturn void fail(const char *format, ...) __attribute__((format(printf, 1, 2)));
static _Noreturn void fail(const char *format, ...)
{
    char text[VIEW_TEXT_MAX] = "failed: ";
    va_list values;
    va_start(values, format);
    (void)vsnprintf(text + strlen(text), sizeof text - strlen(text) - 1, format, values);
    va_end(values);
    strcat(text, "\n");
    tell(text);
    _exit(1);
}

static const char *kind_of(int step) { return steps[step * EACH]; }
static const char *target_of(int step) { return steps[step * EACH + 1]; }
static const char *source_of(int step) { return steps[step * EACH + 2]; }
static bool has_flag(int step, char flag) { return strchr(steps[step * EACH + 3], flag) != NULL; }
static bool is(int step, const char *kind) { return strcmp(kind_of(step), kind) == 0; }

static int open_path(int from, const char *path, bool links)
{
    struct open_how how = {.flags = O_PATH | O_CLOEXEC, .resolve = RESOLVE_NO_MAGICLINKS | (links ? 0 : RESOLVE_NO_SYMLINKS)};
    return (int)syscall(SYS_openat2, from, path, &how, sizeof how);
}

static const char *why(int error)
{
    return error == ELOOP ? "a symbolic link is on the way; name the path that it leads to" : strerror(error);
}

// A target, made where that is allowed: only in what is the view's own.
static int open_target(int step)
{
    const char *target = target_of(step);
    int found = open_path(AT_FDCWD, target, false);
    if (found >= 0 || errno != ENOENT || !has_flag(step, 'm'))
        return found;
    char path[4096];
    size_t length = strlen(target);
    if (length >= sizeof path) {
        errno = ENAMETOOLONG;
        return -1;
    }
    memcpy(path, target, length + 1);
    int at = open_path(AT_FDCWD, "/", false);
    for (char *part = strtok(path, "/"), *next; part && at >= 0; part = next) {
        next = strtok(NULL, "/");
        int below = open_path(at, part, false);
        if (below < 0 && errno == ENOENT) {
            int made = !next && has_flag(step, 'f') ? mknodat(at, part, S_IFREG | 0600, 0) : mkdirat(at, part, 0755);
            below = made < 0 && errno != EEXIST ? -1 : open_path(at, part, false);
        }
        int error = errno;
        close(at);
        errno = error;
        at = below;
    }
    return at;
}

static void set_attributes(int step, int mount)
{
    struct mount_attr attributes = {
        .attr_set = (has_flag(step, 'r') ? MOUNT_ATTR_RDONLY : 0) | (has_flag(step, 'd') ? 0 : MOUNT_ATTR_NODEV) | (has_flag(step, 's') ? 0 : MOUNT_ATTR_NOSUID),
        // What is mounted below the source later appears here too; what is mounted here never there.
        .propagation = MS_SLAVE,
    };
    if (mount_setattr(mount, "", AT_EMPTY_PATH | (has_flag(step, 'R') ? AT_RECURSIVE : 0), &attributes, sizeof attributes) < 0)
        fail("'%s' cannot have its mount flags: %s", target_of(step), strerror(errno));
}

static int make_file_system(const char *type, const char *options, const char *target)
{
    char copy[256];
    int context = fsopen(type, FSOPEN_CLOEXEC);
    (void)snprintf(copy, sizeof copy, "%s", options);
    for (char *option = strtok(copy, ","); option && context >= 0; option = strtok(NULL, ",")) {
        char *value = strchr(option, '=');
        if (value)
            *value++ = 0;
        if (fsconfig(context, value ? FSCONFIG_SET_STRING : FSCONFIG_SET_FLAG, option, value, 0) < 0)
            fail("%s for '%s' takes no option '%s=%s': %s", type, target, option, value ? value : "", strerror(errno));
    }
    if (context < 0 || fsconfig(context, FSCONFIG_CMD_CREATE, NULL, NULL, 0) < 0)
        fail("no %s can be made for '%s': %s", type, target, strerror(errno));
    int mount = fsmount(context, FSMOUNT_CLOEXEC, MOUNT_ATTR_NODEV | MOUNT_ATTR_NOSUID);
    if (mount < 0)
        fail("no %s can be mounted for '%s': %s", type, target, strerror(errno));
    close(context);
    return mount;
}

static void put(int step, int mount)
{
    int target = open_target(step);
    if (target < 0 && errno == ENOENT && has_flag(step, 'o'))
        return;
    if (target < 0)
        fail("there is no '%s' to mount on: %s%s", target_of(step), why(errno), errno == ENOENT ? "; make it on this DPU, or a private part around it" : "");
    if (move_mount(mount, "", target, "", MOVE_MOUNT_F_EMPTY_PATH | MOVE_MOUNT_T_EMPTY_PATH) < 0)
        fail("nothing can be mounted on '%s': %s%s", target_of(step), strerror(errno), errno == ENOTDIR || errno == EINVAL ? "; one of it and its source is a file, the other a directory" : "");
    close(target);
}

static int take_source(int step)
{
    int found = open_path(AT_FDCWD, source_of(step), has_flag(step, 'l'));
    if (found < 0)
        fail("there is no '%s' for '%s': %s", source_of(step), target_of(step), why(errno));
    int copy = open_tree(found, "", AT_EMPTY_PATH | OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC | (has_flag(step, 'R') ? AT_RECURSIVE : 0));
    if (copy < 0)
        fail("'%s' cannot be mounted on '%s': %s", source_of(step), target_of(step), strerror(errno));
    close(found);
    set_attributes(step, copy);
    return copy;
}

static void raise_loopback(void)
{
    struct ifreq request = {.ifr_name = "lo", .ifr_flags = IFF_UP | IFF_RUNNING};
    int any = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    if (any < 0 || ioctl(any, SIOCSIFFLAGS, &request) < 0)
        fail("the view's own network has no loopback interface: %s", strerror(errno));
    close(any);
}

// Mounts of hosts are where the view's file says, and would else be held by it wherever the DPU has them.
static void drop_remote(void)
{
    FILE *table = setmntent("/proc/self/mounts", "re");
    for (struct mntent *entry; table && (entry = getmntent(table));)
        if (strcmp(entry->mnt_type, "fuse.qtfs") == 0)
            (void)umount2(entry->mnt_dir, MNT_DETACH | UMOUNT_NOFOLLOW);
    if (table)
        endmntent(table);
}

static void make_mounts(int procfs)
{
    for (int i = 0; i < step_count; i++)
        sources[i] = is(i, "bind") ? take_source(i) : -1;
    if (unshare(CLONE_NEWNS) < 0 || mount(NULL, "/", NULL, MS_REC | MS_SLAVE, NULL) < 0)
        fail("no mount namespace can be made: %s", strerror(errno));
    drop_remote();
    for (int i = 0; i < step_count; i++) {
        if (is(i, "tmpfs")) {
            int made = make_file_system("tmpfs", source_of(i), target_of(i));
            set_attributes(i, made);
            put(i, made);
        } else if (is(i, "proc"))
            put(i, procfs);
        else if (is(i, "bind"))
            put(i, sources[i]);
    }
}

// --- Numbers of processes ---------------------------------------------------------------------------------------------

static long first, below;
static int last_number, most_numbers;

static long read_number(int file)
{
    char text[24] = {0};
    return pread(file, text, sizeof text - 1, 0) > 0 ? strtol(text, NULL, 10) : -1;
}

// Numbers rise from one process to the next, and begin again at the bottom beyond the top: before that they begin again in the middle. How long until
// that must be looked at again, in milliseconds.
static long keep_high(void)
{
    long most = read_number(most_numbers), last = read_number(last_number);
    if (below && below < most)
        most = below;
    long from = first && first < most ? first : most / 2;
    if (last < from - 1 || last >= most - (most - from) / 8) {
        char text[24];
        last = from - 1;
        int length = snprintf(text, sizeof text, "%ld", last);
        if (pwrite(last_number, text, length, 0) != length)
            fail("numbers of processes cannot be chosen: %s", strerror(errno));
    }
    long left = (most - (most - from) / 8 - last) * 1000 / FORKS_A_SECOND;
    return left < 100 ? 100 : left > 5000 ? 5000 : left;
}

static _Noreturn void live(void)
{
    sigset_t all;
    sigfillset(&all);
    for (;;) {
        while (waitpid(-1, NULL, WNOHANG | __WALL) > 0)
            ;
        long wait = keep_high();
        (void)sigtimedwait(&all, NULL, &(struct timespec){wait / 1000, wait % 1000 * 1000000});
    }
}

static _Noreturn void begin(const char *hostname)
{
    char byte;
    (void)prctl(PR_SET_NAME, "dpu-view");
    (void)setsid();
    (void)umask(0);
    // Its end is the end of all in it. Without CAP_SYS_RESOURCE it stays as it is.
    int score = open("/proc/self/oom_score_adj", O_WRONLY | O_CLOEXEC);
    if (score >= 0) {
        (void)!write(score, "-900", 4);
        close(score);
    }
    int procfs = make_file_system("proc", "", "/proc");
    last_number = openat(procfs, "sys/kernel/ns_last_pid", O_RDWR | O_CLOEXEC);
    most_numbers = openat(procfs, "sys/kernel/pid_max", O_RDONLY | O_CLOEXEC);
    if (last_number < 0 || most_numbers < 0)
        fail("the kernel does not let numbers of processes be chosen (/proc/sys/kernel/ns_last_pid): %s", strerror(errno));
    for (int i = 0; i < step_count; i++) {
        if (is(i, "net"))
            raise_loopback();
        if (!is(i, "procfs"))
            continue;
        put(i, procfs);
        tell("procfs\n");
        if (recv(RUNTIME, &byte, 1, 0) != 1)
            _exit(1);
    }
    make_mounts(procfs);
    if (*hostname && sethostname(hostname, strlen(hostname)) < 0)
        fail("the view cannot be called '%s': %s", hostname, strerror(errno));
    if (chdir("/") < 0)
        fail("the view has no '/': %s", strerror(errno));
    (void)keep_high();
    tell("ready\n");
    int nothing = open("/dev/null", O_RDWR | O_CLOEXEC);
    for (int i = 0; i <= STDERR_FILENO && nothing >= 0; i++)
        (void)dup2(nothing, i);
    live();
}

int main(int count, char **values)
{
    if (count == 2 && strcmp(values[1], "--version") == 0)
        return printf("dpu-view %s\n", KEEPER_PROGRAM_VERSION) < 0;
    if (count < FIXED || (count - FIXED) % EACH) {
        fprintf(stderr, "usage: dpu-view NAME STATE HOSTNAME FIRST BELOW [KIND TARGET SOURCE FLAGS]...\n\nThe first process of a view; dpu-runtime has it run. See dpu-run(8).\n");
        return 2;
    }
    steps = values + FIXED;
    step_count = (count - FIXED) / EACH;
    sources = calloc(step_count + 1, sizeof *sources);
    first = strtol(values[4], NULL, 10);
    below = strtol(values[5], NULL, 10);
    sigset_t all;
    sigfillset(&all);
    (void)sigprocmask(SIG_SETMASK, &all, NULL);
    if (!sources || setns(NAMESPACE, CLONE_NEWNS) < 0)
        fail("the runtime's mount namespace cannot be entered: %s", strerror(errno));
    close(NAMESPACE);
    // Whoever has the lock is the view: there is one of a name, and a number that somebody else has by now is not taken for it.
    int state = open(values[2], O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    if (state < 0 || flock(state, LOCK_EX | LOCK_NB) < 0)
        fail("'%s' cannot be locked: %s", values[2], errno == EWOULDBLOCK ? "a view of that name is there already" : strerror(errno));
    int more = 0;
    for (int i = 0; i < step_count; i++)
        more |= is(i, "net") ? CLONE_NEWNET : 0;
    int held[2];
    if (unshare(CLONE_NEWPID | CLONE_NEWUTS | CLONE_NEWIPC | more) < 0 || pipe2(held, O_CLOEXEC) < 0)
        fail("no namespaces can be made: %s", strerror(errno));
    pid_t inner = fork();
    if (inner < 0)
        fail("no process can be made: %s", strerror(errno));
    char text[16];
    if (inner == 0) {
        close(held[1]);
        if (read(held[0], text, 1) != 1)
            _exit(1);
        close(held[0]);
        begin(values[3]);
    }
    int length = snprintf(text, sizeof text, "%d\n", inner);
    if (ftruncate(state, 0) < 0 || pwrite(state, text, length, 0) != length || write(held[1], text, 1) != 1)
        fail("'%s' cannot be written: %s", values[2], strerror(errno));
    for (int i = 0; i <= NAMESPACE; i++)
        close(i);
    close(state);
    close(held[0]);
    close(held[1]);
    int status;
    while (waitpid(inner, &status, 0) < 0 && errno == EINTR)
        ;
    return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}
