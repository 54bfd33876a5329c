"""The edge to the Functions host: requests and messages in, answers out."""
