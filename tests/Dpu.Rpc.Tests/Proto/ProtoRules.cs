using System.Text.RegularExpressions;
using Google.Protobuf.Reflection;

namespace Dpu.Rpc.Tests.Proto;

/// <summary>What we hold .proto files to, after Google's AIPs and style guide. Each finding is a sentence.</summary>
internal static partial class ProtoRules
{
    public static IReadOnlyList<string> Check(FileDescriptor file)
    {
        var findings = new List<string>();
        foreach (EnumDescriptor type in file.EnumTypes)
        {
            Check(type, findings);
        }

        foreach (MessageDescriptor type in file.MessageTypes)
        {
            Check(type, findings);
        }

        foreach (MethodDescriptor method in file.Services.SelectMany(service => service.Methods))
        {
            Check(method, findings);
        }

        return findings;
    }

    [GeneratedRegex("^[a-z][a-z0-9]*(_[a-z0-9]+)*$")]
    private static partial Regex FieldName { get; }

    [GeneratedRegex("^[A-Z][A-Za-z0-9]*$")]
    private static partial Regex TypeName { get; }

    [GeneratedRegex("(?<=[a-z0-9])(?=[A-Z])")]
    private static partial Regex WordStart { get; }

    private static void Check(EnumDescriptor type, List<string> findings)
    {
        string prefix = WordStart.Replace(type.Name, "_").ToUpperInvariant() + "_";
        foreach (EnumValueDescriptor value in type.Values.Where(value => !value.Name.StartsWith(prefix, StringComparison.Ordinal)))
        {
            findings.Add($"enum value {value.FullName} does not begin with {prefix}");
        }

        // AIP-126: what an older sender leaves out must not mean something.
        if (type.FindValueByNumber(0)?.Name != prefix + "UNSPECIFIED")
        {
            findings.Add($"enum {type.FullName} has no {prefix}UNSPECIFIED = 0");
        }
    }

    private static void Check(MessageDescriptor type, List<string> findings)
    {
        if (!TypeName.IsMatch(type.Name))
        {
            findings.Add($"message {type.FullName} is not in UpperCamelCase");
        }

        foreach (FieldDescriptor field in type.Fields.InDeclarationOrder().Where(field => !FieldName.IsMatch(field.Name)))
        {
            findings.Add($"field {field.FullName} is not in lower_snake_case");
        }

        foreach (MessageDescriptor nested in type.NestedTypes)
        {
            Check(nested, findings);
        }

        foreach (EnumDescriptor nested in type.EnumTypes)
        {
            Check(nested, findings);
        }
    }

    private static void Check(MethodDescriptor method, List<string> findings)
    {
        if (!TypeName.IsMatch(method.Name))
        {
            findings.Add($"method {method.FullName} is not in UpperCamelCase");
        }

        // AIP-131 to 136: a request of its own can grow; a shared one can't.
        if (method.InputType.Name != method.Name + "Request")
        {
            findings.Add($"method {method.FullName} takes {method.InputType.Name} instead of {method.Name}Request");
        }

        // AIP-158: a list without pages can't get them later.
        if (method.Name.StartsWith("List", StringComparison.Ordinal)
            && (method.InputType.FindFieldByName("page_size") is null
                || method.InputType.FindFieldByName("page_token") is null
                || method.OutputType.FindFieldByName("next_page_token") is null))
        {
            findings.Add($"method {method.FullName} lists without page_size, page_token and next_page_token");
        }
    }
}
