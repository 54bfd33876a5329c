// Keeps a server that offers no choice on 127.0.0.1: by itself it listens on all interfaces.
const { Server } = require("node:net");

const { listen } = Server.prototype;

Server.prototype.listen = function (port, ...rest) {
  return typeof port === "number"
    ? listen.call(this, port, "127.0.0.1", ...rest)
    : listen.call(this, port, ...rest);
};
