using System.Reflection;
using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;

namespace Dpu.Linux.Tests.Layout;

/// <summary>Finds types that reach the kernel or the C library without a claim: nobody would notice a wrong layout.</summary>
internal static class UnprovedTypes
{
    internal static IEnumerable<string> Of(Assembly assembly) => Of(assembly.GetTypes());

    internal static IEnumerable<string> Of(IReadOnlyCollection<Type> types) =>
        types.Where(HasExplicitLayout).Select(type => $"{type.FullName} has a [StructLayout] and no [CStruct]")
            .Concat(types.SelectMany(Imports).SelectMany(method => method.GetParameters().Append(method.ReturnParameter)
                .Select(parameter => Element(parameter.ParameterType))
                .Where(NeedsClaim)
                .Select(type => $"{type.FullName} is passed to {method.DeclaringType!.FullName}.{method.Name} and has no [CStruct] or [CConstants]")))
            .Distinct();

    private static IEnumerable<MethodInfo> Imports(Type type) =>
        type.GetMethods(BindingFlags.Static | BindingFlags.Public | BindingFlags.NonPublic | BindingFlags.DeclaredOnly)
            .Where(method => method.Attributes.HasFlag(MethodAttributes.PinvokeImpl) || method.IsDefined(typeof(LibraryImportAttribute)));

    private static Type Element(Type type)
    {
        while (type.HasElementType)
        {
            type = type.GetElementType()!;
        }

        return type;
    }

    private static bool NeedsClaim(Type type) =>
        type is { IsValueType: true, IsPrimitive: false, IsFunctionPointer: false } && type != typeof(void)
        && type.Assembly != typeof(object).Assembly && !IsProved(type);

    private static bool HasExplicitLayout(Type type)
    {
        if (!type.IsValueType || type.IsEnum || IsProved(type) || type.IsDefined(typeof(CompilerGeneratedAttribute)) || type.Name.StartsWith('<')
            || type.DeclaringType is { } outer && outer.Name.StartsWith('<') || type.StructLayoutAttribute is not { } layout)
        {
            return false;
        }

        return layout.Value == LayoutKind.Explicit || layout.Size != 0 || layout.Pack is not (0 or 8);
    }

    private static bool IsProved(Type type) => type.IsDefined(typeof(CStructAttribute)) || type.IsDefined(typeof(CConstantsAttribute));
}
