// Set-id bits and file capabilities, and what takes them away.
#include "semantics.h"
#include <linux/capability.h>

static const char *s_name;
static const char *s_action;

static bool is(const char *action)
{
    return strcmp(s_action, action) == 0;
}

static long act_on(int fd)
{
    static char page[4096] __attribute__((aligned(4096)));
    loff_t from = 0, to = 4096;
    if (is("write") || is("append"))
        return write(fd, "x", 1);
    if (is("direct"))
        return write(fd, page, sizeof page);
    if (is("empty-write"))
        return write(fd, "", 0);
    if (is("ftruncate"))
        return ftruncate(fd, 2);
    if (is("fallocate"))
        return fallocate(fd, 0, 0, 10000);
    if (is("copy"))
        return copy_file_range(fd, &from, fd, &to, 2, 0);
    if (is("map")) {
        char *map = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
        map[0] = 'm';
        return msync(map, 4096, MS_SYNC);
    }
    return 0;
}

static long act_on_name(void)
{
    if (is("truncate"))
        return truncate(s_name, 2);
    if (is("chown"))
        return chown(s_name, -1, -1);
    if (is("chgrp"))
        return chown(s_name, -1, 3000);
    if (is("chmod"))
        return chmod(s_name, 06777);
    if (is("utimes"))
        return utimensat(AT_FDCWD, s_name, NULL, 0);
    int fd = open(s_name, O_RDWR | (is("open-truncate") ? O_TRUNC : 0) | (is("append") ? O_APPEND : 0) | (is("direct") ? O_DIRECT : 0));
    return fd < 0 ? fd : act_on(fd);
}

static void act(void)
{
    struct stat status;
    long result = act_on_name();
    int error = errno;
    MUST(stat(s_name, &status));
    printf("    %s %s: %s, %04o, capabilities %ld\n", s_name, s_action, result < 0 ? strerrorname_np(error) : "ok", status.st_mode & 07777,
        (long)getxattr(s_name, "security.capability", NULL, 0));
}

static const char *const s_actions[] = {
    "write", "append", "direct", "empty-write", "ftruncate", "truncate", "open-truncate", "fallocate", "copy", "map", "chown", "chgrp",
    "chmod", "utimes",
};

static const struct vfs_cap_data s_capabilities = {.magic_etc = VFS_CAP_REVISION_2, .data = {{.permitted = 1 << 10}}};

// Every action, by everybody, on a file of a mode that user 1000 and group 3000 own and all may write.
static void matrix(mode_t mode, bool capabilities)
{
    static const struct {
        uid_t uid;
        gid_t gid, group;
    } actors[] = {{0, 0, 0}, {1000, 1000, 0}, {1000, 1000, 3000}, {1001, 1001, 0}, {1001, 3000, 0}};
    for (size_t actor = 0; actor < sizeof actors / sizeof *actors; actor++) {
        char name[32];
        snprintf(name, sizeof name, "%04o-%zu%s", mode, actor, capabilities ? "-capable" : "");
        printf("by %u:%u+%u\n", actors[actor].uid, actors[actor].gid, actors[actor].group);
        for (size_t i = 0; i < sizeof s_actions / sizeof *s_actions; i++) {
            // Two differences that docs/semantics.md names: a mapped page reaches the host as a write, which takes
            // capabilities, and a stranger's chown(2) that changes nothing is not refused.
            if ((capabilities && strcmp(s_actions[i], "map") == 0) || (actors[actor].uid == 1001 && strcmp(s_actions[i], "chown") == 0))
                continue;
            unlink(name);
            make(name, "content", mode, 1000, 3000);
            if (capabilities)
                MUST(setxattr(name, "security.capability", &s_capabilities, XATTR_CAPS_SZ_2, 0));
            s_name = name;
            s_action = s_actions[i];
            fflush(stdout);
            as(actors[actor].uid, actors[actor].gid, actors[actor].group != 0, &actors[actor].group, 022, act);
        }
    }
}

static void set_id(void)
{
    matrix(06777, false);
}

static void set_id_without_group(void)
{
    matrix(04767, false);
}

static void capabilities(void)
{
    matrix(0777, true);
}

static void capabilities_of_a_user(void)
{
    TRY(setxattr("own", "security.capability", &s_capabilities, XATTR_CAPS_SZ_2, 0));
    TRY(removexattr("own", "security.capability"));
    TRY(removexattr("f", "security.capability"));
}

static void capabilities_set(void)
{
    char buffer[64];
    make("f", "x", 0755, 0, 0);
    make("own", "x", 0755, 1000, 1000);
    TRY(setxattr("f", "security.capability", &s_capabilities, XATTR_CAPS_SZ_2, 0));
    VALUE(getxattr("f", "security.capability", buffer, sizeof buffer));
    printf("same %d\n", memcmp(buffer, &s_capabilities, XATTR_CAPS_SZ_2) == 0);
    TRY(setxattr("f", "security.capability", &s_capabilities, 7, 0));
    TRY(setxattr("f", "security.capability", "nothing at all......", 20, 0));
    TRY(rename("f", "g"));
    TRY(link("g", "f"));
    VALUE(getxattr("f", "security.capability", buffer, sizeof buffer));
    TRY(chmod("f", 0700));
    VALUE(getxattr("f", "security.capability", buffer, sizeof buffer));
    as(1000, 1000, NO_GROUPS, 022, capabilities_of_a_user);
    TRY(removexattr("f", "security.capability"));
    VALUE(getxattr("f", "security.capability", buffer, sizeof buffer));
}

const struct semantics_case privilege_cases[] = {
    {"set-id", set_id}, {"set-id-without-group", set_id_without_group}, {"capabilities", capabilities}, {"capabilities-set", capabilities_set}, {0},
};
