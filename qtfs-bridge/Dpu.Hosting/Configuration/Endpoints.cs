using Dpu.Link;

namespace Dpu.Hosting.Configuration;

/// <summary>Checks over several values at once.</summary>
internal static class Endpoints
{
    /// <summary>Whether connections there are authenticated by certificates (unix ones are by uid).</summary>
    public static bool NeedsTls(LinkEndpoint endpoint) => endpoint.Transport != LinkTransport.Unix;

    /// <summary>Reports every value that is there twice; empty ones have been reported already.</summary>
    public static void ReportDuplicates(ObjectReader reader, string key, IEnumerable<string> values)
    {
        foreach (IGrouping<string, string> group in values.Where(v => v.Length > 0).GroupBy(v => v, StringComparer.Ordinal))
        {
            if (group.Skip(1).Any())
            {
                reader.Error(key, $"has \"{group.Key}\" twice", "each once");
            }
        }
    }
}
