using System.Collections.Concurrent;
using Dpu.Fuse.Wire;
using Dpu.Linux;
using FsCheck;
using FsCheck.Fluent;

namespace Dpu.Fuse.Tests.Passthrough;

/// <summary>Locks of many owners that one process keeps, as their peer asks for them.</summary>
[TestClass]
public sealed class LockTests
{
    private const int Read = fcntl.F_RDLCK;
    private const int Write = fcntl.F_WRLCK;
    private const int Unlock = fcntl.F_UNLCK;
    private static readonly TimeSpan Limit = TimeSpan.FromSeconds(20);

    [TestMethod, TestCategory("root")]
    public void SetLk_OwnersOfOnePeer_AreInEachOthersWay()
    {
        using var lab = new Lab();
        ulong first = lab.Open();
        ulong second = lab.Open();
        Assert.AreEqual(0, lab.Set(first, owner: 1, Write, 0, 9));
        Assert.AreEqual(-errno.EAGAIN, lab.Set(second, owner: 2, Read, 9, 9));
        Assert.AreEqual(0, lab.Set(second, owner: 2, Read, 10, long.MaxValue));
        Assert.AreEqual(0, lab.Set(second, owner: 1, Write, 5, 9), "one owner by two handles");
        Assert.AreEqual(-errno.EAGAIN, lab.Set(first, owner: 1, Write, 0, 10));
        Assert.AreEqual(0, lab.Set(first, owner: 1, Unlock, 3, 5));
        Assert.AreEqual(0, lab.Set(second, owner: 2, Write, 3, 5), "a hole");
        Assert.AreEqual(-errno.EAGAIN, lab.Set(second, owner: 2, Write, 3, 6));
        Assert.AreEqual(0, lab.Set(first, owner: 3, Unlock, 0, 0), "who has none gives none back");
        Assert.AreEqual(2, lab.Files.LockOwners);

        lab.Flush(first, owner: 1);
        Assert.AreEqual(0, lab.Set(second, owner: 2, Write, 0, 20), "close(2) of the other one");
        lab.Flush(first, owner: 2);
        Assert.AreEqual(0, lab.Files.LockOwners);
        Assert.AreEqual((0, 0, 0), lab.Used);
    }

    [TestMethod, TestCategory("root")]
    public void SetLk_FlockOfTwoHandles_IsInEachOthersWayAndNotInThatOfRecordLocks()
    {
        using var lab = new Lab();
        ulong first = lab.Open();
        ulong second = lab.Open();
        Assert.AreEqual(0, lab.Set(first, 1, Write, 0, long.MaxValue, flock: true));
        Assert.AreEqual(-errno.EAGAIN, lab.Set(second, 2, Read, 0, long.MaxValue, flock: true));
        Assert.AreEqual(0, lab.Set(second, 2, Write, 0, long.MaxValue));
        lab.Release(first);
        Assert.AreEqual(0, lab.Set(second, 2, Write, 0, long.MaxValue, flock: true));
    }

    // The DPU's kernel makes the owner's number of an address, which the next open file may have at once.
    [TestMethod, TestCategory("root")]
    public void Release_OfAHandle_TakesWhatCameByItAndNotWhatTheNextOwnerOfTheNumberHas()
    {
        using var lab = new Lab();
        ulong closed = lab.Open();
        ulong next = lab.Open();
        ulong other = lab.Open();
        Assert.AreEqual(0, lab.Set(closed, owner: 7, Write, 0, 99));
        Assert.AreEqual(0, lab.Set(next, owner: 7, Write, 40, 49));
        lab.Release(closed);
        Assert.AreEqual(0, lab.Set(other, owner: 8, Write, 0, 39));
        Assert.AreEqual(-errno.EAGAIN, lab.Set(other, owner: 8, Write, 40, 40));
        Assert.AreEqual(0, lab.Set(other, owner: 8, Write, 50, 99));
        lab.Release(next);
        Assert.AreEqual(0, lab.Set(other, owner: 8, Write, 40, 49));
        lab.Release(other);
        Assert.AreEqual((0, 0, 0), lab.Used);
    }

