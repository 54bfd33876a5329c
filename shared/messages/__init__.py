"""Messages on the app's queues: what is noted beside their bodies, and how they get there."""
