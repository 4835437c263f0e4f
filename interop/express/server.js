// Serves apps for the tests, each on a port of its own: a line on stdin holds
// the settings of one, and the line that answers it on stdout its address, or why
// it was refused. Ends when stdin does.
import { once } from "node:events";
import { createInterface } from "node:readline";
import { MongoStore } from "connect-mongo";
import { RedisStore } from "connect-redis";
import express from "express";
import session from "express-session";
import { MongoClient } from "mongodb";
import { createClient } from "redis";
import { createApp } from "./app.js";

const clients = new Map();
function client(url, connect) {
  if (!clients.has(url)) clients.set(url, connect(url));
  return clients.get(url);
}

async function openStore(s) {
  if (s.kind === "memory") return new session.MemoryStore();
  if (s.kind === "valkey") {
    const redis = await client(s.url, async (url) => {
      const c = createClient({ url });
      c.on("error", (err) => console.error(err));
      return c.connect();
    });
    return new RedisStore({ client: redis, prefix: s.prefix, ttl: s.ttl });
  }
  const mongo = client(s.url, (url) => new MongoClient(url));
  return MongoStore.create({
    client: mongo,
    dbName: s.database,
    collectionName: s.collection,
    stringify: s.kind === "mongo string",
    ttl: s.ttl,
    touchAfter: s.touchAfter,
  });
}

// The calls that express-session makes to its store, in the order in which they
// are answered.
function record(store, calls) {
  for (const verb of ["get", "set", "touch", "destroy"]) {
    const call = store[verb];
    store[verb] = function (...args) {
      const done = args.pop();
      return call.call(this, ...args, (...answer) => {
        calls.push(verb);
        done(...answer);
      });
    };
  }
  return store;
}

async function serve(settings) {
  const calls = [];
  const lateErrors = [];
  settings.onLateError = (err) => lateErrors.push(err.message);
  const app = express();
  app.disable("x-powered-by");
  app.get("/-/calls", (req, res) => res.json(calls.splice(0)));
  app.get("/-/late-errors", (req, res) => res.json(lateErrors.splice(0)));
  app.post("/-/rewrite", express.text({ type: "*/*", limit: "1mb" }), (req, res) => {
    res.type("json").send(JSON.stringify(JSON.parse(req.body)));
  });
  app.use(createApp(settings, record(await openStore(settings.store), calls)));
  const server = app.listen(0, "127.0.0.1");
  server.keepAliveTimeout = 120_000; // longer than the tests keep a connection that is idle
  await once(server, "listening");
  return `http://127.0.0.1:${server.address().port}`;
}

for await (const line of createInterface({ input: process.stdin })) {
  console.log(await serve(JSON.parse(line)).catch((err) => `refused: ${err.message}`));
}
process.exit(0);
