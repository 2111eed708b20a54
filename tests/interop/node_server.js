// Telefonica's LwM2M server lwm2m-node-lib, unmodified, driven by lines of JSON: `node node_server.js PORT`.
// Standard input: {"id", "do", "endpoint", "path": [3, 0, 0], "value"}, answered by {"id", "value"} or {"id", "error"}.
// Standard output, too: {"event": "ready" | "registration" | "update" | "unregistration" | "notification", ...}.
// Run with the library's node_modules on NODE_PATH.
const readline = require("readline");
const server = require("lwm2m-node-lib").server;

const say = (line) => process.stdout.write(JSON.stringify(line) + "\n");
const config = {
  port: Number(process.argv[2]), lifetimeCheckInterval: 1000, udpWindow: 100, defaultType: "Device", types: [],
  logLevel: "FATAL", ipProtocol: "udp4", serverProtocol: "udp4", defaultAcceptFormat: "text/plain",
  writeFormat: "text/plain", // else 1541, a number from before LwM2M 1.0
};

// What the library is asked for a device: the arguments after its number, then the callback.
const OPERATIONS = {
  read: (id, [object, instance, resource], _, done) => server.read(id, object, instance, resource, done),
  write: (id, [object, instance, resource], value, done) => server.write(id, object, instance, resource, value, done),
  execute: (id, [object, instance, resource], value, done) =>
    server.execute(id, object, instance, resource, value, done),
  discover: (id, [object, instance, resource], _, done) => server.discover(id, object, instance, resource, done),
  create: (id, [object, instance], _, done) => server.create(id, object, instance, done),
  remove: (id, [object, instance], _, done) => server.remove(id, object, instance, done),
  observe: (id, [object, instance, resource], _, done) =>
    server.observe(id, object, instance, resource, (value) => say({ event: "notification", value }), done),
  cancel: (id, [object, instance, resource], _, done) => server.cancelObserver(id, object, instance, resource, done),
};

function answer(line) {
  const asked = JSON.parse(line);
  const done = (error, value) =>
    say(error ? { id: asked.id, error: `${error.name}: ${error.message}` } : { id: asked.id, value: value ?? null });
  server.getDevice(asked.endpoint, (error, device) => {
    if (error) done(error);
    else OPERATIONS[asked.do](device.id, asked.path, asked.value, done);
  });
}

server.start(config, (error, info) => {
  if (error) throw error;
  server.setHandler(info, "registration", (endpoint, lifetime, version, binding, links, done) => {
    say({ event: "registration", endpoint, lifetime, version, binding, links });
    done();
  });
  server.setHandler(info, "updateRegistration", (device, links, done) => {
    say({ event: "update", endpoint: device.name, lifetime: device.lifetime, links });
    done();
  });
  server.setHandler(info, "unregistration", (device, done) => {
    say({ event: "unregistration", endpoint: device.name });
    done();
  });
  readline.createInterface({ input: process.stdin }).on("line", answer).on("close", () => process.exit(0));
  say({ event: "ready" });
});
