"""What becomes of each message: claimed before its call, recorded after it, kept when it failed."""
