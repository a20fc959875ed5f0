// A raw HTTP/2 server that answers as no good gRPC server would: http2-server.js CASE. Prints "LISTENING <port>", then a line
// for each stream: "STREAM <connection> <how many at once on it>". Ends when its standard input ends.
'use strict';
const http2 = require('http2');

const [name, argument] = process.argv.slice(2);
const headers = { ':status': 200, 'content-type': 'application/grpc+proto' };

// A SimpleResponse whose payload has `size` zero bytes, with its gRPC prefix.
function message(size, flag = 0) {
  const varint = (value) => {
    const bytes = [];
    for (; value > 127; value >>>= 7) {
      bytes.push((value & 127) | 128);
    }
    return Buffer.from([...bytes, value]);
  };
  const payload = Buffer.concat([Buffer.from([0x12]), varint(size), Buffer.alloc(size)]);
  const body = Buffer.concat([Buffer.from([0x0a]), varint(payload.length), payload]);
  const prefix = Buffer.alloc(5);
  prefix[0] = flag;
  prefix.writeUInt32BE(body.length, 1);
  return Buffer.concat([prefix, body]);
}

function respond(stream, trailers = { 'grpc-status': '0' }, more = {}) {
  stream.respond({ ...headers, ...more }, { waitForTrailers: true });
  stream.on('wantTrailers', () => stream.sendTrailers(trailers));
}

function answer(stream, ...parts) {
  respond(stream);
  parts.forEach((part) => stream.write(part));
  stream.end();
}

// Headers of a response that is never ended: node's close() would send END_STREAM before the reset.
function open(stream) {
  stream.respond(headers, { waitForTrailers: true });
  stream.on('wantTrailers', () => {});
}

function reset(stream) {
  stream.close(Number(argument));
}

const cases = {
  ok: (stream) => answer(stream, message(10)),
  goaway: (stream) => {
    answer(stream, message(10));
    stream.session.goaway(0);
  },
  rst_after_header: (stream) => {
    open(stream);
    setImmediate(() => reset(stream));
  },
  rst_during_data: (stream) => {
    open(stream);
    stream.write(message(1000).subarray(0, 500), () => reset(stream));
  },
  rst_after_data: (stream) => {
    open(stream);
    stream.write(message(1000), () => reset(stream));
  },
  rst_at_once: (stream) => reset(stream),
  ping: (stream) => {
    stream.session.ping((error) => {
      if (!error) {
        answer(stream, message(10));
      }
    });
  },
  max_streams: (stream) => setImmediate(() => answer(stream, message(10))),
  data_frame_padding: (stream) => answer(stream, message(100000)),
  split: (stream) => {
    // One DATA frame a byte.
    respond(stream);
    const whole = message(40);
    let i = 0;
    const next = () => (i < whole.length ? stream.write(whole.subarray(i, ++i), () => setImmediate(next)) : stream.end());
    next();
  },
  no_status: (stream) => {
    stream.respond(headers);
    stream.end(message(10));
  },
  http_status: (stream) => {
    stream.respond({ ':status': Number(argument), 'content-type': 'text/html' });
    stream.end('<html></html>');
  },
  html: (stream) => {
    stream.respond({ ':status': 200, 'content-type': 'text/html' });
    stream.end('<html></html>');
  },
  no_message: (stream) => answer(stream),
  two_messages: (stream) => answer(stream, message(10), message(10)),
  oversize: (stream) => {
    // Promises 1 GiB and never sends it.
    respond(stream);
    stream.write(Buffer.from([0, 0x40, 0, 0, 0]));
  },
  bad_flag: (stream) => answer(stream, message(10, 2)),
  compressed_flag: (stream) => answer(stream, message(10, 1)),
  unknown_encoding: (stream) => {
    respond(stream, { 'grpc-status': '0' }, { 'grpc-encoding': 'snappy' });
    stream.end(message(10));
  },
  truncated: (stream) => answer(stream, message(1000).subarray(0, 500)),
  garbage: (stream) => answer(stream, Buffer.from([0, 0, 0, 0, 2, 0xff, 0xff])),
  unknown_status: (stream) => {
    respond(stream, { 'grpc-status': '99' });
    stream.end(message(10));
  },
  trailers_only: (stream) => {
    stream.respond({ ...headers, 'grpc-status': '9', 'grpc-message': 'fix%20it%21 100%', 'x-why-bin': 'AQI,Aw==' }, { endStream: true });
  },
  bad_binary: (stream) => {
    respond(stream, { 'grpc-status': '0', 'x-why-bin': '!' });
    stream.end(message(10));
  },
  early_end: (stream) => {
    // The status before the request's end.
    respond(stream, { 'grpc-status': '8', 'grpc-message': 'enough' });
    stream.end();
  },
  silent: () => {},
};

const server = http2.createServer({
  paddingStrategy: name === 'data_frame_padding' ? http2.constants.PADDING_STRATEGY_MAX : http2.constants.PADDING_STRATEGY_NONE,
  settings: name === 'max_streams' ? { maxConcurrentStreams: 1 } : {},
});
let connections = 0;
server.on('session', (session) => {
  connections += 1;
  session.number = connections;
  session.open = 0;
  session.on('error', () => {}); // a client that is gone
});
server.on('stream', (stream, request) => {
  const session = stream.session;
  session.open += 1;
  console.log(`STREAM ${session.number} ${session.open} ${request['grpc-timeout'] || '-'}`);
  stream.on('error', () => {}); // the resets that these cases are about
  stream.on('close', () => { session.open -= 1; console.log(`CLOSE ${session.number} ${stream.rstCode}`); });
  if (name === 'early_end' || name === 'silent') {
    stream.resume();
    cases[name](stream);
    return;
  }
  stream.on('end', () => cases[name](stream));
  stream.resume();
});
server.listen(0, '127.0.0.1', () => console.log(`LISTENING ${server.address().port}`));
process.stdin.on('end', () => process.exit(0)).resume();
