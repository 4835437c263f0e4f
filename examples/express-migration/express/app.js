// The app as it was: Express with express-session, its sessions in Valkey.
import { RedisStore } from "connect-redis";
import express from "express";
import session from "express-session";
import { createClient } from "redis";

const client = createClient({ url: process.env.REDIS_URL });
client.on("error", (err) => console.error("Express: Valkey:", err.message));
await client.connect();

const app = express();
app.set("trust proxy", "loopback"); // X-Forwarded-Proto of the proxy in front
app.use(
  session({
    store: new RedisStore({ client }),
    secret: process.env.SESSION_SECRET,
    resave: false,
    saveUninitialized: false,
    cookie: { secure: "auto", sameSite: "lax" },
  }),
);
app.use(express.urlencoded());
app.use((req, res, next) => {
  res.type("text/plain");
  next();
});

app.get("/", (req, res) => {
  const s = req.session;
  s.views = (s.views ?? 0) + 1;
  res.send(`Express: view ${s.views}, user ${s.user ?? "nobody"}, cart ${(s.cart ?? []).join(" ") || "empty"}\n`);
});
app.post("/login", (req, res, next) => {
  const { views, cart } = req.session;
  req.session.regenerate((err) => {
    if (err) return next(err);
    Object.assign(req.session, { views, cart, user: req.body.user });
    res.send(`Express: hello, ${req.body.user}\n`);
  });
});
app.post("/cart", (req, res) => {
  req.session.cart = [...(req.session.cart ?? []), req.body.item];
  res.send(`Express: cart ${req.session.cart.join(" ")}\n`);
});
app.post("/logout", (req, res, next) => {
  req.session.destroy((err) => (err ? next(err) : res.send("Express: goodbye\n")));
});

app.listen(process.env.PORT, "127.0.0.1");
