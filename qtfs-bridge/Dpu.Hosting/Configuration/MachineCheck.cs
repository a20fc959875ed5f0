using Dpu.Hosting.Machine;

namespace Dpu.Hosting.Configuration;

/// <summary>
/// Compares a configuration with this machine, for <c>--check-config</c>: a configuration may be right and still name
/// what is not here (yet). Reads metadata only.
/// </summary>
internal static class MachineCheck
{
    public static IEnumerable<ConfigurationError> Of<T>(T configuration, string file)
        where T : class, IDaemonConfiguration<T>
    {
        ConfigurationError Warn(string key, string message) => new(file, 0, key, message, null);
        if (configuration.Tls is { } tls)
        {
            foreach ((string key, string? path) in
                new[] { ("certificate", tls.Certificate), ("key", tls.Key), ("authority", tls.Authority), ("revocations", tls.Revocations) })
            {
                if (path is not null && !File.Exists(path))
                {
                    yield return Warn($"tls.{key}", $"{path} does not exist here; dpuctl pki issue makes it");
                }
            }
        }

        if (configuration is HostAgentConfiguration agent)
        {
            foreach (ExportConfiguration export in agent.Exports.Where(e => !Directory.Exists(e.Path)))
            {
                yield return Warn("exports", $"{export.Path} of \"{export.Name}\" is no directory here");
            }

            foreach (ProgramConfiguration program in agent.Programs)
            {
                if (Placement.Missing(program.Cpus, program.Nodes, MachineTopology.Here) is { } missing)
                {
                    yield return Warn("programs", $"{program.Path}: {missing}");
                }
            }
        }
    }
}
