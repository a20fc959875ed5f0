using System.Security.Cryptography;
using System.Text;
using System.Text.RegularExpressions;
using Dpu.Fuse;
using Dpu.Hosting.Configuration;
using Dpu.Relay.Processes;

namespace Dpu.HostAgent.Processes;

/// <summary>A program that some peers may have run, as the configuration says. Immutable.</summary>
/// <param name="definition">What it says.</param>
/// <param name="identity">As whom.</param>
public sealed class ProgramRule(ProgramConfiguration definition, IdentityPolicy identity)
{
    private const RegexOptions Options = RegexOptions.NonBacktracking | RegexOptions.CultureInvariant | RegexOptions.Singleline | RegexOptions.ExplicitCapture;

    private readonly Regex? _arguments = Any(definition.Arguments, slashes: true);
    private readonly Regex? _environment = Any(definition.Environment, slashes: true);
    private readonly Regex? _directories = Any(definition.Directories, slashes: false);

    /// <summary>What the configuration says.</summary>
    public ProgramConfiguration Definition => definition;

    /// <summary>As whom the peer's users act.</summary>
    public IdentityPolicy Identity => identity;

    /// <summary>Whether a peer's program by this name, or path, may be meant.</summary>
    public bool Names(string peer, string program) =>
        definition.Peers.Contains(peer, StringComparer.Ordinal)
        && (program.Contains('/', StringComparison.Ordinal) ? program == definition.Path : program == Path.GetFileName(definition.Path));

    /// <summary>What speaks against it, for people, naming the key of the configuration; null where nothing does. May read the program's file.</summary>
    public string? Problem(ProcessSpec spec, out uint uid, out uint gid)
    {
        ArgumentNullException.ThrowIfNull(spec);
        (uid, gid) = (0, 0);
        if (spec.Identity is not { } who || !identity.TryToHost(who.Uid, who.Gid, out uid, out gid))
        {
            return $"\"userMap\" or \"groupMap\" has no counterpart for uid {spec.Identity?.Uid}, gid {spec.Identity?.Gid}";
        }

        for (int i = 1; i < spec.Arguments.Count; i++)
        {
            string argument = Encoding.UTF8.GetString(spec.Arguments[i]);
            if (_arguments?.IsMatch(argument) != true)
            {
                return $"\"arguments\" has no pattern for argument {i}, '{Link.Printable.Clean(argument, 256)}'";
            }
        }

        if (_directories?.IsMatch(spec.Directory) != true)
        {
            return $"\"directories\" has no pattern for '{Link.Printable.Clean(spec.Directory, 256)}'";
        }

        return definition.Sha256 is { } wanted && HashOf(definition.Path) is var found && found != wanted
            ? $"\"sha256\" is {wanted}, but the file's is {found}"
            : null;
    }

    /// <summary>The variables that are passed on.</summary>
    public IEnumerable<byte[]> Passed(IEnumerable<byte[]> environment) => environment.Where(variable =>
    {
        int end = variable.AsSpan().IndexOf((byte)'=');
        return end > 0 && _environment?.IsMatch(Encoding.UTF8.GetString(variable, 0, end)) == true;
    });

    private static string HashOf(string path)
    {
        try
        {
            using FileStream file = File.OpenRead(path);
            return Convert.ToHexStringLower(SHA256.HashData(file));
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            return $"unreadable ({e.Message})";
        }
    }

    // Not backtracking: the texts are the peer's choice.
    private static Regex? Any(IReadOnlyList<string> patterns, bool slashes) => patterns.Count == 0 ? null : new Regex(
        string.Join('|', patterns.Select(pattern => Translate(pattern, slashes))), Options);

    private static string Translate(string pattern, bool slashes)
    {
        var text = new StringBuilder("^(");
        for (int i = 0; i < pattern.Length; i++)
        {
            bool two = i + 1 < pattern.Length && pattern[i] == '*' && pattern[i + 1] == '*';
            _ = pattern[i] switch
            {
                '*' when two || slashes => text.Append(".*"),
                '*' => text.Append("[^/]*"),
                '?' => text.Append(slashes ? "." : "[^/]"),
                char letter => text.Append(Regex.Escape(letter.ToString())),
            };
            i += two ? 1 : 0;
        }

        return text.Append(")$").ToString().Replace(")$", ")\\z", StringComparison.Ordinal);
    }
}

/// <summary>What is permitted now. Thread-safe.</summary>
public sealed class ProgramPolicy
{
    private volatile IReadOnlyList<ProgramRule> _rules = [];

    /// <summary>Puts rules into force; what runs goes on.</summary>
    public void Configure(IReadOnlyList<ProgramRule> rules) => _rules = rules;

    /// <summary>All rules that name a program which a peer has had run; all of them bind it.</summary>
    public IReadOnlyList<ProgramConfiguration> Of(string peer, string path) => [.. _rules.Where(rule => rule.Names(peer, path)).Select(rule => rule.Definition)];

    /// <summary>The rule by which a peer may have something run; null where there is none, and why.</summary>
    /// <param name="peer">Who asks.</param>
    /// <param name="spec">For what.</param>
    /// <param name="uid">As which user.</param>
    /// <param name="gid">With which group.</param>
    /// <param name="missing">What is missing, for people.</param>
    public ProgramRule? Find(string peer, ProcessSpec spec, out uint uid, out uint gid, out string missing)
    {
        ArgumentNullException.ThrowIfNull(spec);
        (uid, gid) = (0, 0);
        missing = $"no rule of the host's \"programs\" names {Link.Printable.Clean(spec.Program, 256)} for '{peer}'";
        foreach (ProgramRule rule in _rules.Where(rule => rule.Names(peer, spec.Program)))
        {
            if (rule.Problem(spec, out uid, out gid) is not { } problem)
            {
                return rule;
            }

            missing = $"the rule of the host's \"programs\" for {rule.Definition.Path} does not permit it: {problem}";
        }

        return null;
    }
}
