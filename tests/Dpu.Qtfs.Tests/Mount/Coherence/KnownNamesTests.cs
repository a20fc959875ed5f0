using System.Globalization;
using System.Text;
using Dpu.Qtfs.Mount.Coherence;
using FsCheck;
using FsCheck.Fluent;

namespace Dpu.Qtfs.Tests.Mount.Coherence;

[TestClass]
public sealed class KnownNamesTests
{
    [TestMethod]
    [TestCategory("unit")]
    public void Names_AddedAnyNumberOfTimes_AreTakenOnceEach() =>
        Prop.ForAll<(byte Directory, byte[] Name)[]>(added =>
        {
            var names = new KnownNames();
            bool all = true;
            foreach ((byte directory, byte[] name) in added)
            {
                all &= names.Add(directory, name.AsSpan(0, Math.Min(name.Length, 255)));
            }

            List<string> taken = Taken(names, onlyFull: false);
            return all && names.Count == 0
                && taken.Order(StringComparer.Ordinal).SequenceEqual(added.Select(one => Text(one.Directory, one.Name.AsSpan(0, Math.Min(one.Name.Length, 255)))).Distinct().Order(StringComparer.Ordinal));
        }).QuickCheckThrowOnFailure();

    [TestMethod]
    [TestCategory("unit")]
    public void FullPart_TakesOnlyWhatMustBe_AndHasRoomOnceItIsTaken()
    {
        var names = new KnownNames();
        int refused = 0;
        while (names.Add(7, Name(refused)))
        {
            refused++;
        }

        Assert.IsGreaterThanOrEqualTo(KnownNames.MostOfPart, refused);
        Assert.IsTrue(names.Add(7, Name(0)), "known already");
        Assert.IsTrue(names.Add(7, Name(refused), always: true));
        int before = names.Count;
        List<string> taken = Taken(names, onlyFull: true);
        Assert.HasCount(before - names.Count, taken);
        Assert.IsGreaterThanOrEqualTo(KnownNames.MostOfPart + 1, taken.Count);
        Assert.IsTrue(names.Add(7, Name(refused)));
        Assert.IsGreaterThan(0, names.Count, "the other parts stay");
    }

    private static byte[] Name(int number) => Encoding.ASCII.GetBytes(number.ToString(CultureInfo.InvariantCulture));

    private static List<string> Taken(KnownNames names, bool onlyFull)
    {
        List<string> taken = [];
        foreach (TakenNames some in names.Take(onlyFull))
        {
            using TakenNames arena = some;
            ReadOnlySpan<byte> rest = arena.Arena;
            while (KnownNames.Read(ref rest, out ulong directory, out ReadOnlySpan<byte> name))
            {
                taken.Add(Text(directory, name));
            }
        }

        return taken;
    }

    private static string Text(ulong directory, ReadOnlySpan<byte> name) => $"{directory}/{Convert.ToHexString(name)}";
}
