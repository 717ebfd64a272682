"use strict";
// The benchmark's server for socket.io: echo, broadcast, join, say.
// NODE_PATH=.../node_modules node node.js PORT MAX_PAYLOAD     (ws takes bufferutil by itself when it is there)
const { createServer } = require("http");
const { Server } = require("socket.io");

const [port, maxPayload] = process.argv.slice(2).map(Number);
const web = createServer();
const io = new Server(web, {
  cors: { origin: "*" },
  serveClient: false,
  httpCompression: false,
  perMessageDeflate: false,
  maxHttpBufferSize: maxPayload || 1e6,
});

io.on("connection", (socket) => {
  socket.on("echo", (x, done) => done(x));
  socket.on("broadcast", (x) => io.emit("msg", x));
  socket.on("join", (room, done) => {
    socket.join(room);
    if (done) done();
  });
  socket.on("say", (room, x) => io.to(room).emit("msg", x));
});

web.listen({ port, host: "127.0.0.1", backlog: 4096 });
