using System.Runtime.InteropServices;
using System.Text;
using Dpu.Linux;

namespace Dpu.Systemd.Bus;

/// <summary>A message while it is written or read, on its bus's thread. Values are of the types that systemd's interfaces have.</summary>
/// <param name="message">sd-bus's own.</param>
internal readonly unsafe struct BusMessage(nint message)
{
    // For logs.
    private const int MaxError = 512;

    /// <summary>Adds a string, path, bool, byte, uint or ulong, or some of them.</summary>
    public void Write(object value)
    {
        switch (value)
        {
            case string text:
                WriteText('s', text);
                break;
            case ObjectPath path:
                WriteText('o', path.Value);
                break;
            case bool flag:
                int number = flag ? 1 : 0;
                Check(LibSystemd.sd_bus_message_append_basic(message, (byte)'b', &number));
                break;
            case int signed:
                Check(LibSystemd.sd_bus_message_append_basic(message, (byte)'i', &signed));
                break;
            case uint narrow:
                Check(LibSystemd.sd_bus_message_append_basic(message, (byte)'u', &narrow));
                break;
            case ulong wide:
                Check(LibSystemd.sd_bus_message_append_basic(message, (byte)'t', &wide));
                break;
            case byte small:
                Check(LibSystemd.sd_bus_message_append_basic(message, (byte)'y', &small));
                break;
            case byte[] bytes:
                WriteArray("y", Array.ConvertAll(bytes, one => (object)one), Write);
                break;
            case uint[] numbers:
                WriteArray("u", Array.ConvertAll(numbers, one => (object)one), Write);
                break;
            case string[] texts:
                WriteArray("s", texts, Write);
                break;
            case (string, object)[] properties:
                WriteArray("(sv)", properties, WriteProperty);
                break;
            case (string, (string, object)[])[] units:
                WriteArray("(sa(sv))", units, WriteUnit);
                break;
            default:
                throw new NotSupportedException($"a {value.GetType()} has no type of D-Bus here");
        }
    }

    /// <summary>Reads the next string or path.</summary>
    public string ReadText(char type)
    {
        byte* text = null;
        Check(LibSystemd.sd_bus_message_read_basic(message, (byte)type, &text));
        return TextOf(text);
    }

    /// <summary>Reads the next number.</summary>
    public uint ReadUInt32()
    {
        uint value = 0;
        Check(LibSystemd.sd_bus_message_read_basic(message, (byte)'u', &value));
        return value;
    }

    /// <summary>What it says where it is an error.</summary>
    public DBusException Error()
    {
        byte** error = LibSystemd.sd_bus_message_get_error(message);
        string text = error is null ? "" : TextOf(error[1]).ReplaceLineEndings(" ");
        return new DBusException(error is null ? "?" : TextOf(error[0]), text.Length > MaxError ? text[..MaxError] : text);
    }

    /// <summary>A NUL-terminated copy; D-Bus has no NUL in texts.</summary>
    public static byte[] Bytes(string text) => Encoding.UTF8.GetBytes(text.Replace('\0', ' ') + '\0');

    /// <summary>Throws where sd-bus refuses.</summary>
    public static void Check(int result)
    {
        if (result < 0)
        {
            throw new DisconnectedException(Marshal.GetPInvokeErrorMessage(-result));
        }
    }

    private static string TextOf(byte* text) => Marshal.PtrToStringUTF8((nint)text) ?? "";

    private static string SignatureOf(object value) => value switch
    {
        string => "s",
        ObjectPath => "o",
        bool => "b",
        int => "i",
        uint => "u",
        ulong => "t",
        byte[] => "ay",
        uint[] => "au",
        string[] => "as",
        _ => throw new NotSupportedException($"a {value.GetType()} has no type of D-Bus here"),
    };

    private void WriteText(char type, string text)
    {
        fixed (byte* bytes = Bytes(text))
        {
            Check(LibSystemd.sd_bus_message_append_basic(message, (byte)type, bytes));
        }
    }

    private void WriteArray<T>(string contents, T[] values, Action<T> write)
    {
        Open('a', contents);
        Array.ForEach(values, write);
        Close();
    }

    private void WriteProperty((string Name, object Value) property)
    {
        Open('r', "sv");
        Write(property.Name);
        Open('v', SignatureOf(property.Value));
        Write(property.Value);
        Close();
        Close();
    }

    private void WriteUnit((string Name, (string, object)[] Properties) unit)
    {
        Open('r', "sa(sv)");
        Write(unit.Name);
        Write(unit.Properties);
        Close();
    }

    private void Open(char type, string contents)
    {
        fixed (byte* bytes = Bytes(contents))
        {
            Check(LibSystemd.sd_bus_message_open_container(message, (byte)type, bytes));
        }
    }

    private void Close() => Check(LibSystemd.sd_bus_message_close_container(message));
}
