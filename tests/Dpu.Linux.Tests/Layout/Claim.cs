namespace Dpu.Linux.Tests.Layout;

/// <summary>One thing that a C# declaration says about C: a condition that must hold where a header is included.</summary>
/// <param name="Name">The C# declaration, e.g. <c>Dpu.Fuse.Wire.fuse_attr.ino offset</c>.</param>
/// <param name="Headers">The header, or several separated by spaces, in the order of inclusion.</param>
/// <param name="Condition">A C constant expression.</param>
/// <param name="Architecture">The architecture it holds for, or null for every one.</param>
/// <param name="Since">The first Linux version whose headers have it, or null.</param>
internal sealed record Claim(string Name, string Headers, string Condition, string? Architecture, Version? Since);
