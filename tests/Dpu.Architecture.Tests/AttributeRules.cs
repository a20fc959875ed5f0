using System.Globalization;

namespace Dpu.Architecture.Tests;

/// <summary>Rules on attributes in built assemblies. Each returns one sentence a violation.</summary>
internal static class AttributeRules
{
    /// <summary>The categories that tests/README.md budgets.</summary>
    public static readonly string[] Categories = ["unit", "root", "interop", "vm", "offload", "soak"];

    /// <summary>Each test belongs to exactly one known category: budgets and filters go by it.</summary>
    public static IEnumerable<string> TestsWithoutCategory(IEnumerable<MethodWithAttributes> methods)
    {
        foreach (MethodWithAttributes method in methods.Where(m => m.Own.Any(a => a.Name is "TestMethodAttribute" or "DataTestMethodAttribute")))
        {
            string[] categories = [.. method.Own.Concat(method.Outer).Where(a => a.Name == "TestCategoryAttribute").Select(a => (string)a.Arguments[0]!).Distinct()];
            if (categories.Length != 1)
            {
                yield return $"{method.Name} ({method.Project}) has {categories.Length} categories; wanted: one of {string.Join(", ", Categories)}.";
            }
            else if (!Categories.Contains(categories[0]))
            {
                yield return $"{method.Name} ({method.Project}) has the unknown category '{categories[0]}'; known: {string.Join(", ", Categories)}.";
            }
        }
    }

    /// <summary>Log event ids are stable names for operators: given by hand, each once in the whole house.</summary>
    public static IEnumerable<string> LogEvents(IEnumerable<MethodWithAttributes> methods)
    {
        Dictionary<int, MethodWithAttributes> seen = [];
        foreach (MethodWithAttributes method in methods)
        {
            foreach (AttributeValue attribute in method.Own.Where(a => a.Name == "LoggerMessageAttribute"))
            {
                if (EventId(attribute) is not { } id)
                {
                    yield return $"{method.Name} ({method.Project}) has no event id.";
                }
                else if (!seen.TryAdd(id, method))
                {
                    yield return string.Create(CultureInfo.InvariantCulture, $"{method.Name} ({method.Project}) has event id {id} of {seen[id].Name} ({seen[id].Project}).");
                }
            }
        }
    }

    // LoggerMessageAttribute(int eventId, LogLevel level, string message) is the only constructor that takes an id.
    private static int? EventId(AttributeValue attribute) =>
        attribute.Named.TryGetValue("EventId", out object? named) ? (int?)named
        : attribute.Arguments.Count == 3 ? (int?)attribute.Arguments[0]
        : null;
}
