// Hosts bind sockets and take signals of the process: one after the other.
[assembly: DoNotParallelize]
