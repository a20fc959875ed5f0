// Each test runs a daemon's host, and those take the process's signals: one after the other.
[assembly: DoNotParallelize]
