namespace Dpu.Relay.Descriptors;

/// <summary>Carries descriptors for one relay. Its calls return at once; what they begin ends on other threads.</summary>
public interface IDescriptorPassing
{
    /// <summary>Says what descriptors are that a program here has passed.</summary>
    /// <param name="descriptors">They; its own from now on.</param>
    /// <param name="done">Given the content of the frame that tells of them; called once.</param>
    void Describe(int[] descriptors, Action<byte[]> done);

    /// <summary>Makes what a program of the other end has passed.</summary>
    /// <param name="content">The content of such a frame, from a peer that is not trusted.</param>
    /// <param name="done">Given as many descriptors, which are its own; null where the peer broke the protocol. Called once.</param>
    void Make(byte[] content, Action<int[]?> done);

    /// <summary>Closes descriptors: where they are files of a mount that this process serves, that waits for it.</summary>
    void Close(int[] descriptors);
}
