namespace Dpu.Systemd.Bus;

/// <summary>The path of an object on a bus. Immutable; the shape is Tmds.DBus's.</summary>
/// <param name="Value">For example <c>/org/freedesktop/systemd1</c>.</param>
public readonly record struct ObjectPath(string Value)
{
    /// <inheritdoc/>
    public override string ToString() => Value;
}
