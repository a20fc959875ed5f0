using Dpu.Linux;

namespace Dpu.Runtime.Processes;

// The process stops, and goes on.
internal sealed partial class StubProcess
{
    private void Stopped(int number)
    {
        // It crosses with what has it go on, which was sent already: when the host said so it had not come there.
        bool crosses = _goesOn && (_stoppedBy != 0 || !_heard);
        (_stoppedBy, _heard) = (number, true);
        if (!crosses)
        {
            History.Add($"stopped by signal {number}");

            // What is typed from now on is not for it.
            _mayRead = false;
            _stopArrivals = _channel!.Arrivals(terminals: true);
        }
    }

    private void Continued()
    {
        // Where its stub has it go on, that one does already.
        bool byItself = _stoppedBy != 0 && (!_goesOn || _wakesStub);
        History.Add("it goes on");
        (_stoppedBy, _stopArrivals, _goesOn, _heard, _wakesStub) = (0, null, false, true, false);
        if (byItself && StartOf(Stub) == _memory.Began)
        {
            _ = LibC.kill(Stub, signal.SIGCONT);
        }
    }
}
