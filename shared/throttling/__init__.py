"""How fast the Connector is called, by all instances of the app together."""
