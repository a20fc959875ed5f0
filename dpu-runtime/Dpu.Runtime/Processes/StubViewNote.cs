using System.Globalization;
using Dpu.Runtime.Views;

namespace Dpu.Runtime.Processes;

/// <summary>
/// Which view a stub is in, for a runtime that comes after the one that knew it: a view that ends meanwhile ends its stubs, and that is no order to end
/// what they stand for. Immutable.
/// </summary>
/// <param name="Init">The number of the view's first process here.</param>
/// <param name="Began">When that one began, in the kernel's ticks since boot: its number may be another one's by now.</param>
internal sealed record StubViewNote(int Init, long Began)
{
    /// <summary>Whether it has ended, or is just ending all that is in it: a process gives up its namespaces before it ends those in its own.</summary>
    public bool HasEnded => StubProcess.StartOf(Init) != Began || ViewInit.NamespaceOf(Init, "mnt").Length == 0;

    /// <summary>The note of a view's first process.</summary>
    public static StubViewNote Of(int init) => new(init, StubProcess.StartOf(init));

    /// <summary>As it is noted.</summary>
    public override string ToString() => string.Create(CultureInfo.InvariantCulture, $"{Init}:{Began}");

    /// <summary>Reads it; null where it is none.</summary>
    public static StubViewNote? Read(string text)
    {
        int colon = text.IndexOf(':', StringComparison.Ordinal);
        return colon > 0 && int.TryParse(text.AsSpan(0, colon), NumberStyles.None, CultureInfo.InvariantCulture, out int init)
            && long.TryParse(text.AsSpan(colon + 1), NumberStyles.None, CultureInfo.InvariantCulture, out long began) ? new(init, began) : null;
    }
}
