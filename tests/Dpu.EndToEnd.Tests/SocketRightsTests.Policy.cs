using System.Text.Json.Nodes;

namespace Dpu.EndToEnd.Tests;

// What the policy has to say of what programs pass: users who are mapped, and interfaces.
public sealed partial class SocketRightsTests
{
    [TestMethod]
    [TestCategory("root")]
    public void WithIdMaps_AFileIsOpenedAsWhoPassesIt_AndWhoIsNotMappedPassesNothing()
    {
        using var pair = new Pair();
        JsonObject export = Pair.Export("data", pair.ExportRoot, squash: "root");
        export["sockets"] = new JsonObject { ["connect"] = new JsonArray("*.sock") };
        export["userMap"] = new JsonArray(new JsonObject { ["dpu"] = 1000, ["host"] = 2000, ["count"] = 2 });
        export["groupMap"] = new JsonArray(new JsonObject { ["dpu"] = 1000, ["host"] = 3000, ["count"] = 2 });
        pair.AgentConfiguration["exports"] = new JsonArray(export);
        File.SetUnixFileMode(pair.Folder, (UnixFileMode)0x1ed);
        Shell.Check("chmod 777 .; echo -n mine > mine; chown 2000:3000 mine; echo -n other > other; chown 2001:3001 other; chmod 600 mine other", pair.ExportRoot);
        string mount = pair.Up();
        const string As =
            """
            def use(fd):
                try: return os.read(fd, 100)
                except OSError as e: return errno.errorcode[e.errno]
            def become(uid): os.setresuid(0, 0, 0); os.setresgid(uid, uid, 0); os.setresuid(uid, uid, 0)
            def opened(uid, name):
                become(uid); fd = os.open(name, os.O_RDONLY); become(0); return fd

            """;
        using RunningProgram server = Shell.StartPythonServer(
            Tools + As + """
            os.umask(0); l = listener('maps.sock')
            c, _ = l.accept(); data, fds = take(c); say(struct.unpack('3i', c.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, 12))[1:], data, [use(fd) for fd in fds])
            """,
            pair.ExportRoot);
        using RunningProgram client = Shell.StartPython(
            Tools + As + """
            os.setgroups([]); os.umask(0)
            mine, other = opened(1000, 'mine'), opened(1001, 'other')
            become(1500)
            try: s = connected('maps.sock'); s.send(b'x'); say('not mapped', s.recv(10))
            except OSError as e: say('not mapped', errno.errorcode[e.errno])
            become(1000); s = connected('maps.sock'); give(s, b'mapped', mine, other)
            say('done'); s.recv(1)
            """,
            mount);
        Assert.IsTrue(client.WaitForExit(Pair.Limit) && client.ExitCode == 0, client.Output + client.Error + server.Output + server.Error + pair.Runtime.Log + pair.Agent.Log);
        string[] lines = Shell.End(client);
        Assert.IsTrue(lines[0] is "not mapped ECONNRESET" or "not mapped b''" or "not mapped EPIPE" or "not mapped ECONNREFUSED", lines[0]);
        Assert.AreEqual("done", lines[1]);
        CollectionAssert.AreEqual(new[] { "ready", "(2000, 3000) b'mapped' [b'mine', 'EBADF']" }, Shell.End(server), pair.Agent.Log);
        Eventually.True(() => pair.Agent.Log.Contains("the export's policy or this kernel refuses to open it", StringComparison.Ordinal), Pair.Limit, "the log line");
    }

    [TestMethod]
    [TestCategory("root")]
    public void Interfaces_TheOneOfTheSameNameThere_WhereARuleNamesIt_BothWays()
    {
        using var pair = new Pair();
        JsonArray Rules() => new(new JsonObject { ["match"] = "dpt?" }, new JsonObject { ["match"] = "dpmade*", ["create"] = true });
        JsonObject export = Pair.Export("data", pair.ExportRoot);
        export["sockets"] = new JsonObject { ["connect"] = new JsonArray("*.sock") };
        export["interfaces"] = Rules();
        pair.AgentConfiguration["exports"] = new JsonArray(export);
        string mount = pair.Up(changeRuntime: runtime => runtime["hosts"]![0]!["interfaces"] = Rules());

        // Both daemons have this machine's interfaces, and each program one of the same name in a network namespace of its own.
        const string Tap =
            """
            TUNSETIFF, TUNGETIFF, TUNGETVNETHDRSZ, TUNSETVNETHDRSZ = 0x400454ca, 0x800454d2, 0x800454d7, 0x400454d8
            ctypes.CDLL(None).unshare(0x40000000)
            def tap(name, flags):
                fd = os.open('/dev/net/tun', os.O_RDWR | os.O_NONBLOCK); fcntl.ioctl(fd, TUNSETIFF, struct.pack('16sH22x', name, flags))
                if flags & 0x4000: fcntl.ioctl(fd, TUNSETVNETHDRSZ, struct.pack('i', 12))
                return fd
            def look(fd):
                try: name, flags = struct.unpack('16sH22x', fcntl.ioctl(fd, TUNGETIFF, b' ' * 40))
                except OSError as e: return errno.errorcode[e.errno]
                size = struct.unpack('i', fcntl.ioctl(fd, TUNGETVNETHDRSZ, b'    '))[0] if flags & 0x4000 else 0
                try: written = os.write(fd, b'\0' * size + b'\xff' * 6 + b'\x02' * 6 + b'\x88\xb5' + b'x' * 50)
                except OSError as e: written = errno.errorcode[e.errno]
                return name.rstrip(b'\0').decode(), hex(flags & 0x5103), size, os.get_blocking(fd), written
            def play(s, first):
                if first:
                    give(s, b'taps', tap(b'dpt0', 0x5002), tap(b'dptm', 0x1102), tap(b'dpmade0', 0x1002), tap(b'secret0', 0x1002), tap(b'dpt9', 0x1002))
                    s.recv(4)
                else:
                    data, fds = take(s); say([look(fd) for fd in fds]); [os.close(fd) for fd in fds]; s.send(b'next')

            """;
        Shell.Check("ip tuntap add dev dpt0 mode tap vnet_hdr; ip tuntap add dev dptm mode tap multi_queue; ip link set dpt0 up; ip link set dptm up", "/");
        try
        {
            using RunningProgram server = Shell.StartPythonServer(Tools + Tap + "c, _ = listener('taps.sock').accept()\nplay(c, False); play(c, True); say(c.recv(10))", pair.ExportRoot);
            string[] lines = Shell.Python(Tools + Tap + "s = connected('taps.sock')\nplay(s, True); play(s, False); s.send(b'goes on')", mount);
            string expected = "[('dpt0', '0x5002', 12, False, 76), ('dptm', '0x1102', 0, False, 64), ('dpmade0', '0x1002', 0, False, 'EIO'), 'EBADF', 'EBADF']";
            CollectionAssert.AreEqual(new[] { expected }, lines);
            CollectionAssert.AreEqual(new[] { "ready", expected, "b'goes on'" }, Shell.End(server));
            Assert.AreEqual("2 2", Shell.Check("echo $(cat /sys/class/net/dpt0/statistics/rx_packets /sys/class/net/dptm/statistics/rx_packets)", "/"), "what was written came in here");
            foreach (string log in (string[])[pair.Runtime.Log, pair.Agent.Log])
            {
                Assert.Contains("interface secret0 of this machine may not be had", log);
                Assert.Contains("this machine has no interface dpt9: make it (ip tuntap add dev dpt9 mode tap)", log);
            }
        }
        finally
        {
            _ = Shell.Run("ip link del dpt0; ip link del dptm", "/");
        }
    }
}
