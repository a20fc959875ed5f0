using System.Runtime.InteropServices;
using System.Text;

namespace Dpu.Linux;

/// <summary>Becoming another program.</summary>
public static unsafe class Execute
{
    /// <summary>Becomes a program, with this one's environment and open files; returns only where that fails.</summary>
    /// <param name="path">The program.</param>
    /// <param name="arguments">argv, its name among them.</param>
    /// <returns>The errno.</returns>
    public static int Replace(string path, IReadOnlyList<string> arguments)
    {
        ArgumentNullException.ThrowIfNull(arguments);
        List<string> environment = [];
        foreach (System.Collections.DictionaryEntry variable in Environment.GetEnvironmentVariables())
        {
            environment.Add($"{variable.Key}={variable.Value}");
        }

        fixed (byte* program = Encoding.UTF8.GetBytes(path + '\0'))
        {
            // SAFETY: arrays of NUL-terminated strings that end with null; nothing is freed, for where it succeeds all of this process is gone.
            return -LibC.Result(LibC.execve(program, Strings(arguments), Strings(environment)));
        }
    }

    private static byte** Strings(IReadOnlyList<string> texts)
    {
        var all = (byte**)NativeMemory.AllocZeroed((nuint)texts.Count + 1, (nuint)sizeof(byte*));
        for (int i = 0; i < texts.Count; i++)
        {
            all[i] = (byte*)Marshal.StringToCoTaskMemUTF8(texts[i]);
        }

        return all;
    }
}
