"""The messages and method table of grpc/testing/test.proto, made at run time: protoc is not needed."""
from google.protobuf import descriptor_pb2, descriptor_pool

F = descriptor_pb2.FieldDescriptorProto
_MESSAGES = {
    "Empty": [],
    "Payload": [("type", 1, F.TYPE_INT32), ("body", 2, F.TYPE_BYTES)],
    "EchoStatus": [("code", 1, F.TYPE_INT32), ("message", 2, F.TYPE_STRING)],
    "SimpleRequest": [("response_size", 2, F.TYPE_INT32), ("payload", 3, "Payload"), ("response_status", 7, "EchoStatus")],
    "SimpleResponse": [("payload", 1, "Payload")],
    "StreamingInputCallRequest": [("payload", 1, "Payload")],
    "StreamingInputCallResponse": [("aggregated_payload_size", 1, F.TYPE_INT32)],
    "ResponseParameters": [("size", 1, F.TYPE_INT32), ("interval_us", 2, F.TYPE_INT32)],
    "StreamingOutputCallRequest": [
        ("response_parameters", 2, ["ResponseParameters"]), ("payload", 3, "Payload"), ("response_status", 7, "EchoStatus")],
    "StreamingOutputCallResponse": [("payload", 1, "Payload")],
}

SERVICE = "grpc.testing.TestService"
# Name: (requests are a stream, responses are a stream, request, response).
METHODS = {
    "EmptyCall": (False, False, "Empty", "Empty"),
    "UnaryCall": (False, False, "SimpleRequest", "SimpleResponse"),
    "StreamingOutputCall": (False, True, "StreamingOutputCallRequest", "StreamingOutputCallResponse"),
    "StreamingInputCall": (True, False, "StreamingInputCallRequest", "StreamingInputCallResponse"),
    "FullDuplexCall": (True, True, "StreamingOutputCallRequest", "StreamingOutputCallResponse"),
    "UnimplementedCall": (False, False, "Empty", "Empty"),
}

INITIAL = "x-grpc-test-echo-initial"
TRAILING = "x-grpc-test-echo-trailing-bin"


def _make():
    file = descriptor_pb2.FileDescriptorProto(name="grpc/testing/peer.proto", package="grpc.testing", syntax="proto3")
    for name, fields in _MESSAGES.items():
        message = file.message_type.add(name=name)
        for field, number, kind in fields:
            label = F.LABEL_REPEATED if isinstance(kind, list) else F.LABEL_OPTIONAL
            kind = kind[0] if isinstance(kind, list) else kind
            added = message.field.add(name=field, number=number, label=label)
            if isinstance(kind, str):
                added.type = F.TYPE_MESSAGE
                added.type_name = ".grpc.testing." + kind
            else:
                added.type = kind
    pool = descriptor_pool.DescriptorPool()
    pool.Add(file)
    descriptors = {name: pool.FindMessageTypeByName("grpc.testing." + name) for name in _MESSAGES}
    try:
        from google.protobuf.message_factory import GetMessageClass
    except ImportError:  # protobuf before 4.22
        from google.protobuf.message_factory import MessageFactory
        GetMessageClass = MessageFactory(pool).GetPrototype
    return {name: GetMessageClass(descriptor) for name, descriptor in descriptors.items()}


MESSAGES = _make()


def payload(size):
    return MESSAGES["Payload"](body=bytes(size))
