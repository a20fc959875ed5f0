// What a process is to be, and how it goes: what dpu-stub and dpu-runtime say to each other (a unix socket of type STREAM,
// /run/dpu/stub.sock), and what a host agent tells dpu-launch (descriptor 0 of it).
//
// The way of a start: dpu-stub stands on the DPU where a parent expects the program. It sends its descriptors (PROCESS_DESCRIPTORS, as
// many frames as needed) and then PROCESS_START. The runtime checks, asks the host's agent, and answers PROCESS_STARTED or PROCESS_REFUSED.
// The agent has dpu-keeper run dpu-launch (KEEPER_RUN), tells it the same frames, with its own descriptors in place of the DPU's, and
// dpu-launch becomes the program by execve(2).
//
// A stub whose connection ends goes on waiting, connects again, and says PROCESS_ATTACH: the runtime may have been replaced. It says of no signal
// before PROCESS_STARTED or PROCESS_ATTACHED. One that ends before is ended by a signal, or was killed: what it asked for is to end too.
//
// A program that ends may have left a process running, as daemons do. Then the stub forks before it ends: its child, the stand-in, is a stub of that process,
// with a token of its own, and of the same number where that may be.
//
// A stub that has stopped goes on by SIGCONT, which it says as any signal. Where the program goes on by itself, the runtime sends that.
//
// A stub that has a terminal says which (PROCESS_OWN_TERMINAL): the program gets one of the host, as its controlling terminal. PROCESS_JOB says when the
// stub's terminal is the program's, which is while the stub is in its foreground: only then is it read, and only then is the program in the foreground of
// its own. So a program that reads in the background is stopped by the host's kernel as it would be here (SIGTTIN), and the stub with it.
//
// Frames follow each other; descriptors come beside a frame's first byte (SCM_RIGHTS). Integers are of the machine's byte order, but
// in records, which cross the link: there they are little-endian. Numbers of signals, limits and policies are the same on x86-64 and arm64.
#pragma once
#include <stdint.h>

enum {
    PROCESS_FRAME_MAX = 16 << 20,       // bytes of content: what execve(2) takes at most, and more
    PROCESS_FRAME_DESCRIPTORS = 250,    // in one frame; the kernel takes 253 (SCM_MAX_FD)
    PROCESS_TOKEN_SIZE = 16,
};

struct process_frame {
    uint32_t size; // of the content that follows, bytes
    uint16_t kind; // enum process_frame_kind
    uint16_t reserved; // 0
};

enum process_frame_kind {
    // To the runtime, and to dpu-launch.
    PROCESS_DESCRIPTORS = 1, // int32_t[]: the numbers that the descriptors beside it have
    PROCESS_START = 2,       // records

    // To the runtime.
    PROCESS_ATTACH = 3, // the token of PROCESS_STARTED
    PROCESS_SIGNAL = 4, // struct process_signal: the stub got it
    PROCESS_JOB = 5,    // struct process_job: how it stands to its terminal, and that one's size
    PROCESS_STOOD = 8,  // the token of PROCESS_STAND_IN, int32_t the stand-in's number (0: there is none), int32_t errno of why it is not the wanted one

    // To the stub.
    PROCESS_STARTED = 16,  // the token, int32_t the process at the host, int32_t[] numbers of descriptors that stay with the stub
    PROCESS_REFUSED = 17,  // int32_t the exit code, and text in UTF-8 for the stub's stderr
    PROCESS_ENDED = 18,    // int32_t as wait(2) has it
    PROCESS_STOPPED = 19,  // int32_t the signal that has stopped it
    PROCESS_ATTACHED = 20, // empty
    PROCESS_CONTINUED = 21, // empty: the answer to each SIGCONT of the stub; what PROCESS_STOPPED has told before is over by that
    PROCESS_STAND_IN = 24, // a token, int32_t the number that a stand-in is to have (0: any), int32_t 0. The same token again: the same answer

    // To the agent, from dpu-launch: nothing was executed. The connection's end alone says that the program runs, if it has not ended with 125 or 127.
    PROCESS_FAILED = 32, // int32_t errno, int32_t enum process_record_kind of what failed (PROCESS_PROGRAM: execve itself; 0: no record's), text
};

struct process_signal {
    int32_t signal;
    int32_t code;  // si_code
    int32_t pid;   // who sent it
    uint32_t uid;
    int64_t value; // of sigqueue(3)
};

enum process_job_kind {
    PROCESS_BACKGROUND = 0,
    PROCESS_FOREGROUND = 1,
    PROCESS_TO_GROUP = 2, // To dpu-launch only, and without a size: the signal of number 'rows' to all of the program's group
};

struct process_job {
    uint32_t kind; // enum process_job_kind
    uint16_t rows, columns, width, height; // as struct winsize
};

struct process_record {
    uint16_t kind;     // enum process_record_kind
    uint16_t reserved; // 0
    uint32_t size;     // of what follows, bytes; then come zeros up to a multiple of 8
};

// What is not there stays as it is: at the host, as dpu-keeper has it. A kind that is not known is passed over.
enum process_record_kind {
    PROCESS_PROGRAM = 1,       // a path. From a stub: absolute, or what rexec was told, a name to be found by policy. To dpu-launch: absolute
    PROCESS_ARGUMENT = 2,      // argv, one by one, argv[0] among them; without NUL
    PROCESS_ENVIRONMENT = 3,   // NAME=value, one by one; without NUL
    PROCESS_DIRECTORY = 4,     // the working directory, absolute
    PROCESS_IDENTITY = 5,      // uint32_t uid, gid
    PROCESS_GROUPS = 6,        // uint32_t[]; not there beside an identity: none
    PROCESS_UMASK = 7,         // uint32_t
    PROCESS_LIMITS = 8,        // struct { uint32_t resource, zero; uint64_t soft, hard; }[]; ~0 is RLIM_INFINITY. As far as the host allows
    PROCESS_CAPABILITIES = 9,  // uint64_t[5]: effective, permitted, inheritable, bounding, ambient
    PROCESS_SIGNALS = 10,      // uint64_t blocked, ignored; signal N is bit N - 1
    PROCESS_OOM = 11,          // int32_t oom_score_adj; not there: 0
    PROCESS_SCHEDULING = 12,   // int32_t policy, priority, nice
    PROCESS_SESSION = 13,      // From a stub: int32_t pid, parent, process group, session, the terminal's foreground group (0: no terminal)
    PROCESS_HOST = 14,         // the host's name, where the stub was told one
    PROCESS_FLAGS = 15,        // uint32_t of enum process_flags
    PROCESS_OWN_TERMINAL = 16, // From a stub: int32_t number of the descriptor that is its terminal, uint32_t enum process_job_kind, and uint32_t 1 where
                               // that descriptor is none of the program's

    // To dpu-launch only.
    PROCESS_CGROUP = 32,       // int32_t: into the descriptor of that number "0" is written, and it is closed
    PROCESS_TERMINAL = 33,     // int32_t[2], with PROCESS_NEW_SESSION: a descriptor of what becomes its controlling terminal, and a pipe from which
                               // struct process_job are read as long as it lives. Neither is the program's
    PROCESS_PROCESSORS = 34,   // uint64_t[]: the processors on which it may run; N is bit N % 64 of word N / 64
    PROCESS_NODES = 35,        // uint64_t[], likewise: the NUMA nodes of which it may have memory
};

enum process_flags {
    PROCESS_NO_NEW_PRIVILEGES = 1,
    PROCESS_NEW_SESSION = 2, // setsid(2)
    PROCESS_NEW_GROUP = 4,   // setpgid(2)
};
