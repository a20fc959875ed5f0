namespace Dpu.Linux;

/// <summary>
/// Marks a struct that mirrors a C struct. The layout test compiles one static assert for its size and one for the
/// offset of every field (fields carry the C names), against <paramref name="header"/>, for x86-64 and arm64.
/// </summary>
/// <param name="cName">The C type, e.g. <c>struct stat</c>.</param>
/// <param name="header">The header that declares it.</param>
[AttributeUsage(AttributeTargets.Struct)]
public sealed class CStructAttribute(string cName, string header) : Attribute
{
    /// <summary>The C type, e.g. <c>struct stat</c>.</summary>
    public string CName { get; } = cName;

    /// <summary>The header that declares it.</summary>
    public string Header { get; } = header;

    /// <summary>The first Linux version whose headers have it; the test takes newer headers for such a type.</summary>
    public string? Since { get; init; }

    /// <summary>True where only a prefix of the C struct is declared (its size is then not compared).</summary>
    public bool Prefix { get; init; }

    /// <summary><c>x64</c> or <c>arm64</c> where the layout is that of one architecture only.</summary>
    public string? Architecture { get; init; }
}

/// <summary>
/// Marks a class of constants or an enum whose members carry the names and values of C macros or enumerators. The
/// layout test compiles one static assert a member, for both architectures unless <see cref="Architecture"/> says one.
/// </summary>
/// <param name="header">The header that declares them.</param>
[AttributeUsage(AttributeTargets.Class | AttributeTargets.Enum)]
public sealed class CConstantsAttribute(string header) : Attribute
{
    /// <summary>The header that declares them.</summary>
    public string Header { get; } = header;

    /// <summary><c>x64</c> or <c>arm64</c> where the values hold for one architecture only.</summary>
    public string? Architecture { get; init; }
}

/// <summary>Says how a C name differs from the C# name of a field or constant, or since which Linux it exists.</summary>
[AttributeUsage(AttributeTargets.Field)]
public sealed class CNameAttribute(string? name = null) : Attribute
{
    /// <summary>The C name; null where it is the C# name.</summary>
    public string? Name { get; } = name;

    /// <summary>The first Linux version whose headers have it.</summary>
    public string? Since { get; init; }
}
