// Takes locks as it is told, line by line: each command is answered by one line.
//   open N PATH r|w|rw      close N      dup N M
//   set|wait N posix|ofd|flock r|w|u START LENGTH     0, or the name of the errno
//   get N posix|ofd r|w START LENGTH                  u, or TYPE START LENGTH PID
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <unistd.h>

static int files[16];

static void nothing(int signal) { (void)signal; }

static void say(int result)
{
    puts(result >= 0 ? "0" : strerrorname_np(errno));
}

static short type_of(char letter)
{
    return letter == 'r' ? F_RDLCK : letter == 'w' ? F_WRLCK : F_UNLCK;
}

static void lock(const char *verb, int file, const char *kind, char type, long start, long length)
{
    int wait = verb[0] == 'w';
    if (kind[0] == 'f') {
        int operation = type == 'r' ? LOCK_SH : type == 'w' ? LOCK_EX : LOCK_UN;
        say(flock(files[file], operation | (wait ? 0 : LOCK_NB)));
        return;
    }
    struct flock range = { .l_type = type_of(type), .l_whence = SEEK_SET, .l_start = start, .l_len = length };
    int ofd = kind[0] == 'o';
    if (verb[0] == 'g') {
        if (fcntl(files[file], ofd ? F_OFD_GETLK : F_GETLK, &range) < 0)
            say(-1);
        else if (range.l_type == F_UNLCK)
            puts("u");
        else
            printf("%c %ld %ld %d\n", range.l_type == F_RDLCK ? 'r' : 'w', (long)range.l_start, (long)range.l_len, range.l_pid);
        return;
    }
    say(fcntl(files[file], wait ? (ofd ? F_OFD_SETLKW : F_SETLKW) : (ofd ? F_OFD_SETLK : F_SETLK), &range));
}

int main(void)
{
    char line[4096], verb[16], kind[16], path[4000], letters[4];
    int file, other;
    long start, length;
    struct sigaction action = { .sa_handler = nothing };
    sigaction(SIGUSR1, &action, NULL);
    setvbuf(stdout, NULL, _IOLBF, 0);
    for (;;) {
        if (!fgets(line, sizeof line, stdin)) {
            // A signal that comes too late to interrupt a lock is none of the command's business.
            if (feof(stdin) || errno != EINTR)
                break;
            clearerr(stdin);
            continue;
        }
        if (sscanf(line, "open %d %3999s %3s", &file, path, letters) == 3) {
            int access = strcmp(letters, "r") == 0 ? O_RDONLY : strcmp(letters, "w") == 0 ? O_WRONLY : O_RDWR;
            say(files[file] = open(path, access | O_CLOEXEC));
        } else if (sscanf(line, "close %d", &file) == 1) {
            say(close(files[file]));
        } else if (sscanf(line, "dup %d %d", &file, &other) == 2) {
            say(files[other] = dup(files[file]));
        } else if (sscanf(line, "%15s %d %15s %1s %ld %ld", verb, &file, kind, letters, &start, &length) == 6) {
            lock(verb, file, kind, letters[0], start, length);
        } else {
            puts("what?");
        }
    }
    return 0;
}
