"""The services that are called, played on loopback: cheap, each in a process of its own."""
