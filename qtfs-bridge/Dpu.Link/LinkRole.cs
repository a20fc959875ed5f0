namespace Dpu.Link;

/// <summary>What a certificate's holder is: the first part of its SAN URI <c>dpu://ROLE/NAME</c>.</summary>
public enum LinkRole
{
    /// <summary>A host agent: listens.</summary>
    Host,

    /// <summary>A DPU's runtime: dials hosts.</summary>
    Dpu,

    /// <summary>A person with <c>dpuctl</c>: dials a runtime's control address.</summary>
    Operator,
}