    [TestMethod, TestCategory("root")]
    public void SetLk_AccessOfTheHandle_Counts_AndOneOwnerMayHaveBoth()
    {
        using var lab = new Lab();
        ulong reading = lab.Open(fcntl.O_RDONLY);
        ulong writing = lab.Open(fcntl.O_WRONLY);
        Assert.AreEqual(-errno.EBADF, lab.Set(reading, 1, Write, 0, 0));
        Assert.AreEqual(-errno.EBADF, lab.Set(writing, 1, Read, 0, 0));
        Assert.AreEqual(0, lab.Set(reading, 1, Read, 0, 9));
        Assert.AreEqual(0, lab.Set(writing, 1, Write, 5, 14), "by a description for both");
        ulong other = lab.Open();
        Assert.AreEqual(0, lab.Set(other, 2, Read, 0, 4), "still a read lock");
        Assert.AreEqual(-errno.EAGAIN, lab.Set(other, 2, Write, 0, 4), "still there");
        Assert.AreEqual(-errno.EAGAIN, lab.Set(other, 2, Read, 5, 5));
        Assert.AreEqual(0, lab.Set(writing, 3, Write, 100, 100));
        Assert.AreEqual(0, lab.Set(reading, 3, Read, 101, 101));
    }

    [TestMethod, TestCategory("root")]
    public void GetLk_SaysWhichLockAndWhose()
    {
        using var lab = new Lab();
        ulong handle = lab.Open();
        Assert.AreEqual((uint)Unlock, lab.Get(handle, 2, Write, 0, long.MaxValue).type);
        Assert.AreEqual(0, lab.Set(handle, 1, Read, 10, long.MaxValue, process: 77));
        fuse_file_lock found = lab.Get(handle, 2, Write, 0, long.MaxValue);
        Assert.AreEqual(((ulong)10, (ulong)long.MaxValue, (uint)Read, 77u), (found.start, found.end, found.type, found.pid));
        Assert.AreEqual((uint)Unlock, lab.Get(handle, 1, Write, 0, long.MaxValue).type, "its own");
    }

    [TestMethod, TestCategory("root")]
    [DataRow(false)]
    [DataRow(true)]
    public void SetLk_ThatWaits_IsAnsweredLater(bool flock)
    {
        using var lab = new Lab();
        ulong first = lab.Open();
        ulong second = lab.Open();
        Assert.AreEqual(0, lab.Set(first, 1, Write, 0, long.MaxValue, flock: flock));
        Assert.AreEqual(-errno.EAGAIN, lab.Set(second, 2, Write, 0, long.MaxValue, flock: flock, wait: true), "by a connection that takes no later answers");
        var late = new Answers();
        Assert.AreEqual(FuseFileSystem.Pending, lab.Set(second, 2, Write, 0, long.MaxValue, flock: flock, wait: true, late: late, unique: 10));
        Assert.AreEqual(1, lab.Files.LockWaits);
        Assert.AreEqual(0, lab.Set(first, 1, Unlock, 0, long.MaxValue, flock: flock));
        Assert.AreEqual((10UL, 0), late.Next());
        Assert.AreEqual(-errno.EAGAIN, lab.Set(first, 1, Read, 0, long.MaxValue, flock: flock));
        Assert.AreEqual(0, lab.Files.LockWaits);
    }

    [TestMethod, TestCategory("root")]
    public void Interrupt_BeforeAndAfterTheRequest_IsEINTR_AndTakesNothing()
    {
        using var lab = new Lab();
        ulong first = lab.Open();
        ulong second = lab.Open();
        var late = new Answers();
        Assert.AreEqual(0, lab.Set(first, 1, Write, 0, 0));
        Assert.AreEqual(FuseFileSystem.Pending, lab.Set(second, 2, Write, 0, 0, wait: true, late: late, unique: 10));
        lab.Files.Interrupt(10);
        Assert.AreEqual((10UL, -errno.EINTR), late.Next());
        lab.Files.Interrupt(12);
        Assert.AreEqual(-errno.EINTR, lab.Set(second, 2, Write, 0, 0, wait: true, late: late, unique: 12));
        Assert.AreEqual(FuseFileSystem.Pending, lab.Set(second, 2, Write, 0, 0, wait: true, late: late, unique: 14), "once only");
        lab.Files.Abandon(late);
        Assert.AreEqual(0, lab.Files.LockWaits);
        Assert.AreEqual(0, lab.Set(first, 1, Unlock, 0, 0));
        Assert.AreEqual(0, lab.Set(first, 1, Write, 0, 0), "nobody took it");
        Assert.IsTrue(late.IsEmpty, "an abandoned request is not answered");
    }

    [TestMethod, TestCategory("root")]
    public void SetLk_InACircle_IsEDEADLK()
    {
        using var lab = new Lab();
        ulong handle = lab.Open();
        var late = new Answers();
        for (ulong owner = 1; owner <= 4; owner++)
        {
            Assert.AreEqual(0, lab.Set(handle, owner, Write, owner, owner));
        }

        for (ulong owner = 1; owner <= 3; owner++)
        {
            Assert.AreEqual(FuseFileSystem.Pending, lab.Set(handle, owner, Read, owner + 1, owner + 1, wait: true, late: late, unique: owner * 2));
        }

        Assert.AreEqual(-errno.EDEADLK, lab.Set(handle, 4, Write, 1, 1, wait: true, late: late, unique: 100));
        lab.Flush(handle, 4);
        Assert.AreEqual((6UL, 0), late.Next());
    }

