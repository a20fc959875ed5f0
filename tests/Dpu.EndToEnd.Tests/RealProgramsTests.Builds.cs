namespace Dpu.EndToEnd.Tests;

// A build with make(1), which believes times, and a compiler, which maps and renames.
public sealed partial class RealProgramsTests
{
    private const string Sources =
        """
        for i in $(seq 1 20); do
            n=$((i % 20 + 1))
            printf 'int u%d(int);\n' $i > u$i.h
            printf '#include "u%d.h"\n#include "u%d.h"\nint u%d(int x) { return x <= 0 ? %d : u%d(x - 1); }\n' $i $n $i $i $n > u$i.c
        done
        printf '#include "u1.h"\n#include <stdio.h>\nint main(void) { printf("%%d\\n", u1(1000)); return u1(1000) != 1; }\n' > main.c
        cat > Makefile <<'MAKE'
        objects := $(patsubst %.c,%.o,$(wildcard *.c))
        CFLAGS := -O1 -MMD
        program: main.o libu.a
        	$(CC) -o $@ main.o -L. -lu
        libu.a: $(filter-out main.o,$(objects))
        	$(AR) rc $@ $^
        check: program
        	./program
        -include $(objects:.o=.d)
        MAKE
        """;

    [TestMethod]
    [TestCategory("interop")]
    [DataRow(ThreeMounts.None)]
    [DataRow(ThreeMounts.Coherent)]
    public void Make_OfManyFiles_BuildsRunsAndNoticesWhatTheHostChanged(string cache)
    {
        (string there, string onHost) = s_mounts.Place(cache, "build");
        Sh(Sources, there);
        Assert.AreEqual("1\n", Sh("make -s -j2 check", there), "the tests of what was built");
        Sh("make -q program", there);
        Sh("make -q program && ./program", onHost);

        // A header that two objects include: by the DPU, then by the host.
        Assert.AreEqual("2\n", Sh("touch u7.h && make -j2 program | grep -c '^cc .*-c'", there));
        Sh("sed -i 's/? 7 :/? 77 :/' u7.c && echo '/* by the host */' >> u9.h", onHost);
        Assert.IsTrue(Eventually.Within(() => Sh("make -q program || echo old", there) == "old\n", TimeSpan.FromSeconds(5)), "the host's change is unseen");
        Assert.AreEqual("3\n", Sh("make -j2 program | grep -c '^cc .*-c'", there));
        Sh("make -q program && ./program", there);

        // What the host builds by itself from the same sources is the same, byte for byte.
        string local = Path.Combine(s_mounts.Folder, $"build-{cache}");
        Sh($"cp -a {onHost} {local} && cd {local} && rm *.o && make -s -j2 program && cmp u7.o {there}/u7.o && cmp main.o {there}/main.o", "/");
    }
}
