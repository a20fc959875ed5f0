// What dpu-launch's parts know of each other.
#pragma once
#include <stdint.h>

// Makes the calling process, which leads a session, one that job control works for: it has the terminal, and what comes by the pipe is done. 0 or an errno;
// only in the process that becomes the program.
int begin_jobs(int terminal, int pipe);
