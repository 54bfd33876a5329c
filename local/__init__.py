"""Development tools that run the app on this machine; never deployed."""