    [TestMethod, TestCategory("root")]
    public void Limits_OfOwnersRangesAndWaits_AreENOLCKAndTold()
    {
        var told = new ConcurrentQueue<string>();
        using var lab = new Lab(o => o with { Locks = new LockBudget(owners: 2, ranges: 4, waits: 1), OnLockLimit = told.Enqueue });
        ulong handle = lab.Open();
        var late = new Answers();
        Assert.AreEqual(0, lab.Set(handle, 1, Write, 0, 0));
        Assert.AreEqual(0, lab.Set(handle, 2, Write, 2, 2));
        Assert.AreEqual(-errno.ENOLCK, lab.Set(handle, 3, Write, 4, 4));
        Assert.AreEqual(0, lab.Set(handle, 1, Write, 10, 10));
        Assert.AreEqual(-errno.ENOLCK, lab.Set(handle, 1, Write, 20, 20), "it might make two more");
        Assert.AreEqual(0, lab.Set(handle, 1, Unlock, 10, 10));
        Assert.AreEqual(FuseFileSystem.Pending, lab.Set(handle, 1, Write, 2, 2, wait: true, late: late, unique: 2));
        Assert.AreEqual(-errno.ENOLCK, lab.Set(handle, 1, Write, 2, 2, wait: true, late: late, unique: 4));
        CollectionAssert.AreEqual((string[])["owners", "ranges", "waits"], told.ToArray());
        lab.Flush(handle, 2);
        Assert.AreEqual((2UL, 0), late.Next());
        Assert.AreEqual(0, lab.Set(handle, 1, Read, 2, 2));
        Assert.AreEqual(0, lab.Set(handle, 1, Write, 10, 19));
        Assert.AreEqual(0, lab.Set(handle, 1, Unlock, 12, 12));
        Assert.AreEqual(4, lab.Used.Ranges);
        Assert.AreEqual(-errno.ENOLCK, lab.Set(handle, 1, Unlock, 15, 15), "two of one");
        Assert.AreEqual(0, lab.Set(handle, 1, Unlock, 0, 0), "giving back is always possible");
        lab.Flush(handle, 1);
        Assert.AreEqual((0, 0, 0), lab.Used);
    }

    [TestMethod, TestCategory("root")]
    public void SetLk_OfRandomRequests_IsAnErrnoAndLeavesNothing()
    {
        Gen<(fuse_lk_in Request, bool Wait, int What)[]> sequences =
            (from handle in Gen.Choose(0, 4)
             from owner in Gen.Choose(0, 2)
             from start in Gen.Elements<ulong>(0, 1, 5, 1000, long.MaxValue, ulong.MaxValue)
             from end in Gen.Elements<ulong>(0, 1, 5, 2000, long.MaxValue, 1UL << 63, ulong.MaxValue)
             from type in Gen.Elements<uint>(0, 0, 1, 1, 2, 3, uint.MaxValue)
             from flags in Gen.Elements<uint>(0, 0, 1, uint.MaxValue)
             from wait in Gen.Elements(true, false)
             from what in Gen.Choose(0, 9)
             select (new fuse_lk_in { fh = (ulong)handle, owner = (ulong)owner, lk = new fuse_file_lock { start = start, end = end, type = type }, lk_flags = flags }, wait, what)).ArrayOf();
        using var lab = new Lab();
        int before = Directory.GetFiles("/proc/self/fd").Length;
        ulong unique = 2;
        Prop.ForAll(sequences.ToArbitrary(), sequence =>
        {
            ulong[] handles = [lab.Open(), lab.Open(fcntl.O_RDONLY), lab.Open(fcntl.O_WRONLY), 0, ulong.MaxValue];
            var late = new Answers();
            foreach ((fuse_lk_in request, bool wait, int what) in sequence)
            {
                fuse_lk_in sent = request with { fh = handles[request.fh] };
                unique += 2;
                int result = what switch
                {
                    0 => lab.Files.GetLk(new FuseCaller { Unique = unique }, lab.Node, sent, out _),
                    1 => lab.TryFlush(sent.fh, sent.owner),
                    _ => lab.Files.SetLk(new FuseCaller { Unique = unique, Late = wait ? late : null }, lab.Node, sent, wait),
                };
                Assert.IsTrue(result is (<= 0 and > -512) or FuseFileSystem.Pending, $"result {result}");
            }

            Array.ForEach(handles[..3], lab.Release);
            lab.Files.Abandon(late);
            Assert.AreEqual((0, 0, 0), lab.Used);
            return lab.Files.LockOwners == 0;
        }).Check(Config.QuickThrowOnFailure.WithMaxTest(300));
        Assert.IsLessThanOrEqualTo(before + 5, Directory.GetFiles("/proc/self/fd").Length);
    }

