// A test mostly waits for daemons, or starts them. One whose class is marked DoNotParallelize runs alone.
[assembly: Parallelize(Workers = 2, Scope = ExecutionScope.ClassLevel)]
