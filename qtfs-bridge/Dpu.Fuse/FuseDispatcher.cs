namespace Dpu.Fuse;

/// <summary>Decodes FUSE requests, calls a <see cref="FuseFileSystem"/>, and encodes its replies.</summary>
public sealed class FuseDispatcher;
