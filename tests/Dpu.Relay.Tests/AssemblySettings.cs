// Tests look at this process's descriptors, threads and limits.
[assembly: DoNotParallelize]
