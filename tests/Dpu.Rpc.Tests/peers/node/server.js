// The interop test service on grpc-js. Prints "LISTENING <port>"; ends when its standard input ends.
'use strict';
const { grpc, testing, INITIAL, TRAILING, payload } = require('./interop.js');

function echo(call) {
  const initial = call.metadata.get(INITIAL);
  if (initial.length > 0) {
    const headers = new grpc.Metadata();
    headers.set(INITIAL, initial[0]);
    call.sendMetadata(headers);
  }
  const trailers = new grpc.Metadata();
  for (const value of call.metadata.get(TRAILING)) {
    trailers.add(TRAILING, value);
  }
  return trailers;
}

function failure(status, trailers) {
  return { code: status.code, details: status.message, metadata: trailers };
}

const service = {
  EmptyCall: (call, callback) => callback(null, {}, echo(call)),
  UnaryCall: (call, callback) => {
    const trailers = echo(call);
    const status = call.request.response_status;
    if (status && status.code) {
      callback(failure(status, trailers));
    } else {
      callback(null, { payload: payload(call.request.response_size) }, trailers);
    }
  },
  StreamingOutputCall: (call) => {
    const trailers = echo(call);
    for (const parameter of call.request.response_parameters) {
      call.write({ payload: payload(parameter.size) });
    }
    call.end(trailers);
  },
  StreamingInputCall: (call, callback) => {
    const trailers = echo(call);
    let size = 0;
    call.on('data', (request) => { size += request.payload.body.length; });
    call.on('end', () => callback(null, { aggregated_payload_size: size }, trailers));
  },
  FullDuplexCall: (call) => {
    const trailers = echo(call);
    call.on('data', (request) => {
      const status = request.response_status;
      if (status && status.code) {
        call.emit('error', failure(status, trailers));
        return;
      }
      for (const parameter of request.response_parameters) {
        call.write({ payload: payload(parameter.size) });
      }
    });
    call.on('end', () => call.end(trailers));
  },
};

const server = new grpc.Server();
server.addService(testing.TestService.service, service);
server.bindAsync(process.argv[2] || '127.0.0.1:0', grpc.ServerCredentials.createInsecure(), (error, port) => {
  if (error) {
    throw error;
  }
  console.log(`LISTENING ${port}`);
});
process.stdin.on('end', () => process.exit(0)).resume();