    [TestMethod, TestCategory("root")]
    public void SetLk_OfAnOwnerThatIsKnown_AllocatesNothing()
    {
        using var lab = new Lab();
        ulong handle = lab.Open();
        long allocated = long.MaxValue;
        for (int round = 0; round < 5; round++)
        {
            long before = GC.GetAllocatedBytesForCurrentThread();
            for (int i = 0; i < 100; i++)
            {
                lab.Set(handle, 1, Write, 0, 9);
                lab.Set(handle, 1, Read, 3, 4);
                lab.Set(handle, 1, Unlock, 0, long.MaxValue);
            }

            allocated = Math.Min(allocated, GC.GetAllocatedBytesForCurrentThread() - before);
        }

        Assert.AreEqual(0, allocated);
    }

    [TestMethod, TestCategory("root")]
    public void Dispose_WithLocksAndWaits_GivesAllBack()
    {
        var lab = new Lab();
        ulong handle = lab.Open();
        Assert.AreEqual(0, lab.Set(handle, 1, Write, 0, 0));
        Assert.AreEqual(FuseFileSystem.Pending, lab.Set(handle, 2, Write, 0, 0, wait: true, late: new Answers(), unique: 2));
        lab.Files.Destroy();
        Assert.AreEqual((0, 0, 0), lab.Used, "the end of the connection");
        lab.Dispose();
        Assert.AreEqual(-errno.EBADF, lab.Set(handle, 1, Write, 0, 0));
    }

    [TestMethod, TestCategory("root")]
    public void SetLk_WhereLocksAreThePeersOwn_IsENOSYS()
    {
        using var lab = new Lab(o => o with { HostLocks = false });
        ulong handle = lab.Open();
        Assert.AreEqual(-errno.ENOSYS, lab.Set(handle, 1, Write, 0, 0));
    }

    private sealed class Answers : IFuseLateReplies
    {
        private readonly BlockingCollection<(ulong, int)> _answers = [];

        public bool IsEmpty => _answers.Count == 0;

        public void Complete(ulong unique, int error) => _answers.Add((unique, error));

        public (ulong Unique, int Error) Next()
        {
            Assert.IsTrue(_answers.TryTake(out (ulong, int) answer, Limit), "no answer");
            return answer;
        }
    }

    private sealed class Lab : IDisposable
    {
        private LockBudget _budget = null!;

        public Lab(Func<PassthroughOptions, PassthroughOptions>? configure = null)
        {
            Export = new PeerExport(o =>
            {
                o = o with { HostLocks = true };
                o = configure?.Invoke(o) ?? o;
                _budget = o.Locks;
                return o;
            });
            File.WriteAllText(Export.In("f"), "");
            Node = Export.Lookup("f").nodeid;
        }

        public PeerExport Export { get; }

        public PassthroughFileSystem Files => Export.FileSystem;

        public ulong Node { get; }

        public (int Owners, int Ranges, int Waits) Used => (_budget.Owners.Used, _budget.Ranges.Used, _budget.Waits.Used);

        public ulong Open(int flags = fcntl.O_RDWR)
        {
            Assert.AreEqual(0, Export.Open(Node, flags, out ulong handle));
            return handle;
        }

        public int Set(ulong handle, ulong owner, int type, ulong start, ulong end, bool flock = false, bool wait = false, Answers? late = null, ulong unique = 2, uint process = 1) =>
            Files.SetLk(
                new FuseCaller { Unique = unique, Late = late },
                Node,
                new fuse_lk_in
                {
                    fh = handle,
                    owner = owner,
                    lk = new fuse_file_lock { start = start, end = end, type = (uint)type, pid = process },
                    lk_flags = flock ? FuseConstants.FUSE_LK_FLOCK : 0,
                },
                wait);

        public fuse_file_lock Get(ulong handle, ulong owner, int type, ulong start, ulong end)
        {
            var request = new fuse_lk_in { fh = handle, owner = owner, lk = new fuse_file_lock { start = start, end = end, type = (uint)type } };
            Assert.AreEqual(0, Files.GetLk(default, Node, request, out fuse_lk_out found));
            return found.lk;
        }

        public int TryFlush(ulong handle, ulong owner) => Files.Flush(default, Node, new fuse_flush_in { fh = handle, lock_owner = owner });

        public void Flush(ulong handle, ulong owner) => Assert.AreEqual(0, TryFlush(handle, owner));

        public void Release(ulong handle) => Export.Release(Node, handle);

        public void Dispose() => Export.Dispose();
    }
}
