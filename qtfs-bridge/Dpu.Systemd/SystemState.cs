using System.ComponentModel;
using System.Diagnostics;

namespace Dpu.Systemd;

/// <summary>What systemd says of the machine as a whole.</summary>
public static class SystemState
{
    private static readonly TimeSpan Limit = TimeSpan.FromSeconds(2);

    /// <summary>
    /// Whether the machine is being shut down, as <c>systemctl is-system-running</c> says; false where systemd does not run this service, or
    /// does not answer within 2 s.
    /// </summary>
    public static bool IsStopping()
    {
        if (string.IsNullOrEmpty(Environment.GetEnvironmentVariable("NOTIFY_SOCKET")) && string.IsNullOrEmpty(Environment.GetEnvironmentVariable("INVOCATION_ID")))
        {
            return false;
        }

        try
        {
            using Process? asked = Process.Start(new ProcessStartInfo("systemctl", ["is-system-running"]) { RedirectStandardOutput = true, RedirectStandardError = true });
            if (asked is null)
            {
                return false;
            }

            if (!asked.WaitForExit(Limit))
            {
                asked.Kill();
                return false;
            }

            return asked.StandardOutput.ReadToEnd().Trim() == "stopping";
        }
        catch (Exception e) when (e is Win32Exception or InvalidOperationException)
        {
            // Expected where there is no systemctl.
            return false;
        }
    }
}
