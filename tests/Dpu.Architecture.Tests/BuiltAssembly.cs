using System.Reflection;
using System.Reflection.Metadata;
using System.Reflection.PortableExecutable;
using Dpu.TestSupport;

namespace Dpu.Architecture.Tests;

/// <summary>An assembly of the present build, read without loading it. Not thread-safe.</summary>
internal sealed class BuiltAssembly : IDisposable
{
    private readonly PEReader reader;
    private readonly MetadataReader metadata;

    private BuiltAssembly(string project, string path)
    {
        Project = project;
        reader = new PEReader(File.OpenRead(path));
        metadata = reader.GetMetadataReader();
    }

    /// <summary>The project it was built from.</summary>
    public string Project { get; }

    /// <summary>The names of the assemblies that it refers to.</summary>
    public IEnumerable<string> References =>
        metadata.AssemblyReferences.Select(r => metadata.GetString(metadata.GetAssemblyReference(r).Name));

    /// <summary>Methods that are native imports, as "Type.Method".</summary>
    public IEnumerable<string> NativeImports =>
        from type in metadata.TypeDefinitions.Select(metadata.GetTypeDefinition)
        from method in type.GetMethods().Select(metadata.GetMethodDefinition)
        where (method.Attributes & MethodAttributes.PinvokeImpl) != 0
        select $"{metadata.GetString(type.Name)}.{metadata.GetString(method.Name)}";

    public static BuiltAssembly Open(string project, string path) => new(project, path);

    /// <summary>Opens what is built of these projects, in the configuration of this program.</summary>
    public static IEnumerable<BuiltAssembly> All(IEnumerable<ProjectFile> projects) =>
        from project in projects
        let path = Repository.PathOf($"artifacts/bin/{project.Name}/{Repository.Configuration}/{project.AssemblyName}.dll")
        where File.Exists(path)
        select Open(project.Name, path);

    /// <summary>Every method with the attributes of itself, and those of its type and assembly behind them.</summary>
    public IEnumerable<MethodWithAttributes> Methods()
    {
        AttributeValue[] ofAssembly = [.. Attributes(metadata.GetAssemblyDefinition().GetCustomAttributes())];
        foreach (TypeDefinition type in metadata.TypeDefinitions.Select(metadata.GetTypeDefinition))
        {
            AttributeValue[] ofType = [.. Attributes(type.GetCustomAttributes())];
            string typeName = $"{metadata.GetString(type.Namespace)}.{metadata.GetString(type.Name)}";
            foreach (MethodDefinition method in type.GetMethods().Select(metadata.GetMethodDefinition))
            {
                yield return new MethodWithAttributes(
                    Project,
                    $"{typeName}.{metadata.GetString(method.Name)}",
                    [.. Attributes(method.GetCustomAttributes())],
                    [.. ofType, .. ofAssembly]);
            }
        }
    }

    public void Dispose() => reader.Dispose();

    private IEnumerable<AttributeValue> Attributes(CustomAttributeHandleCollection handles)
    {
        foreach (CustomAttribute attribute in handles.Select(metadata.GetCustomAttribute))
        {
            string name = TypeNameOf(attribute);
            // Only what the rules read is decoded: other attributes may need types that are not at hand.
            if (name is "TestMethodAttribute" or "DataTestMethodAttribute" or "TestCategoryAttribute" or "LoggerMessageAttribute")
            {
                CustomAttributeValue<string> value = attribute.DecodeValue(AttributeTypes.Instance);
                yield return new AttributeValue(
                    name,
                    [.. value.FixedArguments.Select(a => a.Value)],
                    value.NamedArguments.ToDictionary(a => a.Name!, a => a.Value));
            }
        }
    }

    private string TypeNameOf(CustomAttribute attribute)
    {
        EntityHandle type = attribute.Constructor.Kind == HandleKind.MemberReference
            ? metadata.GetMemberReference((MemberReferenceHandle)attribute.Constructor).Parent
            : metadata.GetMethodDefinition((MethodDefinitionHandle)attribute.Constructor).GetDeclaringType();
        return type.Kind switch
        {
            HandleKind.TypeReference => metadata.GetString(metadata.GetTypeReference((TypeReferenceHandle)type).Name),
            HandleKind.TypeDefinition => metadata.GetString(metadata.GetTypeDefinition((TypeDefinitionHandle)type).Name),
            _ => "",
        };
    }
}

/// <summary>An attribute as written: its type's bare name, arguments by position and by name.</summary>
internal sealed record AttributeValue(string Name, IReadOnlyList<object?> Arguments, IReadOnlyDictionary<string, object?> Named);

/// <summary>A method, its own attributes, and those around it.</summary>
internal sealed record MethodWithAttributes(string Project, string Name, IReadOnlyList<AttributeValue> Own, IReadOnlyList<AttributeValue> Outer);
