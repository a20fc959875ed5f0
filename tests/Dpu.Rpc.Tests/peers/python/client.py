"""The interop client on grpcio: client.py TARGET CASE. Exit status 0 when the case holds; the reason on stderr otherwise."""
import queue
import sys

import grpc

from testing import INITIAL, MESSAGES, METHODS, SERVICE, TRAILING, payload

RESPONSE_SIZES = [31415, 9, 2653, 58979]
REQUEST_SIZES = [27182, 8, 1828, 45904]
SPECIAL = "\t\ntest with whitespace\r\nand Unicode BMP \u263a and non-BMP \U0001f608\t\n"
ECHO = ((INITIAL, "test_initial_metadata_value"), (TRAILING, b"\xab\xab\xab"))
M = MESSAGES


def method(channel, name, service=SERVICE):
    requests, responses, request, response = METHODS[name]
    make = getattr(channel, f"{'stream' if requests else 'unary'}_{'stream' if responses else 'unary'}")
    return make(f"/{service}/{name}", request_serializer=M[request].SerializeToString, response_deserializer=M[response].FromString)


def failure(call, code):
    try:
        result = call()
        if hasattr(result, "__iter__"):
            list(result)
    except grpc.RpcError as error:
        assert error.code() == code, f"{error.code()}: {error.details()}"
        return error
    raise AssertionError(f"the call succeeded; expected {code}")


def output_request(size, request_size=0, **fields):
    return M["StreamingOutputCallRequest"](
        response_parameters=[M["ResponseParameters"](size=size)], payload=payload(request_size), **fields)


def assert_echoed(call):
    assert dict(call.initial_metadata())[INITIAL] == "test_initial_metadata_value"
    assert dict(call.trailing_metadata())[TRAILING] == b"\xab\xab\xab"


def empty_unary(channel):
    assert method(channel, "EmptyCall")(M["Empty"](), timeout=10) == M["Empty"]()


def large_unary(channel):
    response = method(channel, "UnaryCall")(M["SimpleRequest"](response_size=314159, payload=payload(271828)), timeout=10)
    assert len(response.payload.body) == 314159


def server_streaming(channel):
    request = M["StreamingOutputCallRequest"](response_parameters=[M["ResponseParameters"](size=s) for s in RESPONSE_SIZES])
    assert [len(r.payload.body) for r in method(channel, "StreamingOutputCall")(request, timeout=10)] == RESPONSE_SIZES


def client_streaming(channel):
    requests = (M["StreamingInputCallRequest"](payload=payload(s)) for s in REQUEST_SIZES)
    assert method(channel, "StreamingInputCall")(requests, timeout=10).aggregated_payload_size == 74922


def ping_pong(channel):
    pending = queue.Queue()
    responses = method(channel, "FullDuplexCall")(iter(pending.get, None), timeout=10)
    for request_size, size in zip(REQUEST_SIZES, RESPONSE_SIZES):
        pending.put(output_request(size, request_size))
        assert len(next(responses).payload.body) == size
    pending.put(None)
    assert list(responses) == []


def empty_stream(channel):
    assert list(method(channel, "FullDuplexCall")(iter(()), timeout=10)) == []


def cancel_after_begin(channel):
    pending = queue.Queue()
    call = method(channel, "StreamingInputCall").future(iter(pending.get, None), timeout=10)
    call.cancel()
    pending.put(None)
    assert call.cancelled() and call.code() == grpc.StatusCode.CANCELLED


def cancel_after_first_response(channel):
    pending = queue.Queue()
    pending.put(output_request(31415, 27182))
    call = method(channel, "FullDuplexCall")(iter(pending.get, None), timeout=10)
    assert len(next(call).payload.body) == 31415
    call.cancel()
    pending.put(None)
    failure(lambda: call, grpc.StatusCode.CANCELLED)


def timeout_on_sleeping_server(channel):
    # The channel is ready first, so that the deadline is met by the server and not by the connecting.
    grpc.channel_ready_future(channel).result(timeout=10)
    pending = queue.Queue()
    pending.put(M["StreamingOutputCallRequest"](payload=payload(27182)))
    failure(lambda: method(channel, "FullDuplexCall")(iter(pending.get, None), timeout=0.001), grpc.StatusCode.DEADLINE_EXCEEDED)
    pending.put(None)


def custom_metadata(channel):
    request = M["SimpleRequest"](response_size=314159, payload=payload(271828))
    _, call = method(channel, "UnaryCall").with_call(request, metadata=ECHO, timeout=10)
    assert_echoed(call)
    call = method(channel, "FullDuplexCall")(iter([output_request(314159, 271828)]), metadata=ECHO, timeout=10)
    assert len(list(call)) == 1
    assert_echoed(call)


def status_code_and_message(channel):
    status = M["EchoStatus"](code=2, message="test status message")
    error = failure(lambda: method(channel, "UnaryCall")(M["SimpleRequest"](response_status=status), timeout=10), grpc.StatusCode.UNKNOWN)
    assert error.details() == "test status message"
    request = M["StreamingOutputCallRequest"](response_status=status)
    error = failure(lambda: method(channel, "FullDuplexCall")(iter([request]), timeout=10), grpc.StatusCode.UNKNOWN)
    assert error.details() == "test status message"


def special_status_message(channel):
    status = M["EchoStatus"](code=2, message=SPECIAL)
    error = failure(lambda: method(channel, "UnaryCall")(M["SimpleRequest"](response_status=status), timeout=10), grpc.StatusCode.UNKNOWN)
    assert error.details() == SPECIAL, repr(error.details())


def unimplemented_method(channel):
    failure(lambda: method(channel, "UnimplementedCall")(M["Empty"](), timeout=10), grpc.StatusCode.UNIMPLEMENTED)


def unimplemented_service(channel):
    call = method(channel, "UnimplementedCall", "grpc.testing.UnimplementedService")
    failure(lambda: call(M["Empty"](), timeout=10), grpc.StatusCode.UNIMPLEMENTED)


CASES = {f.__name__: f for f in (
    empty_unary, large_unary, server_streaming, client_streaming, ping_pong, empty_stream, cancel_after_begin,
    cancel_after_first_response, timeout_on_sleeping_server, custom_metadata, status_code_and_message, special_status_message,
    unimplemented_method, unimplemented_service)}

with grpc.insecure_channel(sys.argv[1]) as opened:
    CASES[sys.argv[2]](opened)
