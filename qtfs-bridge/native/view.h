// What dpu-run and dpu-runtime say to each other (a unix socket of type SEQPACKET, /run/dpu/view.sock), and what dpu-view is told by its arguments.
//
// dpu-run asks for a view (VIEW_JOIN). The runtime makes it where it is not there, and answers with a struct view_answer, the filter behind it, and
// the pidfd of the view's init beside it; or with an error and text. The process that is to become the daemon then installs the filter, sends its
// listener (VIEW_LISTENER, the descriptor beside it), and executes once that is answered: from then on somebody answers each call that is held.
#pragma once
#include <stdint.h>

enum { VIEW_VERSION = 1, VIEW_NAME_MAX = 64, VIEW_TEXT_MAX = 4096, VIEW_FILTER_MAX = 512 };

enum view_kind { VIEW_JOIN = 1, VIEW_LISTENER = 2 };

struct view_request {
    uint32_t version;
    uint32_t kind;            // enum view_kind
    char name[VIEW_NAME_MAX]; // of the view, with NULs behind
};

struct view_answer {
    uint32_t version;
    uint32_t error;        // an errno, and text in UTF-8 behind this; 0: it is done
    uint32_t namespaces;   // of VIEW_JOIN: CLONE_NEW* to enter
    uint32_t instructions; // of VIEW_JOIN: struct sock_filter[] behind this; 0: no filter
};

// dpu-view NAME STATE HOSTNAME FIRST BELOW [KIND TARGET SOURCE FLAGS]...
//   STATE     the file that says its number and is locked (flock(2)) as long as the view lives
//   HOSTNAME  "" for the machine's
//   FIRST     the lowest number that a process gets, BELOW the first that is too high; 0: half of pid_max, and pid_max
// Kinds: "procfs" (the view's own, mounted at TARGET of the runtime's mount namespace, and waits for a byte), "net" (a network of its own),
// "bind" (SOURCE), "tmpfs" (SOURCE: its options), "proc" (the view's own).
// Flags: r read-only, d devices work, s setuid bits work, R with what is mounted below, m TARGET is made where it is not there, f and as a file,
// l SOURCE may be reached by symbolic links, o only where TARGET is there.
// Descriptor 0 is a socket: it says "procfs", "ready" or "failed: why", a line each. Descriptor 3 is the mount namespace to begin in.
