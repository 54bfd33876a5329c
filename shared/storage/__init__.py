"""Table and Queue storage, as much of them as the app needs."""
