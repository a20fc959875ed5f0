using System.Runtime.CompilerServices;

// The tables are tested by themselves, under threads that no well-behaved kernel would send.
[assembly: InternalsVisibleTo("Dpu.Fuse.Tests")]
