using System.Globalization;
using System.Reflection;

namespace Dpu.Linux.Tests.Layout;

/// <summary>Reads every claim about C out of an assembly's <see cref="CStructAttribute"/> and <see cref="CConstantsAttribute"/>.</summary>
internal static class ClaimCollector
{
    internal static IEnumerable<Claim> Of(Assembly assembly) => assembly.GetTypes().SelectMany(Of);

    internal static IEnumerable<Claim> Of(Type type)
    {
        if (type.GetCustomAttribute<CStructAttribute>() is { } structure)
        {
            return OfStruct(type, structure);
        }

        return type.GetCustomAttribute<CConstantsAttribute>() is { } constants ? OfConstants(type, constants) : [];
    }

    private static IEnumerable<Claim> OfStruct(Type type, CStructAttribute attribute)
    {
        Version? since = Parse(attribute.Since);
        if (!attribute.Prefix)
        {
            yield return new($"{type.FullName} size", attribute.Header, Invariant($"sizeof({attribute.CName}) == {ManagedLayout.SizeOf(type)}"), attribute.Architecture, since);
        }

        foreach (FieldInfo field in type.GetFields(BindingFlags.Instance | BindingFlags.Public | BindingFlags.NonPublic))
        {
            CNameAttribute? own = field.GetCustomAttribute<CNameAttribute>();
            string name = own?.Name ?? field.Name;
            Version? fieldSince = Parse(own?.Since) ?? since;
            yield return new($"{type.FullName}.{field.Name} offset", attribute.Header,
                Invariant($"__builtin_offsetof({attribute.CName}, {name}) == {ManagedLayout.OffsetOf(type, field)}"), attribute.Architecture, fieldSince);
            yield return new($"{type.FullName}.{field.Name} size", attribute.Header,
                Invariant($"sizeof((({attribute.CName} *)0)->{name}) == {ManagedLayout.SizeOf(field.FieldType)}"), attribute.Architecture, fieldSince);
        }
    }

    private static IEnumerable<Claim> OfConstants(Type type, CConstantsAttribute attribute)
    {
        foreach (FieldInfo field in type.GetFields(BindingFlags.Static | BindingFlags.Public | BindingFlags.NonPublic))
        {
            if (!field.IsLiteral)
            {
                throw new InvalidOperationException($"{type.FullName}.{field.Name} is not a const; a class with CConstants holds nothing else.");
            }

            CNameAttribute? own = field.GetCustomAttribute<CNameAttribute>();
            yield return new($"{type.FullName}.{field.Name} value", attribute.Header,
                ValueCondition(own?.Name ?? field.Name, field.GetRawConstantValue()), attribute.Architecture, Parse(own?.Since));
        }
    }

    /// <summary>
    /// Compares all 64 bits; a 32-bit C# constant may also equal a negative C int of the same bits (<c>1 &lt;&lt; 31</c>).
    /// </summary>
    private static string ValueCondition(string name, object? value) => value switch
    {
        string text => Invariant($"__builtin_strcmp({name}, \"{text}\") == 0"),
        ulong wide => Invariant($"(unsigned long long)({name}) == {wide}ULL"),
        uint narrow => Invariant($"(long long)({name}) == {narrow}LL || (long long)({name}) == {(int)narrow}LL"),
        long.MinValue => Invariant($"(long long)({name}) == (-{long.MaxValue}LL - 1)"),
        IConvertible other => Invariant($"(long long)({name}) == {other.ToInt64(CultureInfo.InvariantCulture)}LL"),
        _ => throw new InvalidOperationException($"{name}: a constant of this type cannot be compared with C."),
    };

    private static string Invariant(FormattableString text) => FormattableString.Invariant(text);

    private static Version? Parse(string? since) => since is null ? null : Version.Parse(since);
}
