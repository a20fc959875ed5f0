using System.Buffers.Binary;
using System.Globalization;
using System.Net.Sockets;
using System.Text;
using Dpu.Reconciler.Targets;
using Dpu.Reconciler.TrafficControl;
using Dpu.TestSupport;

namespace Dpu.Reconciler.Tests.TrafficControl;

/// <summary>
/// A virtual machine with Debian's kernel 6.12, flower, and interfaces ltc0 and ltc1 whose "hardware" takes filters (tests/lab). Its routing
/// netlink is a channel here: what is under test runs outside, on the guest's kernel.
/// </summary>
internal sealed class Guest : INetlinkChannel
{
    private static readonly TimeSpan _limit = TimeSpan.FromSeconds(60);
    private readonly TemporaryDirectory _folder = new();
    private readonly Queue<byte[]> _answers = new();
    private readonly RunningProgram _machine;
    private readonly Socket _port = new(AddressFamily.Unix, SocketType.Stream, ProtocolType.Unspecified) { ReceiveTimeout = (int)_limit.TotalMilliseconds };

    private bool _ended;

    internal Guest()
    {
        foreach (string tool in (string[])["busybox", "cpio", "xz", "modprobe", "gcc", "make"])
        {
            _ = Requires.Tool(tool);
        }

        _ = ExternalProgram.Check(Repository.PathOf("tests/lab/guest.sh"), [_folder.FullPath], TimeSpan.FromMinutes(3));

        // One processor: Debian 12's QEMU runs this kernel reliably with one alone.
        _machine = RunningProgram.Start(Requires.Tool("qemu-system-x86_64"),
        [
            "-M", "q35", "-accel", "tcg", "-cpu", "Haswell", "-smp", "1", "-m", "512", "-nodefaults", "-display", "none", "-no-reboot",
            "-serial", $"file:{_folder["console"]}", "-kernel", _folder["vmlinuz"], "-initrd", _folder["initrd"], "-append", "console=ttyS0 panic=-1 quiet mitigations=off",
            "-device", "virtio-serial-pci", "-chardev", $"socket,id=port,path={_folder["port"]},server=on,wait=off", "-device", "virtserialport,chardev=port,name=lab",
        ]);
        try
        {
            Eventually.True(() => File.Exists(_folder["port"]), _limit, "the virtual machine's port is there");
            _port.Connect(new UnixDomainSocketEndPoint(_folder["port"]));
            (char letter, byte[] bytes) = Frame();
            Assert.AreEqual(('x', "ready\n0"), (letter, Encoding.UTF8.GetString(bytes)), Console);
        }
        catch
        {
            Dispose();
            throw;
        }
    }

    public string Name => "the guest's rtnetlink";

    private string Console => File.Exists(_folder["console"]) ? File.ReadAllText(_folder["console"]) : "";

    /// <summary>Runs a command of the guest's shell, which must succeed; what it wrote.</summary>
    internal string Run(string command)
    {
        Send('X', Encoding.UTF8.GetBytes(command));
        while (true)
        {
            (char letter, byte[] bytes) = Frame();
            if (letter == 'n')
            {
                _answers.Enqueue(bytes);
                continue;
            }

            string text = Encoding.UTF8.GetString(bytes);
            int end = text.LastIndexOf('\n');
            Assert.AreEqual("0", text[(end + 1)..], $"{command}\n{text}");
            return text[..end];
        }
    }

    public void Send(ReadOnlySpan<byte> messages) => Send('N', messages);

    public int Receive(Span<byte> buffer)
    {
        byte[] answer = _answers.TryDequeue(out byte[]? kept) ? kept : Frame().Bytes;
        answer.CopyTo(buffer);
        return answer.Length;
    }

    public void Dispose()
    {
        // Each target that uses the channel ends it.
        if (_ended)
        {
            return;
        }

        _ended = true;
        _port.Dispose();
        _machine.Dispose();
        _folder.Dispose();
    }

    private void Send(char letter, ReadOnlySpan<byte> bytes)
    {
        byte[] frame = new byte[5 + bytes.Length];
        BinaryPrimitives.WriteInt32LittleEndian(frame, bytes.Length);
        frame[4] = (byte)letter;
        bytes.CopyTo(frame.AsSpan(5));
        _ = _port.Send(frame);
    }

    private (char Letter, byte[] Bytes) Frame()
    {
        byte[] head = Exactly(5);
        return ((char)head[4], Exactly(BinaryPrimitives.ReadInt32LittleEndian(head)));
    }

    private byte[] Exactly(int size)
    {
        byte[] bytes = new byte[size];
        for (int at = 0; at < size;)
        {
            int got = _port.Receive(bytes, at, size - at, SocketFlags.None);
            at += got > 0 ? got : throw new TargetException(string.Create(CultureInfo.InvariantCulture, $"the virtual machine went away; its console: {Console}"));
        }

        return bytes;
    }
}
