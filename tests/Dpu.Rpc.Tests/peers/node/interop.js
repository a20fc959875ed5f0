// What the interop server and client for grpc-js share.
'use strict';
const path = require('path');
const grpc = require('@grpc/grpc-js');
const protoLoader = require('@grpc/proto-loader');

const definition = protoLoader.loadSync('grpc/testing/test.proto', {
  includeDirs: [process.env.PROTO_ROOT || path.join(__dirname, '..', '..')],
  keepCase: true,
  enums: String,
  defaults: true,
});

exports.grpc = grpc;
exports.testing = grpc.loadPackageDefinition(definition).grpc.testing;
exports.INITIAL = 'x-grpc-test-echo-initial';
exports.TRAILING = 'x-grpc-test-echo-trailing-bin';
exports.payload = (size) => ({ type: 'COMPRESSABLE', body: Buffer.alloc(size) });
