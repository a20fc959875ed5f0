using System.Reflection;
using System.Reflection.Emit;

namespace Dpu.Linux.Tests.Layout;

/// <summary>What the runtime itself lays out: sizes and offsets as compiled code sees them, not as marshalling would.</summary>
internal static class ManagedLayout
{
    /// <summary>The size of a value type in bytes.</summary>
    internal static int SizeOf(Type type)
    {
        var method = new DynamicMethod("size", typeof(int), [], typeof(ManagedLayout).Module, skipVisibility: true);
        ILGenerator code = method.GetILGenerator();
        code.Emit(OpCodes.Sizeof, type);
        code.Emit(OpCodes.Ret);
        return method.CreateDelegate<Func<int>>()();
    }

    /// <summary>The offset of an instance field in bytes.</summary>
    internal static int OffsetOf(Type type, FieldInfo field)
    {
        var method = new DynamicMethod("offset", typeof(int), [], typeof(ManagedLayout).Module, skipVisibility: true);
        ILGenerator code = method.GetILGenerator();
        LocalBuilder local = code.DeclareLocal(type);
        code.Emit(OpCodes.Ldloca, local);
        code.Emit(OpCodes.Ldflda, field);
        code.Emit(OpCodes.Conv_U);
        code.Emit(OpCodes.Ldloca, local);
        code.Emit(OpCodes.Conv_U);
        code.Emit(OpCodes.Sub);
        code.Emit(OpCodes.Conv_I4);
        code.Emit(OpCodes.Ret);
        return method.CreateDelegate<Func<int>>()();
    }
}
