global using Dpu.EndToEnd.Tests.Lab;
global using Dpu.TestSupport;
