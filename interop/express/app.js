// The Express app. It knows nothing of Go. The same routes are in Gin and Echo:
// see ../routes_test.go.
import { createRequire } from "node:module";
import flash from "connect-flash";
import express from "express";
import session from "express-session";
import passport from "passport";

export function createApp(settings, store) {
  const app = express();
  app.use(
    session({
      store,
      secret: settings.secrets,
      name: settings.name,
      cookie: settings.cookieFromHeader ? (req) => JSON.parse(req.get("X-Cookie")) : settings.cookie,
      genid: settings.ids ? () => settings.ids.shift() : undefined,
      proxy: settings.proxy,
      resave: settings.resave ?? false,
      saveUninitialized: settings.saveUninitialized ?? false,
      rolling: settings.rolling ?? false,
      unset: settings.unset,
    }),
  );
  // Middleware of a guide, as it is written there.
  new Function("require", "app", "secrets", settings.middleware ?? "")(createRequire(import.meta.url), app, settings.secrets);
  app.use(express.json({ strict: false, limit: "1mb" }));
  app.use(flash());

  app.get("/get/:key", (req, res) => {
    const value = req.session[req.params.key];
    if (value === undefined) return res.sendStatus(404);
    res.json(value);
  });
  app.put("/set/:key", (req, res) => {
    req.session[req.params.key] = req.body;
    res.sendStatus(204);
  });
  app.delete("/delete/:key", (req, res) => {
    delete req.session[req.params.key];
    res.sendStatus(204);
  });
  app.post("/count/:key", (req, res) => {
    const { key } = req.params;
    req.session[key] = (req.session[key] ?? 0) + 1;
    res.json(req.session[key]);
  });
  app.post("/login/:user", (req, res, next) => {
    req.session.regenerate((err) => {
      if (err) return next(err);
      req.session.user = req.params.user;
      res.sendStatus(204);
    });
  });
  app.post("/logout", (req, res, next) => {
    req.session.destroy((err) => (err ? next(err) : res.sendStatus(204)));
  });
  app.post("/touch", (req, res) => {
    req.session.touch();
    res.sendStatus(204);
  });
  // express-session saves a new max age only together with a change of data.
  app.post("/max-age/:ms", (req, res) => {
    const ms = Number(req.params.ms);
    req.session.cookie.maxAge = ms || null;
    req.session.remembered = ms;
    res.sendStatus(204);
  });
  app.get("/dump", (req, res) => {
    const { cookie, __cloakroom, ...data } = req.session;
    res.json(data);
  });
  app.get("/id", (req, res) => res.json(req.sessionID));

  // A list of steps, for what the other routes do not do.
  app.post("/do", async (req, res, next) => {
    const call = (verb) =>
      new Promise((resolve, reject) => {
        req.session[verb]((err) => (err ? reject(err) : resolve()));
      });
    const steps = {
      get: (key) => req.session[key],
      set: (key, value) => void (req.session[key] = value),
      delete: (key) => void delete req.session[key],
      setDate: (key, ms) => void (req.session[key] = new Date(ms)),
      getDate: (key) => new Date(req.session[key]).getTime(),
      maxAge: (ms) => void (req.session.cookie.maxAge = ms),
      touch: () => void req.session.touch(),
      save: () => call("save"),
      reload: () => call("reload").catch(() => "failed"), // to go on
      regenerate: () => call("regenerate"),
      destroy: () => call("destroy"),
      discard: () => void (req.session = null),
      cookie: (name) => void res.append("Set-Cookie", `${name}=1`),
      body: () => void res.write("body "),
      ask: async (url) => void (await (await fetch(url)).text()),
    };
    try {
      const results = [];
      for (const [verb, ...args] of req.body) results.push((await steps[verb](...args)) ?? null);
      res.end(JSON.stringify(results));
    } catch (err) {
      next(err);
    }
  });

  app.post("/flash/:kind/:message", (req, res) => {
    req.flash(req.params.kind, req.params.message);
    res.sendStatus(204);
  });
  app.get("/flashes/:kind", (req, res) => res.json(req.flash(req.params.kind)));

  const users = new passport.Passport();
  users.serializeUser((user, done) => done(null, user.id));
  users.deserializeUser((id, done) => done(null, { id }));
  app.use("/passport", users.session());
  app.post("/passport/login/:id", (req, res, next) => {
    req.login({ id: req.params.id }, (err) => (err ? next(err) : res.sendStatus(204)));
  });
  app.post("/passport/logout", (req, res, next) => {
    req.logout((err) => (err ? next(err) : res.sendStatus(204)));
  });
  app.get("/passport/user", (req, res) => res.json(req.user ?? null));

  app.use((err, req, res, next) => {
    if (res.headersSent) return settings.onLateError?.(err);
    res.status(err.status ?? 500).send(err.message);
  });
  return app;
}
