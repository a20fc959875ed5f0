// The interop client on grpc-js: client.js TARGET CASE. Exit status 0 when the case holds; the reason on stderr otherwise.
'use strict';
const assert = require('assert');
const { grpc, testing, INITIAL, TRAILING, payload } = require('./interop.js');

const [target, name] = process.argv.slice(2);
const client = new testing.TestService(target, grpc.credentials.createInsecure());
const responseSizes = [31415, 9, 2653, 58979];
const requestSizes = [27182, 8, 1828, 45904];
const special = '\t\ntest with whitespace\r\nand Unicode BMP \u263A and non-BMP \u{1F608}\t\n';

// Runs a call to its end and tells all that it gave.
function finish(call) {
  return new Promise((resolve) => {
    const result = { messages: [] };
    call.on('metadata', (metadata) => { result.headers = metadata; });
    call.on('data', (message) => result.messages.push(message));
    call.on('error', () => {}); // told again by 'status'
    call.on('status', (status) => { result.status = status; resolve(result); });
  });
}

function unary(method, request, metadata, service) {
  return new Promise((resolve) => {
    const result = { messages: [] };
    const call = (service || client)[method](request, metadata || new grpc.Metadata(), (error, response) => {
      if (!error) {
        result.messages.push(response);
      }
    });
    call.on('metadata', (value) => { result.headers = value; });
    call.on('status', (status) => { result.status = status; setImmediate(() => resolve(result)); });
  });
}

function echoMetadata() {
  const metadata = new grpc.Metadata();
  metadata.set(INITIAL, 'test_initial_metadata_value');
  metadata.set(TRAILING, Buffer.from([0xab, 0xab, 0xab]));
  return metadata;
}

function assertEchoed(result) {
  assert.strictEqual(result.status.code, 0, result.status.details);
  assert.deepStrictEqual(result.headers.get(INITIAL), ['test_initial_metadata_value']);
  assert.deepStrictEqual(result.status.metadata.get(TRAILING), [Buffer.from([0xab, 0xab, 0xab])]);
}

const cases = {
  async empty_unary() {
    const result = await unary('EmptyCall', {});
    assert.strictEqual(result.status.code, 0, result.status.details);
    assert.strictEqual(result.messages.length, 1);
  },
  async large_unary() {
    const result = await unary('UnaryCall', { response_size: 314159, payload: payload(271828) });
    assert.strictEqual(result.status.code, 0, result.status.details);
    assert.strictEqual(result.messages[0].payload.body.length, 314159);
  },
  async server_streaming() {
    const result = await finish(client.StreamingOutputCall({ response_parameters: responseSizes.map((size) => ({ size })) }));
    assert.strictEqual(result.status.code, 0, result.status.details);
    assert.deepStrictEqual(result.messages.map((message) => message.payload.body.length), responseSizes);
  },
  async client_streaming() {
    const response = await new Promise((resolve, reject) => {
      const call = client.StreamingInputCall((error, value) => (error ? reject(error) : resolve(value)));
      requestSizes.forEach((size) => call.write({ payload: payload(size) }));
      call.end();
    });
    assert.strictEqual(response.aggregated_payload_size, 74922);
  },
  async ping_pong() {
    const call = client.FullDuplexCall();
    const send = (i) => call.write({ response_parameters: [{ size: responseSizes[i] }], payload: payload(requestSizes[i]) });
    let count = 0;
    call.on('data', () => { count += 1; if (count < 4) { send(count); } else { call.end(); } });
    const done = finish(call);
    send(0);
    const result = await done;
    assert.strictEqual(result.status.code, 0, result.status.details);
    assert.deepStrictEqual(result.messages.map((message) => message.payload.body.length), responseSizes);
  },
  async empty_stream() {
    const call = client.FullDuplexCall();
    const done = finish(call);
    call.end();
    const result = await done;
    assert.strictEqual(result.status.code, 0, result.status.details);
    assert.strictEqual(result.messages.length, 0);
  },
  async cancel_after_begin() {
    const error = await new Promise((resolve) => {
      const call = client.StreamingInputCall((failure) => resolve(failure));
      call.cancel();
    });
    assert.strictEqual(error.code, grpc.status.CANCELLED);
  },
  async cancel_after_first_response() {
    const call = client.FullDuplexCall();
    call.on('data', () => call.cancel());
    const done = finish(call);
    call.write({ response_parameters: [{ size: 31415 }], payload: payload(27182) });
    const result = await done;
    assert.strictEqual(result.status.code, grpc.status.CANCELLED);
    assert.strictEqual(result.messages.length, 1);
  },
  async timeout_on_sleeping_server() {
    const call = client.FullDuplexCall(new grpc.Metadata(), { deadline: Date.now() + 1 });
    const done = finish(call);
    call.write({ payload: payload(27182) });
    const result = await done;
    assert.strictEqual(result.status.code, grpc.status.DEADLINE_EXCEEDED, result.status.details);
  },
  async custom_metadata() {
    assertEchoed(await unary('UnaryCall', { response_size: 314159, payload: payload(271828) }, echoMetadata()));
    const call = client.FullDuplexCall(echoMetadata());
    const done = finish(call);
    call.write({ response_parameters: [{ size: 314159 }], payload: payload(271828) });
    call.end();
    assertEchoed(await done);
  },
  async status_code_and_message() {
    const status = { code: 2, message: 'test status message' };
    const single = await unary('UnaryCall', { response_status: status });
    assert.deepStrictEqual([single.status.code, single.status.details], [2, 'test status message']);
    const call = client.FullDuplexCall();
    const done = finish(call);
    call.write({ response_status: status });
    call.end();
    const result = await done;
    assert.deepStrictEqual([result.status.code, result.status.details], [2, 'test status message']);
  },
  async special_status_message() {
    const result = await unary('UnaryCall', { response_status: { code: 2, message: special } });
    assert.deepStrictEqual([result.status.code, result.status.details], [2, special]);
  },
  async unimplemented_method() {
    const result = await unary('UnimplementedCall', {});
    assert.strictEqual(result.status.code, grpc.status.UNIMPLEMENTED);
  },
  async unimplemented_service() {
    const service = new testing.UnimplementedService(target, grpc.credentials.createInsecure());
    const result = await unary('UnimplementedCall', {}, undefined, service);
    assert.strictEqual(result.status.code, grpc.status.UNIMPLEMENTED);
  },
};

if (!cases[name]) {
  console.error(`unknown case '${name}'`);
  process.exit(2);
}
cases[name]().then(() => process.exit(0), (error) => { console.error(error); process.exit(1); });
