"""What a message costs: `make bench`."""
