// As whom files are made, and who may do what.
#include "semantics.h"
#include <grp.h>

static void create_in(const char *directory)
{
    char path[64];
    int fd;
    snprintf(path, sizeof path, "%s/file", directory);
    if (TRY_AS(path, fd = open(path, O_CREAT | O_EXCL | O_RDWR, 0666)) >= 0) {
        TRY(write(fd, "mine", 4));
        show(path);
    }
    snprintf(path, sizeof path, "%s/tool", directory);
    if (TRY_AS(path, open(path, O_CREAT | O_EXCL | O_RDWR, 06755)) >= 0)
        show(path);
    snprintf(path, sizeof path, "%s/dir", directory);
    if (TRY_AS(path, mkdir(path, 03777)) >= 0)
        show(path);
    snprintf(path, sizeof path, "%s/pipe", directory);
    if (TRY_AS(path, mkfifo(path, 0666)) >= 0)
        show(path);
    snprintf(path, sizeof path, "%s/link", directory);
    if (TRY_AS(path, symlink("x", path)) >= 0)
        show(path);
    fd = TRY_AS("O_TMPFILE", open(directory, O_TMPFILE | O_RDWR, 0666));
    if (fd >= 0) {
        char self[64];
        snprintf(self, sizeof self, "/proc/self/fd/%d", fd);
        snprintf(path, sizeof path, "%s/tmpfile", directory);
        if (TRY_AS(path, linkat(AT_FDCWD, self, AT_FDCWD, path, AT_SYMLINK_FOLLOW)) >= 0)
            show(path);
    }
    const char *kinds[] = {"file", "tool", "pipe", "link", "tmpfile"};
    for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++) {
        snprintf(path, sizeof path, "%s/%s", directory, kinds[i]);
        unlink(path);
    }
    snprintf(path, sizeof path, "%s/dir", directory);
    rmdir(path);
}

// Where root is squashed, the host runs "prepare" before.
static void directory(const char *name, uid_t uid, gid_t gid, mode_t mode)
{
    if (access(name, F_OK) == 0)
        return;
    MUST(mkdir(name, 0700));
    MUST(chown(name, uid, gid));
    MUST(chmod(name, mode));
}

static void prepare(void)
{
    directory("own", 1000, 1000, 0700);
    directory("open", 1001, 1001, 0777);
    directory("sticky", 1001, 1001, 01777);
    directory("group", 1001, 3000, 0770);
    directory("setgid", 1001, 3000, 02777);
    directory("setgid-group", 1001, 3000, 02775);
    directory("closed", 1001, 1001, 0755);
}

static void in_all(void)
{
    create_in("own");
    create_in("open");
    create_in("sticky");
    create_in("group");
    create_in("setgid");
    create_in("setgid-group");
    create_in("closed");
}

// Without supplementary groups: the same under every policy that leaves these users as they are.
static void creation(void)
{
    prepare();
    as(1000, 1000, NO_GROUPS, 0, in_all);
    as(1000, 1000, NO_GROUPS, 027, in_all);
    as(1000, 3000, NO_GROUPS, 022, in_all);
    as(1001, 1001, NO_GROUPS, 077, in_all);
    as(1002, 1002, NO_GROUPS, 022, in_all);
}

static void creation_by_root(void)
{
    prepare();
    as(0, 0, NO_GROUPS, 0, in_all);
    as(0, 1000, NO_GROUPS, 022, in_all);
}

static void creation_by_members(void)
{
    prepare();
    as(1000, 1000, GROUPS(3000), 0, in_all);
    as(1000, 1000, GROUPS(5, 3000, 7), 027, in_all);
    as(1002, 1002, GROUPS(1000, 1001), 022, in_all);
}

// Only making something in a directory of the group: what a request can carry under a squash or a map.
static void in_group(void)
{
    create_in("setgid-group");
}

static void creation_by_a_member(void)
{
    prepare();
    as(1000, 1000, GROUPS(3000), 022, in_group);
}

static void change(void)
{
    TRY(open("open/f", O_WRONLY));
    TRY(open("open/f", O_RDONLY));
    TRY(chmod("open/f", 0664));
    TRY(chmod("open/f", 02775));
    show("open/f");
    TRY(chmod("open/f", 0660));
    TRY(chown("open/f", 1000, -1));
    TRY(chown("open/f", 1002, -1));
    TRY(chown("open/f", -1, 1000));
    TRY(chown("open/f", -1, 3000));
    TRY(utimensat(AT_FDCWD, "open/f", NULL, 0));
    TRY(utimensat(AT_FDCWD, "open/f", (struct timespec[]){{1, 0}, {2, 0}}, 0));
    TRY(truncate("open/f", 3));
    TRY(setxattr("open/f", "user.x", "1", 1, 0));
    show("open/f");
    TRY(unlink("sticky/theirs"));
    TRY(rename("sticky/theirs", "sticky/stolen"));
    TRY(rename("sticky/stolen", "sticky/theirs"));
    TRY(unlink("open/theirs"));
    TRY(link("open/f", "open/linked"));
    TRY(unlink("open/linked"));
    TRY(rename("group/inside", "open/inside"));
    TRY(rename("open/inside", "group/inside"));
    TRY(access("group", R_OK | W_OK | X_OK));
    TRY(access("open/f", R_OK | W_OK));
    TRY(open("sticky/theirs", O_CREAT | O_RDWR, 0600));
}

// Runs in a child as a user who may: root may nothing where it is squashed.
static void in_child(uid_t uid, gid_t gid, const char *name, mode_t mode)
{
    if (MUST(fork()) == 0) {
        MUST(setgroups(0, NULL));
        MUST(setresgid(gid, gid, gid));
        MUST(setresuid(uid, uid, uid));
        if (mode != 0) {
            int fd = MUST(open(name, O_CREAT | O_EXCL | O_RDWR, mode));
            MUST(write(fd, "content", 7));
        } else {
            unlink(name);
        }
        _exit(0);
    }
    int status;
    MUST(wait(&status));
    if (status != 0)
        printf("preparing %s ended with %x\n", name, status);
}

static void change_by(uid_t uid, gid_t gid, int group_count, const gid_t *groups)
{
    fflush(stdout);
    in_child(1000, 3000, "open/f", 0660);
    in_child(1001, 1001, "sticky/theirs", 0666);
    in_child(1001, 1001, "open/theirs", 0600);
    in_child(1001, 3000, "group/inside", 0600);
    as(uid, gid, group_count, groups, 022, change);
    static const char *const made[] = {"open/f", "open/theirs", "open/inside", "open/linked", "sticky/theirs", "sticky/stolen", "group/inside"};
    for (size_t i = 0; i < sizeof made / sizeof *made; i++)
        in_child(1001, 3000, made[i], 0);
}

static void changes(void)
{
    prepare();
    change_by(1000, 1000, NO_GROUPS);
    change_by(1000, 3000, NO_GROUPS);
    change_by(1001, 1001, NO_GROUPS);
    change_by(1002, 3000, NO_GROUPS);
    change_by(1002, 1002, NO_GROUPS);
}

static void changes_by_members(void)
{
    prepare();
    change_by(0, 0, NO_GROUPS);
    change_by(1000, 1000, GROUPS(3000));
    change_by(1002, 1002, GROUPS(3000));
}

const struct semantics_case identity_cases[] = {
    {"prepare", prepare}, {"creation", creation}, {"creation-by-root", creation_by_root}, {"creation-by-members", creation_by_members},
    {"creation-by-a-member", creation_by_a_member}, {"changes", changes}, {"changes-by-members", changes_by_members}, {0},
};
