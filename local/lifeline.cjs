// Ends this program when the one that started it is gone, however it went: the pipe to our
// standard input is closed then. The pipe alone keeps no program running.
process.stdin.on("end", () => process.kill(process.pid)).resume();
process.stdin.unref();
