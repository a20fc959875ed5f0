global using Dpu.Keeper.Tests.Lab;
global using Dpu.TestSupport;
