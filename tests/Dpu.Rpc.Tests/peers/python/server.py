"""The interop test service on grpcio (gRPC's C core). Prints "LISTENING <port>"; ends when its standard input ends."""
import sys
from concurrent import futures

import grpc

from testing import INITIAL, MESSAGES, METHODS, SERVICE, TRAILING, payload


def echo(context):
    received = dict(context.invocation_metadata())
    if INITIAL in received:
        context.send_initial_metadata(((INITIAL, received[INITIAL]),))
    if TRAILING in received:
        context.set_trailing_metadata(((TRAILING, received[TRAILING]),))


def fail_if_asked(request, context):
    if request.response_status.code:
        code = next(c for c in grpc.StatusCode if c.value[0] == request.response_status.code)
        context.abort(code, request.response_status.message)


def empty_call(request, context):
    echo(context)
    return MESSAGES["Empty"]()


def unary_call(request, context):
    echo(context)
    fail_if_asked(request, context)
    return MESSAGES["SimpleResponse"](payload=payload(request.response_size))


def streaming_output_call(request, context):
    echo(context)
    for parameters in request.response_parameters:
        yield MESSAGES["StreamingOutputCallResponse"](payload=payload(parameters.size))


def streaming_input_call(requests, context):
    echo(context)
    size = sum(len(request.payload.body) for request in requests)
    return MESSAGES["StreamingInputCallResponse"](aggregated_payload_size=size)


def full_duplex_call(requests, context):
    echo(context)
    for request in requests:
        fail_if_asked(request, context)
        for parameters in request.response_parameters:
            yield MESSAGES["StreamingOutputCallResponse"](payload=payload(parameters.size))


HANDLERS = {
    "EmptyCall": empty_call,
    "UnaryCall": unary_call,
    "StreamingOutputCall": streaming_output_call,
    "StreamingInputCall": streaming_input_call,
    "FullDuplexCall": full_duplex_call,
}


def main():
    kinds = {
        (False, False): grpc.unary_unary_rpc_method_handler,
        (False, True): grpc.unary_stream_rpc_method_handler,
        (True, False): grpc.stream_unary_rpc_method_handler,
        (True, True): grpc.stream_stream_rpc_method_handler,
    }
    handlers = {}
    for name, function in HANDLERS.items():
        requests, responses, request, response = METHODS[name]
        handlers[name] = kinds[requests, responses](
            function, request_deserializer=MESSAGES[request].FromString, response_serializer=MESSAGES[response].SerializeToString)
    server = grpc.server(futures.ThreadPoolExecutor(max_workers=8))
    server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler(SERVICE, handlers),))
    port = server.add_insecure_port(sys.argv[1] if len(sys.argv) > 1 else "127.0.0.1:0")
    server.start()
    print("LISTENING", port, flush=True)
    sys.stdin.read()
    server.stop(0).wait()


main()
