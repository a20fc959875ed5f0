namespace Dpu.Systemd.Bus;

/// <summary>
/// What of org.freedesktop.systemd1.Manager is used here (org.freedesktop.systemd1(5)). The shape is that of an interface for Tmds.DBus, which could
/// implement it; no call has a limit of its own. Each throws <see cref="DBusException"/> where systemd refuses, <see cref="DisconnectedException"/>
/// where the connection has ended.
/// </summary>
public interface ISystemdManager
{
    /// <summary>Has systemd send signals to this connection.</summary>
    Task SubscribeAsync();

    /// <summary>Makes a unit of no file, and starts it; the job that does.</summary>
    /// <param name="name">With its suffix.</param>
    /// <param name="mode">What becomes of jobs that are in its way, for example <c>fail</c>.</param>
    /// <param name="properties">Of it.</param>
    /// <param name="auxiliary">Further units that are made with it.</param>
    Task<ObjectPath> StartTransientUnitAsync(string name, string mode, (string Name, object Value)[] properties, (string Name, (string Name, object Value)[] Properties)[] auxiliary);

    /// <summary>Sends a signal to processes of a unit.</summary>
    /// <param name="name">The unit.</param>
    /// <param name="whom"><c>main</c>, <c>control</c> or <c>all</c>.</param>
    /// <param name="signal">Which.</param>
    Task KillUnitAsync(string name, string whom, int signal);

    /// <summary>The object of a unit that is loaded.</summary>
    Task<ObjectPath> GetUnitAsync(string name);

    /// <summary>Tells of each job that is over: <c>done</c>, <c>canceled</c>, <c>timeout</c>, <c>failed</c>, <c>dependency</c>, <c>skipped</c>.</summary>
    /// <param name="handler">Called on the bus's thread.</param>
    /// <returns>Ends it when it is disposed.</returns>
    Task<IDisposable> WatchJobRemovedAsync(Action<(uint Id, ObjectPath Job, string Unit, string Result)> handler);
}
